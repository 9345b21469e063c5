"""One self-contained HTML page of a search: `report.html`, also `python -m search.report NAME`.

Everything is read from the folders of the search and of its best run; what is not there is said on the page, and the
rest of the page is as it would be. Neither torch nor Ray is loaded: a page is made in seconds, on any machine.

    facts       what is on disk
    cost        what it cost
    influence   which settings matter, by Optuna
    curves      learning curves
    rivals      the best run beside its baselines
    heart       the best run seen: paper, loop, path of W
    tables      rows of the tables
    making      how the search was made
    commands    what can be done next
    theme       how charts look
    wording     figures and durations as text
    page        all of it in one file
"""

REPORT_FILE = "report.html"

"""`python -m search.report NAME`: the page of a search, made at any time."""

import sys
from pathlib import Path

from ecggen.commandline import EXIT_FAULT, Parser, fault_line
from ecggen.errors import UserError
from search.report import REPORT_FILE
from search.report.facts import find_search
from search.report.page import write_report

USAGE = "python -m search.report NAME [--results DIR] [--out FILE]"
EXAMPLES = """examples:
  python -m search.report ttt_mode-20260501-120000
  python -m search.report results/searches/ttt_mode-20260501-120000 --out page.html
"""


def parser() -> Parser:
    """The command line."""
    p = Parser("The page of a search, made from its folder at any time; a finished search has one.", USAGE, EXAMPLES)
    p.add_argument("search", help="folder of the search, or its name below results/searches")
    p.add_argument(
        "--results", type=Path, default=Path("results"), help="where names are looked for (default: results)"
    )
    p.add_argument("--out", type=Path, metavar="FILE", help=f"the page (default: {REPORT_FILE} in the search's folder)")
    return p


def main(argv: list[str] | None = None) -> int:
    """Entry point; the exit code."""
    args = parser().parse_args(argv)
    try:
        path = write_report(find_search(args.search, args.results), args.out)
    except (UserError, OSError) as error:
        sys.stderr.write(f"{fault_line(error)}\n")
        return EXIT_FAULT
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

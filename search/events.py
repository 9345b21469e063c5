"""TensorBoard event files of a search, one in the folder of each trial, with what the trial turns."""

from ecggen.events import EventFile
from search.ledger import Ledger
from search.trialfile import RUNNING, Trial


class EventFiles:
    """Follows the trials of a search.

    Args:
        ledger: of the search.
        metric: that the search ranks by.
    """

    def __init__(self, ledger: Ledger, metric: str) -> None:
        self.ledger, self.metric = ledger, metric
        self._open: dict[str, EventFile] = {}

    def began(self, trial: Trial) -> None:
        """A trial starts, or goes on: what is known of it comes first."""
        self._left(trial)
        self._open[trial.key] = self._file(trial)

    def reported(self, trial: Trial) -> None:
        """A trial has a new row."""
        if trial.key in self._open and trial.curve:
            self._open[trial.key].add(trial.curve[-1])

    def ended(self, trial: Trial) -> None:
        """A trial is over; a curve that was not seen coming, such as a reused one, is written as a whole."""
        seen = self._left(trial)
        if trial.curve and seen != len(trial.curve):
            self._file(trial).close()

    def close(self) -> None:
        """The search is left."""
        for file in self._open.values():
            file.close()
        self._open.clear()

    def rebuild(self) -> None:
        """All files anew, from the trials alone."""
        for trial in self.ledger:
            if trial.status != RUNNING:
                self.ended(trial)

    def _left(self, trial: Trial) -> int:
        """Nobody trains it any more; how many rows were written."""
        file = self._open.pop(trial.key, None)
        if file is None:
            return 0
        file.close()
        return file.rows

    def _file(self, trial: Trial) -> EventFile:
        return EventFile(self.ledger.folder / trial.key, trial.curve, trial.params, self.metric)

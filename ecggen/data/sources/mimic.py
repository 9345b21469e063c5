"""MIMIC-IV-ECG as PhysioNet publishes it: `record_list.csv` and `files/p1000/p10000032/s40689238/40689238.{hea,dat}`.

Ten seconds, twelve leads, 500 Hz, in the recorder's order I II III aVR aVF aVL V1..V6 (aVF before aVL), which is why
leads are ordered by name. There are no labels, and no folds. Gow et al., PhysioNet (2023), doi 10.13026/4nqg-sb35.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ecggen.data.recording import Recording
from ecggen.data.sources.contract import Entry
from ecggen.data.sources.inside import index_below
from ecggen.data.sources.table import content_digest, read_table, state_digest
from ecggen.data.sources.wfdb_signal import read_whole
from ecggen.errors import UserError

INDEX = "record_list.csv"


@dataclass(frozen=True)
class MIMICSource:
    """MIMIC-IV-ECG below `root`; the id of a record is its study, its patient the subject.

    limit: records of the index that matter; the state of the files of the others is not looked at.
    """

    root: Path
    limit: int | None = None

    def entries(self) -> list[Entry]:
        """All records of the index, in its order. Raises UserError where the index is missing or damaged."""
        return [Entry(row["study_id"], row["path"], patient=row["subject_id"] or None) for row in self._index()]

    def read(self, entry: Entry) -> Iterator[Recording]:
        """The record, always whole. Raises UnreadableError."""
        yield read_whole(self.root, entry)

    def fingerprint(self) -> str:
        """Content of the index and state of every signal file."""
        names = [row["path"] + suffix for row in self._index()[: self.limit] for suffix in (".hea", ".dat")]
        return f"{content_digest(self.root, [INDEX])} {state_digest(self.root, names)}"

    def _index(self) -> list[dict[str, str]]:
        path = index_below(self.root, INDEX)
        if path is None:
            raise UserError(f"{self.root}: expected MIMIC-IV-ECG's {INDEX}, got none; set --data-root to its folder")
        return read_table(path, ("subject_id", "study_id", "path"))

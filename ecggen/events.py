"""Learning curves as TensorBoard event files: `tensorboard --logdir results` shows runs and searches side by side.

A file lies in the folder of its training: a copy of the learning curve for whoever watches. Nothing reads it back.
"""

import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

PREFIX = "events.out.tfevents"  # how TensorBoard knows its files
FORMAT = "brain.Event:2"  # TensorBoard's word for the format, which the first event of a file carries
NOT_FIGURES = ("step", "seconds")  # of a row: where on the axes it lies
EVERY = 2.0  # s between two times that rows are brought to the disk, each of which waits for it


class EventFile:
    """The learning curve of one training; a context manager that closes the file.

    Attributes:
        rows: how many were written.

    Args:
        folder: of the training; event files of earlier tries in it are replaced.
        rows: of the learning curve that are known already.
        settings: what the training turns, for TensorBoard's table of hyper-parameters; name -> number, word or truth.
        metric: the figure that this table is about.
    """

    def __init__(
        self,
        folder: Path,
        rows: Iterable[Mapping[str, float]] = (),
        settings: Mapping[str, Any] | None = None,
        metric: str = "",
    ) -> None:
        from tensorboardX.proto.event_pb2 import SessionLog  # these take a while to load, and few need them
        from tensorboardX.record_writer import RecordWriter

        rows = list(rows)
        self.rows, self._flushed = 0, 0.0
        for old in folder.glob(f"{PREFIX}.*"):
            old.unlink()
        passed = rows[-1].get("seconds", 0.0) if rows else 0.0
        self.start = time.time() - passed  # so that the time axis shows what the training took, not when it was written
        self._file = RecordWriter(str(folder / f"{PREFIX}.{time.time_ns()}.ecggen"))
        self._end: Any = None
        self._write(file_version=FORMAT)
        self._write(session_log=SessionLog(status=SessionLog.START), step=0)  # what was shown before is void
        if settings:
            self._write_settings(settings, metric)
        for row in rows:
            self.add(row)

    def __enter__(self) -> "EventFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, row: Mapping[str, float]) -> None:
        """One row of the learning curve: `step`, `seconds`, and the figures; those that are not finite are left out."""
        from tensorboardX.summary import scalar

        at = {"step": int(row["step"]), "wall_time": self.start + row.get("seconds", 0.0)}
        for name, value in row.items():
            if name not in NOT_FIGURES and math.isfinite(value):
                self._write(summary=scalar(name, value), **at)
        self.rows += 1
        if time.monotonic() - self._flushed > EVERY:
            self._file.flush()
            self._flushed = time.monotonic()

    def close(self) -> None:
        """The training is over."""
        if self._end is not None:
            self._write(summary=self._end)
        self._file.close()

    def _write_settings(self, settings: Mapping[str, Any], metric: str) -> None:
        from tensorboardX.summary import hparams

        experiment, begin, self._end = hparams(dict(settings), {metric: 0.0})
        self._write(summary=experiment)
        self._write(summary=begin)

    def _write(self, **parts: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        event = Event(**{"wall_time": self.start, **parts})
        self._file.write(event.SerializeToString())

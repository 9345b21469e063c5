"""What a search was asked for, kept in its folder, and what must not change when it is carried on."""

import dataclasses
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ecggen import config as package
from ecggen.atomic import write_text
from ecggen.config import RunConfig
from ecggen.configfile import from_dict, to_dict
from ecggen.errors import UserError
from ecggen.strictyaml import read_yaml, to_yaml

ORDER_FILE, SPACE_FILE, DONE = "search.yaml", "space.yaml", "DONE"
SEARCHES = "searches"
# Files and folders that only show or find what was trained; they may change under a search.
SHOWING = (
    "card.py", "codetable.py", "commandline.py", "encode.py", "events.py", "examination.py", "examine.py", "figures",
    "gallery.py", "leaderboard.py", "observe.py", "options.py", "plainfile.py", "portrait.py", "progress.py",
    "runid.py", "stepfolder.py",
)  # fmt: skip
_KINDS: dict[type, tuple[str, ...]] = {
    int: ("trials", "grace", "reduction", "finalists", "seeds"),
    str: ("name", "space", "space_file", "config", "algorithm", "metric", "data", "began"),
    bool: ("asha",),
    dict: ("code",),
}


@dataclass(frozen=True)
class Order:
    """What was asked for.

    Attributes:
        name: of the search's folder.
        space, content: the space's name and the space itself, as plain data; space_file: where it was read.
        base: the run that every trial starts from: data, budget, seed, threads.
        config: the train configuration whose run-id table is used.
        trials: asked number.
        algorithm: optuna, grid or random.
        metric: what is maximised.
        asha: whether trials are stopped early; grace: steps before the first look; reduction: 1 in so many goes on.
        finalists, seeds: how many of the best are repeated, with how many fresh seeds each.
        warm_start: names of the searches whose results the sampler is given.
        data: name of the cache folder: identifies source files, settings of the data, and code that reads them.
        code: file of the package -> digest, and the version of torch.
        storage: where trials keep their state, None = the search's folder.
        began: local time.
    """

    name: str
    space: str
    space_file: str
    content: dict[str, Any]
    base: RunConfig
    config: str
    trials: int
    algorithm: str
    metric: str
    asha: bool
    grace: int
    reduction: int
    finalists: int
    seeds: int
    warm_start: tuple[str, ...] = ()
    data: str = ""
    code: dict[str, str] = field(default_factory=dict)
    storage: str | None = None
    began: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%S%z"))


@dataclass(frozen=True)
class How:
    """How a search is run, apart from what it is: may be another way each time it is carried on.

    Attributes:
        address: of a Ray cluster, None = this machine.
        storage: folder or URI where trials keep their state; None = the search's folder.
        cpus, gpus: a trial; None = a sensible default.
        concurrency: trials at a time; None = as many as fit.
        time_limit: seconds a trial may take; time_budget: seconds for all; None = no limit.
        quiet: no lines.
    """

    address: str | None = None
    storage: str | None = None
    cpus: float | None = None
    gpus: float | None = None
    concurrency: int | None = None
    time_limit: float | None = None
    time_budget: float | None = None
    quiet: bool = False


def write_order(folder: Path, order: Order) -> None:
    """Keep the order in the search's folder, and its space beside it."""
    content = {f.name: getattr(order, f.name) for f in dataclasses.fields(order)}
    content |= {"base": to_dict(order.base), "warm_start": list(order.warm_start)}
    space = content.pop("content")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / SPACE_FILE, to_yaml(space))
    write_text(folder / ORDER_FILE, to_yaml(content))


def read_order(folder: Path) -> Order:
    """The order of a search's folder. Raises UserError where it cannot be read."""
    path = folder / ORDER_FILE
    if not path.is_file():
        raise UserError(f"{folder}: expected a search, there is none; see run_search.py --list")
    raw = read_yaml(path)
    known = {f.name for f in dataclasses.fields(Order)}
    try:
        raw["base"] = from_dict(raw["base"])
        raw["warm_start"] = tuple(str(name) for name in raw.get("warm_start", ()))
        known_only = {name: value for name, value in raw.items() if name in known}
        order = Order(**known_only, content=read_yaml(folder / SPACE_FILE))
        for kind, names in _KINDS.items():
            for name in names:
                if not isinstance(getattr(order, name), kind):
                    raise TypeError(f"{name} is no {kind.__name__}")
    except (AttributeError, KeyError, TypeError, ValueError) as fault:
        raise UserError(f"{path}: expected what a search was asked for, got another file ({fault})") from None
    return order


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """One process a search. Raises UserError where another one runs it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout:
        raise UserError(
            f"{folder.name}: expected a search that nobody runs, another process does; wait for it"
        ) from None


def check_free(folder: Path) -> None:
    """Whether a new search may have this folder. Raises UserError where the name is taken."""
    if (folder / ORDER_FILE).exists():
        raise UserError(
            f"--name {folder.name}: expected a free name, there is such a search; --resume it or choose another"
        )


def code_digests() -> dict[str, str]:
    """Every file of the package that decides what a training gives -> digest of its text, and torch's version."""
    root = Path(package.__file__).parent
    files = {
        f"ecggen/{file.relative_to(root).as_posix()}": hashlib.sha256(file.read_bytes()).hexdigest()[:12]
        for file in sorted(root.rglob("*.py"))
        if not {file.name, file.parent.name} & set(SHOWING)
    }
    return {**files, "torch": version("torch")}


def refuse_changes(order: Order, space: dict[str, Any] | None, data: str, code: dict[str, str]) -> None:
    """A search is carried on only with what it was begun with: half of each would prove nothing.

    Args:
        order: as it was begun.
        space: the space's file now, None where it is gone: its copy in the folder is then used.
        data: name of the cache folder now.
        code: digests now.

    Raises:
        UserError: names what changed.
    """
    changed = []
    if space is not None and space != order.content:
        changed.append(f"the space ({', '.join(_different(order.content, space))})")
    if data != order.data:
        changed.append("the data (source files, their settings, or the code that reads them)")
    if code != order.code:
        names = _different(order.code, code)
        changed.append(f"the code ({', '.join(names[:4])}{', ...' if len(names) > 4 else ''})")
    if changed:
        raise UserError(
            f"--resume {order.name}: expected what the search was begun with, changed: {'; '.join(changed)}; "
            "bring that back, or begin a new search"
        )


def alike(folder: Path, order: Order) -> list[Path]:
    """The other searches whose trainings are those of this one where settings are equal: same data, same code."""
    found = []
    for other in sorted(path.parent for path in folder.parent.glob(f"*/{ORDER_FILE}")):
        with suppress(UserError):
            theirs = read_order(other)
            if other != folder and theirs.data == order.data and theirs.code == order.code:
                found.append(other)
    return found


def _different(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Names at which two tables differ, one level down where both have a table there."""
    names = []
    for name in sorted(before.keys() | now.keys()):
        one, other = before.get(name), now.get(name)
        if one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            names += [f"{name}.{inner}" for inner in _different(one, other)]
        else:
            names.append(name)
    return names

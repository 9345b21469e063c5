"""The drawing of the house, kept by reading every import, those inside functions included."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
BASE = ("ecggen.leads", "ecggen.config", "ecggen.errors", "ecggen.atomic", "ecggen.npy", "ecggen.plainfile")
SETTINGS = (*BASE, "ecggen.limits", "ecggen.strictyaml", "ecggen.configfile")
RESULTS = (*SETTINGS, "ecggen.codetable", "ecggen.runid", "ecggen.stepfolder")
CORE = (*SETTINGS, "ecggen.data", "ecggen.models", "ecggen.losses", "ecggen.metrics", "ecggen.memory")

# Who may import whom: a module or package -> modules or packages. The longest fitting name decides; a package may
# always import its own modules. A module without a row is an error: draw it here first.
ALLOWED: dict[str, tuple[str, ...]] = {
    "ecggen": ("ecggen.checkpoint", "ecggen.models"),
    "ecggen.leads": (),
    "ecggen.config": (),
    "ecggen.errors": (),
    "ecggen.atomic": ("ecggen.errors",),
    "ecggen.npy": (),
    "ecggen.plainfile": (),
    "ecggen.limits": ("ecggen.config",),
    "ecggen.strictyaml": ("ecggen.errors",),
    "ecggen.configfile": SETTINGS,
    "ecggen.codetable": SETTINGS,
    "ecggen.runid": (*SETTINGS, "ecggen.codetable"),
    "ecggen.stepfolder": (*RESULTS, "ecggen.events"),
    "ecggen.progress": BASE,
    "ecggen.worker": (),
    "ecggen.events": (),
    "ecggen.commandline": ("ecggen.errors",),
    "ecggen.data": (*BASE, "ecggen.worker"),
    "ecggen.data.heart": (),
    "ecggen.data.recording": (),
    "ecggen.data.rpeaks": (),
    "ecggen.data.transfer": (),
    "ecggen.data.beats": ("ecggen.data.transfer",),
    "ecggen.data.tokenizer": ("ecggen.config", "ecggen.leads", "ecggen.data.beats", "ecggen.data.rpeaks"),
    "ecggen.models": ("ecggen.config", "ecggen.leads", "ecggen.data.tokenizer", "ecggen.data.beats"),
    "ecggen.losses": ("ecggen.config", "ecggen.leads", "ecggen.models"),
    "ecggen.metrics": ("ecggen.leads",),
    "ecggen.memory": ("ecggen.errors",),
    "ecggen.baselines": CORE,
    "ecggen.checkpoint": CORE,
    "ecggen.rivals": (*CORE, "ecggen.baselines"),
    "ecggen.sidebyside": (),
    "ecggen.eval": (*CORE, "ecggen.baselines", "ecggen.rivals", "ecggen.sidebyside"),
    "ecggen.reconstruction": (*CORE, "ecggen.baselines", "ecggen.eval", "ecggen.rivals", "ecggen.sidebyside"),
    "ecggen.auroc": (),
    "ecggen.labels": (),
    "ecggen.logistic": (),
    "ecggen.probe": (
        *CORE,
        *("ecggen.auroc", "ecggen.eval", "ecggen.logistic", "ecggen.optimizer", "ecggen.sidebyside"),
    ),
    "ecggen.controls": (*CORE, "ecggen.eval", "ecggen.probe"),
    "ecggen.readouts": (*CORE, "ecggen.auroc", "ecggen.controls", "ecggen.labels", "ecggen.probe"),
    "ecggen.encode": (*CORE, "ecggen.eval"),
    "ecggen.planted": CORE,
    "ecggen.drift": (*CORE, "ecggen.planted"),
    "ecggen.frank": CORE,
    "ecggen.options": (*BASE, "ecggen", "ecggen.commandline"),
    "ecggen.portrait": BASE,
    "ecggen.observe": (*CORE, "ecggen.eval", "ecggen.portrait", "ecggen.figures"),
    "ecggen.examination": BASE,
    "ecggen.examine": (*CORE, "ecggen.examination"),
    "ecggen.figures": (*BASE, "ecggen.portrait", "ecggen.examination"),
    "ecggen.gallery": ("ecggen",),
    "ecggen.card": BASE,
    "ecggen.cardrows": ("ecggen.rivals",),
    "ecggen.cardtext": ("ecggen.rivals",),
    "ecggen.evidence": ("ecggen",),
    "ecggen.leaderboard": BASE,
    "ecggen.curriculum": (*BASE, "ecggen.data"),
    "ecggen.acceleration": CORE,
    "ecggen.optimizer": ("ecggen.config",),
    "ecggen.train": (
        *CORE,
        "ecggen.acceleration",
        "ecggen.curriculum",
        "ecggen.checkpoint",
        "ecggen.eval",
        "ecggen.optimizer",
        "ecggen.progress",
    ),
    "ecggen.judging": (
        *CORE,
        *("ecggen.acceleration", "ecggen.eval", "ecggen.probe", "ecggen.reconstruction", "ecggen.sidebyside"),
    ),
    "ecggen.runs": ("ecggen",),
    "search": (
        *(*RESULTS, "ecggen.metrics", "ecggen.leaderboard"),
        *(
            f"ecggen.{name}"
            for name in ("data", "train", "eval", "checkpoint", "commandline", "events", "progress", "runs", "worker")
        ),
    ),
    # The page of a search is made without torch and Ray, on any machine.
    "search.report": (
        *(*RESULTS, "ecggen.card", "ecggen.commandline", "ecggen.figures", "ecggen.leaderboard", "ecggen.portrait"),
        *(
            f"search.{name}"
            for name in ("asking", "ledger", "order", "rungs", "space", "study", "trialfile", "verdict")
        ),
    ),
    "main": ("ecggen",),
    "run_search": ("ecggen", "search"),
}
# These need torch, numpy and the standard library, and nothing else.
PLAIN_TORCH = (
    "ecggen.models",
    "ecggen.data.tokenizer",
    "ecggen.data.beats",
    "ecggen.data.transfer",
    "ecggen.data.rpeaks",
    "ecggen.losses",
)
STANDARD_LIBRARY = ("ecggen.config", "ecggen.errors", "ecggen.atomic", "ecggen.limits")
NAMELESS_ROOMS = {"util", "utils", "helper", "helpers", "misc", "common"}


def sources():
    """Module name -> file, for everything that may import or be imported."""
    files = [path for top in ("ecggen", "search") for path in sorted((REPO / top).rglob("*.py"))]
    files += [path for name in ("main.py", "run_search.py") if (path := REPO / name).exists()]
    return {name_of(path): path for path in files}


def name_of(path):
    parts = path.relative_to(REPO).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path, modules):
    """Every module that a file imports anywhere, `from a import b` as a.b where that is a module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, (
                f"{path}:{node.lineno}: expected absolute imports, got a relative one; write the name out"
            )
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules else node.module for name in named}
    return found


MODULES = sources()
IMPORTS = {name: imports_of(path, MODULES) for name, path in MODULES.items()}


def within(name, prefixes):
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def row_of(name):
    fitting = [prefix for prefix in ALLOWED if within(name, [prefix]) and (prefix != "ecggen" or name == "ecggen")]
    assert fitting, f"{name}: has no row in ALLOWED; say what it may import"
    return max(fitting, key=len)


@pytest.mark.parametrize("name", MODULES)
def test_imports_follow_the_drawing(name):
    row = row_of(name)
    own = [row] if (REPO / row.replace(".", "/")).is_dir() and row != "ecggen" else []
    ours = {other for other in IMPORTS[name] if within(other, ["ecggen", "search", "main", "run_search"])}
    wrong = sorted(other for other in ours if not within(other, [*ALLOWED[row], *own]))
    assert not wrong, f"{name} may import {', '.join(ALLOWED[row]) or 'nothing of ours'}; got {', '.join(wrong)}"


def test_there_are_no_cycles():
    done, path = set(), []

    def visit(name):
        assert name not in path, f"import cycle: {' -> '.join([*path[path.index(name) :], name])}"
        if name in done:
            return
        path.append(name)
        for other in sorted(IMPORTS[name] & set(MODULES)):
            visit(other)
        done.add(path.pop())

    for name in MODULES:
        visit(name)


def outside(name):
    return {other.split(".")[0] for other in IMPORTS[name]} - {"ecggen", "search"} - set(sys.stdlib_module_names)


@pytest.mark.parametrize("name", [name for name in MODULES if within(name, PLAIN_TORCH)])
def test_the_core_needs_torch_and_numpy_alone(name):
    assert outside(name) <= {"torch", "numpy"}


@pytest.mark.parametrize("name", STANDARD_LIBRARY)
def test_the_base_needs_the_standard_library_alone(name):
    assert not outside(name)


@pytest.mark.parametrize("name", [name for name in MODULES if within(name, ["ecggen"])])
def test_the_core_knows_nothing_of_the_search(name):
    assert not outside(name) & {"ray", "optuna", "plotly"}


def test_rooms_have_names():
    files = [path for top in ("ecggen", "search", "tests", "benchmarks") for path in (REPO / top).rglob("*")]
    files += list(REPO.glob("*.py"))
    assert not [path for path in files if path.stem.lower() in NAMELESS_ROOMS]


def test_data_package_is_only_a_marker():
    assert (REPO / "ecggen" / "data" / "__init__.py").read_text() == ""


IMPORT_ALL = """
import importlib, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("ray", "optuna", "plotly"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def test_ecggen_works_without_ray_and_optuna():
    names = [name for name in MODULES if within(name, ["ecggen"])]
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL, *names], cwd=REPO, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

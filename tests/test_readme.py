"""The README's commands are understood as they are typed."""

import re
import shlex

import pytest

import main as entry
import run_search as search_entry
from tests.conftest import REPO

PAGES = ("README.md", "CONTRIBUTING.md", "results/README.md")
COMMANDS = [
    line.split("#")[0].strip()
    for page in PAGES
    for line in (REPO / page).read_text(encoding="utf-8").splitlines()
    if re.match(r"\s*(python main\.py|python run_search\.py|make) ", line)
]


def test_the_pages_show_commands():
    assert sum(command.startswith("python main.py") for command in COMMANDS) >= 5
    assert {"make search", "make run", "make test"} <= set(COMMANDS)


@pytest.mark.parametrize("command", sorted({c for c in COMMANDS if c.startswith("python main.py")}))
def test_main_understands(command):
    entry.parser().parse_args(shlex.split(command)[2:])


@pytest.mark.parametrize("command", sorted({c for c in COMMANDS if c.startswith("python run_search.py")}))
def test_run_search_understands(command):
    search_entry.parser().parse_args(shlex.split(command)[2:])


@pytest.mark.parametrize("command", sorted({c for c in COMMANDS if c.startswith("make")}))
def test_make_has_the_target(command):
    targets = re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert command.split()[1] in targets


def test_files_that_the_readme_names_exist():
    text = (REPO / "README.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (REPO / link).exists(), link
    for path in re.findall(r"`((?:ecggen|configs|benchmarks)/[\w/.]*)`", text):
        assert (REPO / path).exists(), path

"""The supply chain: every package pinned, said what for, and audited where somebody answers."""

import re
import stat
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement

from tests.conftest import REPO

PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DIRECT = [Requirement(word) for word in PROJECT["dependencies"]]
DIRECT += [Requirement(word) for words in PROJECT["optional-dependencies"].values() for word in words]
LINES = (REPO / "constraints.txt").read_text(encoding="utf-8").splitlines()
NOT_PINNED = {"setuptools"}  # of the build, or brought by the environment itself


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


PINS = dict(line.split("==") for line in LINES)
PINNED = {normal(name): version for name, version in PINS.items()}


def test_pins_are_exact_and_from_the_index_alone():
    for line in LINES:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line), line  # no URL, path, range or local version
    assert len(PINNED) == len(LINES)


@pytest.mark.parametrize("wanted", DIRECT, ids=str)
def test_every_dependency_has_a_pin_within_its_range(wanted):
    assert wanted.specifier, f"{wanted.name}: expected a range, got none"
    assert wanted.specifier.contains(PINNED[normal(wanted.name)]), f"{wanted}: pinned to {PINNED[normal(wanted.name)]}"


def test_what_dependencies_bring_along_is_pinned_and_installed_so():
    todo, seen, missing, other = list(DIRECT), set(), set(), set()
    while todo:
        wanted = todo.pop()
        key = normal(wanted.name), tuple(sorted(wanted.extras))
        if key in seen or key[0] in NOT_PINNED:
            continue
        seen.add(key)
        if key[0] not in PINNED:
            missing.add(key[0])
            continue
        try:
            there = distribution(wanted.name)
        except PackageNotFoundError:  # of an extra that is not installed here
            continue
        if there.version.split("+")[0] != PINNED[key[0]]:
            other.add(f"{key[0]} {there.version}, pinned {PINNED[key[0]]}")
        for word in there.requires or ():
            need = Requirement(word)
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in (*wanted.extras, "")):
                todo.append(need)
    assert not missing, f"no pin: {sorted(missing)}"
    assert not other, f"not the tested version: {sorted(other)}; install with -c constraints.txt"


def test_the_bill_in_contributing_names_every_dependency_and_no_other():
    text = (REPO / "CONTRIBUTING.md").read_text(encoding="utf-8")
    bill = text.split("## What each dependency is for")[1].split("\n## ")[0]
    rows = [
        row.split("|")[1:4] for row in bill.splitlines() if row.startswith("| ") and not row.startswith("| package")
    ]
    assert all(len(purpose.strip()) > 4 and where.strip() for _, purpose, where in rows)
    named = {normal(name.split("[")[0].strip()) for names, _, _ in rows for name in names.split(",")}
    assert named == {normal(wanted.name) for wanted in DIRECT}


def test_torch_is_new_enough_for_its_plain_loader():
    """Before 2.6 a file could run code in spite of `weights_only` (CVE-2025-32434)."""
    (torch,) = [wanted for wanted in DIRECT if wanted.name == "torch"]
    assert not torch.specifier.contains("2.5.1") and torch.specifier.contains("2.6.0")


STUB = """#!{python}
import json, sys
answer = sys.argv[sys.argv.index("--output") + 1]
pins = open(sys.argv[sys.argv.index("--requirement") + 1]).read().split()
packages = [dict(zip(("name", "version"), pin.split("=="))) | {{"vulns": []}} for pin in pins]
{what}
json.dump({{"dependencies": packages}}, open(answer, "w"))
"""
FLAW = "[p.update(vulns=[{{'id': 'X-1', 'fix_versions': {fixed}}}]) for p in packages if p['name'] == 'b']"
AUDITORS = {
    "nobody answers": ("sys.exit(1)", 0, "skipped, the index of vulnerabilities cannot be reached"),
    "nobody knows": ("[p.update(skip_reason='?') for p in packages]", 0, "skipped, the index"),
    "half an answer": ("if len(pins) > 1: open(answer, 'w').write('{'); sys.exit(0)", 0, "did not answer for all"),
    "all is well": ("", 0, "2 packages, 0 flaws"),
    "a flaw that is mended": (FLAW.format(fixed="['2.1']"), 1, "b 2.0: X-1, mended in 2.1: raise the pin"),
    "a flaw that is not": (FLAW.format(fixed="[]"), 0, "b 2.0: X-1, no version mends it yet"),
}


@pytest.mark.parametrize("case", AUDITORS)
def test_the_audit_is_red_for_what_can_be_mended_and_for_nothing_else(tmp_path, case):
    what, code, says = AUDITORS[case]
    what = what.replace("{{", "{").replace("}}", "}")
    auditor, pins = tmp_path / "pip-audit", tmp_path / "constraints.txt"
    auditor.write_text(STUB.format(python=sys.executable, what=what))
    auditor.chmod(auditor.stat().st_mode | stat.S_IXUSR)
    pins.write_text("a==1.0\nb==2.0\n")
    done = subprocess.run(
        [sys.executable, str(REPO / ".ci" / "audit.py"), str(auditor), str(pins)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (code, "")
    assert says in done.stdout


def test_without_pip_audit_the_audit_is_skipped(tmp_path):
    words = [sys.executable, str(REPO / ".ci" / "audit.py"), str(tmp_path / "none"), str(REPO / "constraints.txt")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("audit: skipped")


def test_what_ci_runs_includes_the_audit():
    assert "make --no-print-directory audit" in (REPO / ".ci" / "run").read_text(encoding="utf-8")

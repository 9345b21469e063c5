"""What must be said: by every module, by everything public, and by every class of the model."""

import ast
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
FILES = [path for top in ("ecggen", "search", "benchmarks") for path in sorted((REPO / top).rglob("*.py"))]
FILES += [path for name in ("main.py", "run_search.py") if (path := REPO / name).exists()]
FILES = [path for path in FILES if path.read_text(encoding="utf-8").strip()]  # an empty __init__.py is only a marker
MODELS = [path for path in FILES if path.is_relative_to(REPO / "ecggen" / "models")]
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def label(path):
    return str(path.relative_to(REPO))


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def public(body):
    """Public functions and classes of a module, and the public methods of those classes."""
    for node in body:
        if isinstance(node, DEFINITIONS) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)


@pytest.mark.parametrize("path", FILES, ids=label)
def test_a_module_says_what_it_is(path):
    assert ast.get_docstring(tree_of(path)), f"{label(path)}: expected a docstring that says what it is and why"


@pytest.mark.parametrize("path", [path for path in FILES if label(path).startswith(("ecggen", "search"))], ids=label)
def test_everything_public_is_documented(path):
    silent = [f"{node.name} (line {node.lineno})" for node in public(tree_of(path).body) if not ast.get_docstring(node)]
    assert not silent, f"{label(path)}: expected docstrings, none on {', '.join(silent)}"


@pytest.mark.parametrize("path", MODELS, ids=label)
def test_a_class_of_the_model_says_role_input_and_output(path):
    for node in tree_of(path).body:
        if isinstance(node, ast.ClassDef):
            said = ast.get_docstring(node) or ""
            missing = [word for word in ("Role:", "Input:", "Output:") if word not in said.replace("**", "")]
            assert not missing, (
                f"{label(path)}: {node.name}: expected Role:, Input:, Output:, got no {', '.join(missing)}"
            )

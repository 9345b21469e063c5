"""Model files: whole, self-describing, and refused when they are not what they say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import ecggen
from ecggen.checkpoint import _numbers_at_most, load_model, save_model
from ecggen.config import ESTIMATORS, RunConfig
from ecggen.configfile import apply_settings
from ecggen.errors import UserError
from ecggen.models.ecggen import ECGGenModel
from tests.models.conftest import hearts, small_model

REPO = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("mode", ["vector", "mlp"])
@pytest.mark.parametrize("head", [None, "linear", "mlp"])
def test_a_saved_model_gives_the_same_results_without_any_yaml(tmp_path, mode, head):
    model = small_model(mode)
    if head:
        model.attach_head(head, ("NORM", "MI"), multi_label=True)
    save_model(tmp_path / "model.safetensors", model)
    loaded = ecggen.load(tmp_path)
    assert loaded.cfg == model.cfg and loaded.classes == model.classes and loaded.multi_label == model.multi_label
    with torch.no_grad():
        ours, theirs = model(hearts(2)), loaded(hearts(2))
    for name in ("W", "E_hat", *(["logits"] if head else [])):
        assert torch.equal(ours[name], theirs[name])


def test_a_missing_model_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(UserError, match=r"model\.safetensors.*got none"):
        ecggen.load(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = tmp_path / "model.safetensors"
    save_model(path, small_model())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match="damaged"):
        load_model(path)


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"x": torch.zeros(2)}, path)
    with pytest.raises(UserError, match="ecggen-model-1, got none"):
        load_model(path)


def test_a_checkpoint_of_another_shape_is_refused_with_both_shapes(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, small_model())
    from safetensors import safe_open

    with safe_open(path, "pt") as stream:
        header = stream.metadata()
    tensors = load_file(path)
    tensors["vcg.basis"] = torch.zeros(9, 40)
    save_file(tensors, path, metadata=header)
    with pytest.raises(UserError, match=r"vcg.basis \(8, 40\).*got \(9, 40\)"):
        load_model(path)


def test_a_header_with_unknown_settings_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, small_model())
    tensors = load_file(path)
    header = {"format": "ecggen-model-1", "model": '{"fast_state": {"mode": "vectr"}}', "head": "null"}
    save_file(tensors, path, metadata=header)
    with pytest.raises(UserError, match="Did you mean vector"):
        load_model(path)


@pytest.mark.parametrize("block", ["{", "1" * 5000, "[]", "null", '{"encoder": 3}'])
def test_a_header_that_is_no_model_block_is_one_line(tmp_path, block):
    path = tmp_path / "model.safetensors"
    save_model(path, small_model())
    save_file(load_file(path), path, {"format": "ecggen-model-1", "model": block, "head": "null"})
    with pytest.raises(UserError) as fault:
        load_model(path)
    assert len(str(fault.value).splitlines()) == 1


LARGE = [
    {"fast_state": {"size": 16_384}, "ttt": {"estimator": "amortised"}},  # 2 GB
    {"encoder": {"d_model": 4096, "layers": 48}},  # 13 GB
]


# In a process of its own: the most memory that one ever had is never less again.
REFUSED = """
import resource, sys
from pathlib import Path
from ecggen.checkpoint import load_model
from ecggen.errors import UserError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in map(Path, sys.argv[1:]):
    try:
        load_model(path)
    except UserError as fault:
        print("as its settings say" in str(fault))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_header_that_asks_for_more_than_it_has_is_refused_without_taking_the_memory(tmp_path):
    save_model(tmp_path / "own.safetensors", small_model())
    tensors = load_file(tmp_path / "own.safetensors")
    paths = [tmp_path / f"{at}.safetensors" for at in range(len(LARGE))]
    for path, block in zip(paths, LARGE, strict=True):
        save_file(tensors, path, {"format": "ecggen-model-1", "model": json.dumps(block), "head": "null"})
    done = subprocess.run([sys.executable, "-c", REFUSED, *paths], capture_output=True, text=True, cwd=REPO)
    *refused, kilobytes = done.stdout.split()
    assert refused == ["True"] * len(LARGE), done.stderr
    assert int(kilobytes) < 500_000


SIZES = (
    "tokenizer.width", "encoder.d_model", "encoder.layers", "encoder.feedforward", "fast_state.size",
    "fast_state.key_width", "fast_state.hidden", "fast_state.value_width", "ttt.inner_steps", "vcg.basis_k",
    "vcg.hidden",
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(
    kind=st.sampled_from([("vector", name) for name in ESTIMATORS] + [("mlp", "gradient"), ("mlp", "amortised")]),
    sizes=st.fixed_dictionaries({f"model.{name}": st.sampled_from([1, 2, 8, 24, 40]) for name in SIZES}),
    classes=st.integers(0, 300),
)
def test_no_model_has_more_numbers_than_its_settings_are_taken_for(kind, sizes, classes):
    chosen = {"model.fast_state.mode": kind[0], "model.ttt.estimator": kind[1]}
    always = {"model.projection.view": "own", "model.encoder.heads": 1, "model.tokenizer.pace": True}
    cfg = apply_settings(RunConfig(), {**always, **chosen, **sizes}).model
    model, names = ECGGenModel(cfg), [f"class {at}" for at in range(classes)]
    if names:
        model.attach_head("mlp", names, multi_label=True)
    count = sum(value.numel() for value in model.state_dict().values())
    assert count <= _numbers_at_most(cfg, {"classes": names} if names else None)


def test_saving_leaves_no_temporary_file(tmp_path):
    save_model(tmp_path / "model.safetensors", small_model())
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]

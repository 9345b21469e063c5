"""Model files: whole, self-describing, and refused when they are not what they say."""

import pytest
import torch
from safetensors.torch import load_file, save_file

import ecggen
from ecggen.checkpoint import load_model, save_model
from ecggen.errors import UserError
from tests.models.conftest import hearts, small_model


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


def test_saving_leaves_no_temporary_file(tmp_path):
    save_model(tmp_path / "model.safetensors", small_model())
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]

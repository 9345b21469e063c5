from dataclasses import replace

import pytest

from ecggen import configfile
from ecggen.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from ecggen.configfile import (
    apply_overrides,
    apply_settings,
    check_setting,
    dump_yaml,
    from_dict,
    get_setting,
    load_run_config,
    setting_types,
    to_dict,
)
from ecggen.limits import CHOICES, RANGES
from tests.user_fault import fault_of

FREE_TEXT = {"data.root", "data.cache"}


def overridden(*settings):
    return apply_overrides(RunConfig(), settings)


def test_every_field_has_its_limits_and_no_limit_is_left_over():
    kinds = setting_types()
    flags = {path for path, kind in kinds.items() if kind is bool}
    assert set(kinds) == set(RANGES) | set(CHOICES) | FREE_TEXT | flags
    assert not set(RANGES) & set(CHOICES)


def test_defaults_lie_within_their_limits_and_survive_a_round_trip():
    assert from_dict(to_dict(RunConfig())) == RunConfig()
    assert from_dict({}) == RunConfig()


def test_yaml_round_trip(tmp_path):
    data = replace(DataConfig(), source="ptbxl", root="data/ptb xl", train_folds=(1, 2), limit=5)
    run = replace(RunConfig(), data=data, train=replace(TrainConfig(), lr=1e-5))
    (tmp_path / "run.yaml").write_text(dump_yaml(run))
    assert load_run_config(tmp_path / "run.yaml") == run


def test_file_then_codes_then_overrides(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(
        "model: {ttt: {chunk_size: 5, inner_steps: 5}}\ntrain:\n  steps: 5\neval:\ncodes: {anything: here}\n"
    )
    codes = {"model.ttt.inner_steps": 6, "train.steps": 6}
    run = load_run_config(file, ["train.steps=7"], codes)
    assert (run.model.ttt.chunk_size, run.model.ttt.inner_steps, run.train.steps) == (5, 6, 7)


def test_override_values_are_yaml():
    run = overridden("data.train_folds=[1, 2]", "data.limit=null", "train.lr=2e-4", "model.projection.residual=false")
    assert run.data.train_folds == (1, 2)
    assert run.data.limit is None
    assert run.train.lr == 2e-4
    assert run.model.projection.residual is False


def test_a_whole_number_may_stand_for_a_float_and_becomes_one():
    clip = overridden("train.clip=2").train.clip
    assert clip == 2.0
    assert isinstance(clip, float)


def test_overrides_that_depend_on_each_other_are_applied_together():
    assert overridden("model.encoder.heads=6", "model.encoder.d_model=96").model.encoder.heads == 6


def test_a_choice_error_lists_what_is_allowed_and_the_nearest():
    message = fault_of(overridden, "model.fast_state.mode=vectr")
    assert message.startswith("model.fast_state.mode: got 'vectr', allowed: vector, mlp")
    assert message.endswith("Did you mean vector?")


@pytest.mark.parametrize(
    ("setting", "path", "says"),
    [
        ("train.steps=0", "train.steps", "expected 1 or more, got 0"),
        ("train.steps=1.5", "train.steps", "expected a whole number, got 1.5"),
        ("train.steps=true", "train.steps", "expected a whole number, got True"),
        ("train.steps='5'", "train.steps", "without quotes"),
        ("train.lr=fast", "train.lr", "expected a number, got 'fast'"),
        ("train.lr=.nan", "train.lr", "finite"),
        ("train.lr=.inf", "train.lr", "finite"),
        ("train.lr=0", "train.lr", "more than 0"),
        ("train.clip=-1", "train.clip", "more than 0"),
        ("train.warmup=1.1", "train.warmup", "0 to 1"),
        ("train.all_leads=-0.1", "train.all_leads", "0 to 1"),
        ("train.max_leads=13", "train.max_leads", "1 to 12"),
        ("train.seed=-1", "train.seed", "0"),
        ("data.root=5", "data.root", "quotes"),
        ("data.limit=0", "data.limit", "1 or more"),
        ("data.ptbxl_rate=250", "data.ptbxl_rate", "allowed: 100, 500"),
        ("data.train_folds=1", "data.train_folds", "list"),
        ("data.train_folds=[a]", "data.train_folds", "whole number"),
        ("model.projection.residual=1", "model.projection.residual", "true or false"),
        ("model.fast_state.size=1000000000000", "model.fast_state.size", "16384"),
        (f"model.fast_state.size=0x{'f' * 9000}", "model.fast_state.size", "16384"),
        (f"train.lr=0x{'f' * 9000}", "train.lr", "expected"),
        ("model.encoder.heads=5", "model.encoder.heads", "divisor of d_model 64"),
        ("train.min_leads=9", "train.min_leads", "max_leads 8"),
        ("model.signal.band_high=60", "model.signal.band_high", "fs / 2 50"),
        ("model.signal.band_low=0", "model.signal.band_low", "more than 0"),
        ("model.vcg.basis_k=200", "model.vcg.basis_k", "beat_len 100"),
        ("model.projection.residual_kernel=4", "model.projection.residual_kernel", "odd"),
        ("data.val_folds=[8]", "data.train_folds", "each fold once, got [8] twice"),
        ("train=5", "train", "block"),
        ("model.ttt={}", "model.ttt", "block"),
        ("train.steps=[1", "--set train.steps", "plain YAML"),
        ("steps", "--set", "dotted.path=value"),
        ("=5", "--set", "dotted.path=value"),
    ],
)
def test_wrong_values_are_named_with_path_expected_and_got(setting, path, says):
    message = fault_of(overridden, setting)
    assert message.startswith(path)
    assert says in message


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("model.fast_state.mod", "model.fast_state.mode"),
        ("model.faststate.mode", "model.fast_state.mode"),
        ("train.chunk_size", "model.ttt.chunk_size"),
        ("chunk_size", "model.ttt.chunk_size"),
        ("train.momentum_of_sgd", ""),
    ],
)
def test_unknown_paths_name_the_nearest(path, nearest):
    message = fault_of(check_setting, path, 1)
    assert message.startswith(f"{path}: unknown setting")
    assert message.endswith(f"Did you mean {nearest}?" if nearest else ".")


@pytest.mark.parametrize(
    ("blocks", "says"),
    [
        ({"modle": {}}, "Did you mean model?"),
        ({"train": {"step": 5}}, "train.step: unknown setting"),
        ({"train": {"inner_steps": 5}}, "Did you mean model.ttt.inner_steps?"),
        ({"train": [1]}, "train: expected a block of settings, got [1]"),
        ({"model": {"ttt": 3}}, "model.ttt: expected a block"),
        ({5: 1}, "5: unknown setting"),
        ([], "expected a block"),
        ({"train": {"a\nb" * 100: 1}}, "unknown setting"),
        ({"data": {"source": ["simulator"]}}, "data.source: expected text"),
    ],
)
def test_wrong_blocks(blocks, says):
    assert says in fault_of(from_dict, blocks)


def test_a_fault_in_a_file_names_the_file(tmp_path):
    (tmp_path / "my.yaml").write_text("train: {steps: none}")
    message = fault_of(load_run_config, tmp_path / "my.yaml")
    assert message.startswith(f"{tmp_path / 'my.yaml'}: train.steps: expected a whole number, got 'none'")


def test_settings_are_read_by_path():
    assert get_setting(RunConfig(), "model.fast_state.mode") == "vector"
    assert "Did you mean" in fault_of(get_setting, RunConfig(), "model.fast_state.mood")


def test_apply_settings_leaves_the_given_run_as_it_was():
    run = RunConfig()
    assert apply_settings(run, {"model.fast_state.size": 7}).model.fast_state.size == 7
    assert run.model == ModelConfig()


def test_did_you_mean_says_nothing_where_nothing_is_near():
    assert configfile.did_you_mean("xyz", ["vector", "mlp"]) == ""

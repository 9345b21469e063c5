import copy
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from ecggen.codetable import CodeTable, read_codes
from ecggen.configfile import apply_settings, load_run_config
from ecggen.runid import ensure_runid, parse_runid, settings_of, two_digits
from ecggen.strictyaml import read_yaml
from search.space import GRID_LIMIT, Defaults, load_space, parse_space, space_names
from tests.user_fault import fault_of

REPO = Path(__file__).resolve().parents[2]
V1, SPACES = REPO / "configs" / "train" / "v1.yaml", REPO / "configs" / "spaces"
TABLE, BASE = read_codes(V1), load_run_config(V1)
MODE, SIZE, HIDDEN = "model.fast_state.mode", "model.fast_state.size", "model.fast_state.hidden"
CONDITIONAL = {
    MODE: {"choice": ["vector", "mlp"]},
    SIZE: {"choice": [64, 128], "when": {MODE: "vector"}},
    HIDDEN: {"choice": [8, 16], "when": {MODE: "mlp"}},
}


class FakeTrial:
    """Suggests by chance, as Optuna's random sampler does, and keeps what it was asked."""

    def __init__(self, seed=0):
        self.chance, self.asked = random.Random(seed), {}

    def suggest_categorical(self, name, choices):
        self.asked[name] = tuple(choices)
        return self.chance.choice(choices)

    def suggest_int(self, name, low, high, step=1):
        self.asked[name] = (low, high, step)
        return self.chance.randrange(low, high + 1, step)

    def suggest_float(self, name, low, high, log=False):
        self.asked[name] = (low, high, log)
        return min(high, low * (high / low) ** self.chance.random()) if log else self.chance.uniform(low, high)


class EndTrial(FakeTrial):
    """Suggests one end of every range."""

    def __init__(self, high):
        super().__init__()
        self.high = high

    def suggest_float(self, name, low, high, log=False):
        return high if self.high else low


def space_of(entries, table=TABLE, base=BASE, **blocks):
    return parse_space("mine", {"about": "a question", "space": entries, **blocks}, table, base, "mine.yaml")


def fault_in(entries, **blocks):
    message = fault_of(lambda: space_of(entries, **blocks))
    assert message.startswith("mine.yaml: ")
    return message


def grid_of(entries, base=BASE):
    return space_of(entries, base=base).grid(base, TABLE)


# What is shipped


def test_the_named_spaces():
    names = space_names(SPACES)
    assert [name for name, _ in names] == ["ablations", "basis_k", "chunk_size", "joint", "regularizers", "ttt_mode"]
    assert all(about and "\n" not in about for _, about in names)


def test_ttt_mode_is_mode_and_size_by_inner_steps():
    space = load_space("ttt_mode", TABLE, BASE, SPACES)
    codes = [(1, 1), (1, 4), (2, 1), (2, 4), (3, 1), (3, 4), (5, 1), (5, 4)]
    assert space.grid(BASE, TABLE) == [{"m": m, "s": s} for m, s in codes]
    assert space.grid_size(BASE, TABLE) == 8
    assert space.defaults.steps_for("simulator") == 225
    assert space.defaults.steps_for("ptbxl") == space.defaults.steps_for("mimic") == 1350


@pytest.mark.parametrize(
    ("name", "size"), [("ablations", 16), ("chunk_size", 6), ("basis_k", 8), ("regularizers", None), ("joint", None)]
)
def test_sizes_of_the_named_grids(name, size):
    space = load_space(name, TABLE, BASE, SPACES)
    assert space.grid_size(BASE, TABLE) == size
    assert space.defaults.trials == (size or {"regularizers": 24, "joint": 32}[name])


@pytest.mark.parametrize("name", [name for name, _ in space_names(SPACES)])
def test_every_point_of_a_named_space_is_a_run_with_an_id_and_is_found_again(name, tmp_path):
    space = load_space(name, TABLE, BASE, SPACES)
    if space.grid_size(BASE, TABLE) is None:
        points = [space.suggest(FakeTrial(seed), BASE, TABLE) for seed in range(50)]
    else:
        points = space.grid(BASE, TABLE)
    for params in points:
        run = space.run(params, BASE, TABLE)
        assert space.params_of(run, BASE, TABLE) == params
        said = settings_of(ensure_runid(run, V1, tmp_path), read_codes(V1, tmp_path))
        assert apply_settings(run, said) == run


@pytest.mark.parametrize("name", ["ttt_mode", "chunk_size", "basis_k"])
def test_joint_holds_every_point_of_the_small_spaces(name):
    joint, space = (load_space(one, TABLE, BASE, SPACES) for one in ("joint", name))
    for params in space.grid(BASE, TABLE):
        run = space.run(params, BASE, TABLE)
        assert joint.run(joint.params_of(run, BASE, TABLE), BASE, TABLE) == run


def test_a_code_space_gives_the_ids_of_its_codes(tmp_path):
    space = load_space("ttt_mode", TABLE, BASE, SPACES)
    ids = [ensure_runid(space.run(params, BASE, TABLE), V1, tmp_path) for params in space.grid(BASE, TABLE)]
    assert ids[:2] == ["m1s1k1", "m1s4k1"]
    assert parse_runid(ids[-1]) == (5, 4, 1)
    assert not (tmp_path / "codes.yaml").exists()


# Points


def test_an_entry_whose_condition_does_not_hold_is_no_part_of_the_point():
    points = [
        {MODE: "vector", SIZE: 64},
        {MODE: "vector", SIZE: 128},
        {MODE: "mlp", HIDDEN: 8},
        {MODE: "mlp", HIDDEN: 16},
    ]
    space = space_of(CONDITIONAL)
    assert space.grid(BASE, TABLE) == points
    trial = FakeTrial()
    params = space.suggest(trial, BASE, TABLE)
    assert params in points
    assert list(trial.asked) == list(params)
    run = space.run({MODE: "mlp", HIDDEN: 8}, BASE, TABLE)
    assert run == apply_settings(BASE, {MODE: "mlp", HIDDEN: 8})


def test_conditions_on_a_code_and_on_what_a_code_sets():
    energy, smooth = "train.loss.energy", "train.loss.smoothness"
    space = space_of(
        {
            "m": [1, 2],
            energy: {"choice": [0.0, 0.001], "when": {"m": 2}},
            smooth: {"choice": [0.0, 0.01], "when": {MODE: "vector"}},
        }
    )
    points = [{"m": 1, smooth: 0.0}, {"m": 1, smooth: 0.01}, {"m": 2, energy: 0.0}, {"m": 2, energy: 0.001}]
    assert space.grid(BASE, TABLE) == points


def test_all_conditions_must_hold_and_an_inactive_entry_fulfils_none():
    steps = "model.ttt.inner_steps"
    points = grid_of(
        {
            "m": [1, 2],
            "k": {"choice": [1, 2], "when": {"m": 2}},
            steps: {"choice": [1, 4], "when": {"k": [1, 2]}},
            "train.lr": {"choice": [0.001, 0.01], "when": {"m": [1, 2], steps: 4}},
        }
    )
    assert {"m": 1} in points
    assert {"m": 2, "k": 1, steps: 1} in points
    assert {"m": 2, "k": 2, steps: 4, "train.lr": 0.01} in points
    assert len(points) == 1 + 2 * (1 + 2)


def test_a_condition_on_a_setting_that_nothing_turns_is_read_from_the_base_run():
    entries = {"train.lr": {"choice": [0.001, 0.002]}, HIDDEN: {"choice": [8, 16], "when": {MODE: "mlp"}}}
    assert grid_of(entries) == [{"train.lr": 0.001}, {"train.lr": 0.002}]
    assert len(grid_of(entries, base=apply_settings(BASE, {MODE: "mlp"}))) == 4


def test_an_inactive_entry_leaves_the_base_value_and_a_condition_may_name_it():
    lr = {"choice": [0.001, 0.002], "when": {HIDDEN: 16}}  # the base run's value; HIDDEN itself is 8 or nothing
    entries = {**CONDITIONAL, HIDDEN: {"choice": [4, 8], "when": {MODE: "mlp"}}, "train.lr": lr}
    assert [len(point) for point in grid_of(entries)] == [3, 3, 3, 3, 2, 2]


def test_the_first_entry_is_slowest():
    first, second = "model.ttt.chunk_size", "model.vcg.basis_k"
    points = grid_of({first: {"choice": [4, 1]}, second: {"int": [8, 24], "step": 8}})
    assert [(point[first], point[second]) for point in points] == [(4, 8), (4, 16), (4, 24), (1, 8), (1, 16), (1, 24)]


def test_a_run_is_in_the_grid_once():
    whole = {MODE: "vector", SIZE: 128}
    table = CodeTable({"m": {1: {SIZE: 128}, 2: whole}, "s": {}, "k": {}})
    space = space_of({"m": [1, 2]}, table=table)
    assert space.grid(BASE, table) == [{"m": 1}]
    assert space.grid_size(BASE, table) == 1
    mlp = apply_settings(BASE, {MODE: "mlp"})
    assert len(space.grid(mlp, table)) == 2
    assert space.params_of(apply_settings(mlp, whole), mlp, table) == {"m": 2}
    assert space.params_of(mlp, mlp, table) == {"m": 1}


def test_a_continuous_entry_has_no_grid():
    space = space_of({"m": [1, 2], "train.lr": {"loguniform": [1e-4, 1e-2]}})
    assert space.grid_size(BASE, TABLE) is None
    message = fault_of(space.grid, BASE, TABLE)
    assert "train.lr" in message
    assert "choice" in message


def test_a_huge_grid_is_counted_no_further_than_needed_and_not_built():
    count = {"int": [1, 1_000_000_000]}
    space = space_of({"train.batch_size": count, "train.validate_records": count})
    start = time.process_time()
    assert space.grid_size(BASE, TABLE) == GRID_LIMIT + 1
    assert time.process_time() - start < 2
    assert "at most 10000" in fault_of(space.grid, BASE, TABLE)


def test_what_a_trial_is_asked():
    trial = FakeTrial()
    space_of(
        {
            "s": [4, 1],
            "model.vcg.basis_k": {"int": [8, 32], "step": 8},
            "model.vcg.hidden": {"int": [0, 5]},
            "train.lr": {"loguniform": [1e-4, 1e-2]},
            "train.clip": {"uniform": [1, 2]},
            "model.projection.residual": {"choice": [True, False]},
        }
    ).suggest(trial, BASE, TABLE)
    assert trial.asked == {
        "s": (4, 1),
        "model.vcg.basis_k": (8, 32, 8),
        "model.vcg.hidden": (0, 5, 1),
        "train.lr": (1e-4, 1e-2, True),
        "train.clip": (1.0, 2.0, False),
        "model.projection.residual": (True, False),
    }


def test_continuous_values_have_two_digits_and_stay_inside():
    low, high = {"train.lr": 1.1e-4, "train.loss.energy": 0.0}, {"train.lr": 9.9e-3, "train.loss.energy": 0.15}
    space = space_of({name: {"uniform": [low[name], high[name]]} for name in low})
    assert space.suggest(EndTrial(high=False), BASE, TABLE) == low
    assert space.suggest(EndTrial(high=True), BASE, TABLE) == high
    for seed in range(50):
        for name, value in space.suggest(FakeTrial(seed), BASE, TABLE).items():
            assert low[name] <= value <= high[name]
            assert value == two_digits(value)


def test_settings_write_codes_out():
    space = space_of({"m": [5], "train.lr": {"choice": [0.001]}})
    assert space.settings({"m": 5, "train.lr": 0.001}, TABLE) == {**TABLE.rows["m"][5], "train.lr": 0.001}
    assert "Did you mean train.lr?" in fault_of(space.settings, {"train.lrr": 0.1}, TABLE)
    assert "no code 77" in fault_of(space.settings, {"m": 77}, TABLE)


def test_settings_that_do_not_fit_together_name_the_point():
    space = space_of({"model.vcg.basis_k": {"choice": [24, 200]}})
    message = fault_of(space.run, {"model.vcg.basis_k": 200}, BASE, TABLE)
    assert "mine" in message
    assert "point model.vcg.basis_k=200" in message
    assert "beat_len" in message


def test_settings_that_fit_only_together_are_set_together():
    entries = {"model.vcg.basis_k": {"choice": [150]}, "model.tokenizer.beat_len": {"choice": [200]}}
    (params,) = grid_of(entries)
    assert space_of(entries).run(params, BASE, TABLE).model.vcg.basis_k == 150


@pytest.mark.parametrize(
    "settings",
    [
        {"model.vcg.basis_k": 12},  # between two steps
        {"model.vcg.basis_k": 40},  # beyond the range
        {"train.lr": 0.00123},  # more than two digits
        {"train.lr": 0.1},
        {MODE: "mlp"},  # no code of the space
        {"train.weight_decay": 0.5},  # something else than the base run has
        {"train.seed": 1},
    ],
)
def test_a_run_outside_the_space_has_no_point(settings):
    space = space_of(
        {"m": [1, 3], "model.vcg.basis_k": {"int": [8, 32], "step": 8}, "train.lr": {"uniform": [1e-3, 1e-2]}}
    )
    assert space.params_of(BASE, BASE, TABLE) == {"m": 1, "model.vcg.basis_k": 24, "train.lr": 0.002}
    assert space.params_of(apply_settings(BASE, settings), BASE, TABLE) is None


def test_a_value_that_only_an_active_entry_could_give_has_no_point():
    assert space_of(CONDITIONAL).params_of(apply_settings(BASE, {HIDDEN: 8}), BASE, TABLE) is None
    assert space_of(CONDITIONAL).params_of(BASE, BASE, TABLE) == {MODE: "vector", SIZE: 128}


# Files


def test_defaults():
    assert space_of({"m": [1]}).defaults == Defaults(trials=16, steps=None, finalists=3, seeds=3)
    assert space_of({"m": [1]}, search=None).defaults.steps_for("simulator") is None
    one = space_of({"m": [1]}, search={"steps": 40, "trials": 5, "finalists": 2, "seeds": 1}).defaults
    assert (one.trials, one.finalists, one.seeds) == (5, 2, 1)
    assert one.steps_for("simulator") == one.steps_for("wfdb") == 40
    some = space_of({"m": [1]}, search={"steps": {"simulator": 30}}).defaults
    assert (some.steps_for("simulator"), some.steps_for("ptbxl")) == (30, None)


@pytest.mark.parametrize(
    ("search", "says"),
    [
        ({"trails": 5}, "search: trails: unknown key, expected one of trials, steps"),
        ({"trails": 5}, "Did you mean trials?"),
        ({"trials": 0}, "search.trials: expected a whole number"),
        ({"trials": True}, "got True"),
        ({"seeds": 2.0}, "search.seeds: expected a whole number"),
        ({"steps": {"simulater": 5}}, "Did you mean simulator?"),
        ({"steps": {"recordings": "many"}}, "search.steps.recordings: expected a whole number"),
        ({"steps": {}}, "search.steps: expected"),
        ({"steps": None}, "search.steps: expected"),
        ([1], "search: expected keys"),
    ],
)
def test_faulty_defaults(search, says):
    assert says in fault_in({"m": [1]}, search=search)


@pytest.mark.parametrize("about", [None, "", " \n", "one\ntwo", 5])
def test_a_space_says_what_it_is_about_in_one_line(about):
    assert "about: expected one line" in fault_in({"m": [1]}, about=about)


LR = {"choice": [0.001, 0.002]}


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        (None, "space: expected entries"),
        ({}, "space: expected entries"),
        ([1], "space: expected entries"),
        # names
        ({"train.lrr": LR}, "Did you mean train.lr?"),
        ({"lr": LR}, "space.lr: unknown setting"),
        ({"q": [1]}, "Modules are m, s, k."),
        ({"model.vcg": LR}, "got a block; set e.g. model.vcg.basis_k"),
        ({"a\nb": LR}, "unknown setting"),
        ({7: LR}, "space.7: unknown setting"),
        # codes
        ({"m": [1, 99]}, "space.m: expected codes among 1, 2, 3, 4, 5, got 99"),
        ({"m": [1, 1]}, "got 1 twice"),
        ({"m": []}, "space.m: expected a list of one or more values"),
        ({"m": 1}, "space.m: expected e.g. [1, 2]"),
        ({"m": [True]}, "got True"),
        ({"m": ["m1"]}, "got 'm1'"),
        ({"m": {"int": [1, 2]}}, "space.m: int: unknown key"),
        # form
        ({"train.lr": [0.001, 0.002]}, "space.train.lr: expected e.g. {choice: [...]}"),
        ({"train.lr": {}}, "expected one of choice, int, uniform, loguniform, got none"),
        ({"train.lr": {"when": {"m": 1}}}, "got none"),
        ({"train.lr": {**LR, "uniform": [0.1, 0.2]}}, "got choice and uniform"),
        ({"train.lr": {"choise": [0.1]}}, "Did you mean choice?"),
        ({"train.lr": {**LR, "step": 2}}, "step: unknown key"),
        # choices
        ({"train.lr": {"choice": []}}, "expected a list of one or more values"),
        ({"train.lr": {"choice": 0.1}}, "expected a list of one or more values"),
        ({"train.lr": {"choice": [1, 1.0]}}, "got 1.0 twice"),
        ({"train.lr": {"choice": ["fast"]}}, "space.train.lr: expected a number, got 'fast'"),
        ({"train.lr": {"choice": [[0.1]]}}, "space.train.lr: expected a number"),
        ({"train.lr": {"choice": [0.1, 99]}}, "more than 0 and at most 10, got 99"),
        ({MODE: {"choice": ["vector", "mpl"]}}, "Did you mean mlp?"),
        # ranges
        ({"train.lr": {"uniform": [0.1]}}, "expected uniform: [low, high]"),
        ({"train.lr": {"uniform": [0.1, 0.1]}}, "expected low below high"),
        ({"train.lr": {"uniform": [0.2, 0.1]}}, "expected low below high, got [0.2, 0.1]"),
        ({"train.lr": {"uniform": [0.0, 0.1]}}, "space.train.lr: expected more than 0"),
        ({"train.lr": {"uniform": [0.1, 99]}}, "got 99"),
        ({"train.lr": {"uniform": [0.1, "1"]}}, "expected a number, got '1'"),
        ({"train.lr": {"uniform": [0.1, float("nan")]}}, "expected a finite number"),
        ({"train.lr": {"uniform": [0.001, 0.0123]}}, "expected two significant digits"),
        ({"train.lr": {"loguniform": [0.00101, 0.1]}}, "write 0.001"),
        ({"train.loss.energy": {"loguniform": [0.0, 0.1]}}, "expected a range above 0 for loguniform, got low 0.0"),
        ({"train.lr": {"int": [1, 5]}}, "expected a kind for numbers, got int; write uniform"),
        ({"model.vcg.basis_k": {"uniform": [8, 32]}}, "expected a kind for whole numbers, got uniform; write int"),
        ({"model.projection.residual": {"int": [0, 1]}}, "write choice"),
        ({"model.vcg.basis_k": {"int": [0, 32]}}, "expected 1 to 2000, got 0"),
        ({"model.vcg.basis_k": {"int": [8, 32], "step": 7}}, "divides high - low = 24, got 7"),
        ({"model.vcg.basis_k": {"int": [8, 32], "step": 0}}, "got 0"),
        # what a search must not turn, or would turn twice
        ({"train.seed": {"choice": [0, 1]}}, "space.train.seed: expected a setting of the model or of learning"),
        ({"train.steps": {"int": [5, 9]}}, "equal in all trials"),
        ({"train.threads": {"int": [1, 2]}}, "equal in all trials"),
        ({"train.device": {"choice": ["cpu", "cuda"]}}, "equal in all trials"),
        ({"train.validate_every": {"int": [1, 2]}}, "equal in all trials"),
        ({"data.seconds": {"choice": [10.0]}}, "equal in all trials"),
        ({"data.simulator.noise": {"choice": [0.0]}}, "equal in all trials"),
        ({"eval.bootstrap": {"choice": [10]}}, "equal in all trials"),
        ({"m": [1], HIDDEN: {"choice": [8]}}, f"space.{HIDDEN}: expected this setting once, got it beside m"),
        ({"train.loss.energy": LR, "k": [1]}, "beside k"),
    ],
)
def test_faulty_entries(entries, says):
    assert says in fault_in(entries)


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ({}, "expected when: {name: value or list of values}"),
        ("mlp", "expected when"),
        ({"m": []}, "when.m: expected a value or a list of values"),
        ({"m": 3}, "when.m: expected codes among 1, 2, got 3"),
        ({"m": [1, 1]}, "got 1 twice"),
        ({"m": "2"}, "got '2'"),
        ({"s": 1}, "when.s: expected an entry above this one (m, train.clip, train.warmup, model.vcg.basis_k)"),
        ({"k": 1}, "or a setting, got k"),
        (
            {"model.fast_state.mod": "mlp"},
            f"when.model.fast_state.mod: unknown setting; see configs/train for their names. Did you mean {MODE}?",
        ),
        ({MODE: "mpl"}, "Did you mean mlp?"),
        ({SIZE: 64}, f"when.{SIZE}: can never hold: expected one of 128, which m gives it, got 64"),
        ({"train.clip": 1.0}, "can never hold: expected one of 2.0, 4.0"),  # the base run's, which is always replaced
        ({"model.vcg.basis_k": 25}, "can never hold: expected one of 8, 16, 24, which"),
        ({"train.warmup": 0.1}, "expected an entry that can be counted out, got uniform"),
        ({"train.weight_decay": 0.1}, "one that train.weight_decay sets; write train.weight_decay above"),
        ({"model.ttt.chunk_size": 1}, "one that s sets; write s above"),
        ({"train.lr": 0.001}, "known before this entry"),
        ({"train.batch_size": 0}, "when.train.batch_size: expected 1 or more"),
    ],
)
def test_faulty_conditions(when, says):
    entries = {
        "m": [1, 2],
        "train.clip": {"choice": [2.0, 4.0]},
        "train.warmup": {"uniform": [0.0, 0.1]},
        "model.vcg.basis_k": {"int": [8, 24], "step": 8},
        "train.lr": {**LR, "when": when},
        "train.weight_decay": {"choice": [0.1]},
        "s": [1, 2],
    }
    message = fault_in(entries)
    assert message.startswith("mine.yaml: space.train.lr: ")
    assert says in message


def test_unknown_keys_of_a_file():
    assert "Did you mean space?" in fault_in({"m": [1]}, spaec={})


@pytest.mark.parametrize("name", ["", "a b", "../a", "ä", "a.b", "a\n"])
def test_a_name_must_do_for_a_folder(name):
    message = fault_of(parse_space, name, {"about": "x", "space": {"m": [1]}}, TABLE, BASE, "here")
    assert "letters, digits, _ and -" in message


def test_a_space_by_name_and_by_path(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text("about: mine\nspace: {m: [1, 2]}\n")
    (tmp_path / "other.yml").write_text("about: other\nspace: {s: [1, 2]}\n")
    monkeypatch.chdir(tmp_path)
    assert load_space("mine", TABLE, BASE, tmp_path).entries[0].values == (1, 2)
    assert load_space("mine.yaml", TABLE, BASE, SPACES).name == "mine"
    assert load_space("./other.yml", TABLE, BASE, SPACES).about == "other"
    assert space_names(tmp_path) == [("mine", "mine")]
    assert f"{tmp_path}/none.yaml: expected a YAML file" in fault_of(
        load_space, f"{tmp_path}/none.yaml", TABLE, BASE, SPACES
    )


def test_a_mistyped_name_lists_those_there_are(tmp_path):
    message = fault_of(load_space, "tt_mode", TABLE, BASE, SPACES)
    assert "ablations, basis_k, chunk_size, joint, regularizers, ttt_mode" in message
    assert "Did you mean ttt_mode?" in message
    assert "has none" in fault_of(load_space, "ttt_mode", TABLE, BASE, tmp_path / "nowhere")


def test_a_fault_names_the_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("about: mine\nspace: {m: [1, 77]}\n")
    assert fault_of(load_space, "mine", TABLE, BASE, tmp_path).startswith(f"{file}: space.m: ")
    file.write_text("space: {m: [1]}\n")
    assert fault_of(space_names, tmp_path).startswith(f"{file}: about: ")


@pytest.mark.parametrize("name", ["ttt_mode", "joint"])
def test_a_kept_copy_is_the_same_space(name):
    space = load_space(name, TABLE, BASE, SPACES)
    assert space.content == read_yaml(SPACES / f"{name}.yaml")
    kept = yaml.safe_load(yaml.safe_dump(dict(space.content), sort_keys=False))
    assert parse_space(name, kept, TABLE, BASE, "copy") == space


def test_the_content_is_the_spaces_own():
    given = {"about": "x", "space": copy.deepcopy(CONDITIONAL)}
    space = parse_space("mine", given, TABLE, BASE, "here")
    given["space"].clear()
    assert space.content["space"] == CONDITIONAL


def test_a_space_needs_neither_torch_nor_a_search_package():
    code = "import sys, search.space; print(*sorted({'torch', 'ray', 'optuna'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_part_of_a_grid_is_drawn_from_all_of_it():
    space = space_of({"m": [1, 2, 3, 5], "s": [1, 4]})
    whole = space.points(BASE, TABLE, 8, 0)
    assert whole == space.grid(BASE, TABLE) == space.points(BASE, TABLE, 100, 0)
    drawn = space.points(BASE, TABLE, 4, 0)
    assert sorted(drawn, key=str) == sorted(whole, key=str) and drawn == space.points(BASE, TABLE, 4, 0)
    assert {point["m"] for seed in range(20) for point in space.points(BASE, TABLE, 4, seed)[:4]} == {1, 2, 3, 5}
    assert space.points(BASE, TABLE, 4, 1) != drawn

import itertools
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ecggen.codetable import MODULES, add_row, read_codes
from ecggen.config import RunConfig
from ecggen.configfile import apply_overrides, apply_settings, load_run_config
from ecggen.errors import UserError
from ecggen.runid import RunId, ensure_runid, parse_runid, run_hash, runid_of, settings_of, two_digits
from ecggen.strictyaml import MAX_BYTES
from tests.tiny import tiny_run
from tests.user_fault import fault_of

V1 = Path(__file__).resolve().parents[1] / "configs" / "train" / "v1.yaml"


def changed(*settings):
    return apply_overrides(RunConfig(), settings)


def table_file(folder, rows, name="codes.yaml"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(yaml.safe_dump({"codes": rows}))
    return folder / name


def test_parse():
    assert parse_runid("m1s2k13") == RunId(m=1, s=2, k=13)
    assert str(RunId(1, 2, 13)) == "m1s2k13"


@pytest.mark.parametrize(
    "text", ["", "m1s1", "m0s1k1", "m01s1k1", "m1s1k1 ", "M1S1K1", "m1s1k-1", "../m1s1k1", "m١s1k1"]
)
def test_parse_refuses_anything_else(text):
    assert "m1s1k1" in fault_of(parse_runid, text)


def test_the_shipped_table_gives_every_id_its_settings_and_back():
    table, run = read_codes(V1), load_run_config(V1)
    assert runid_of(run, table) == "m1s1k1"
    for codes in itertools.product(*(table.rows[module] for module in MODULES)):
        name = str(RunId(*codes))
        assert runid_of(apply_settings(run, settings_of(name, table)), table) == name


def test_settings_of_an_id():
    settings = settings_of("m2s3k1", read_codes(V1))
    assert settings["model.fast_state.mode"] == "mlp"
    assert settings["model.ttt.chunk_size"] == 4
    assert "model.fast_state.size" not in settings


def test_unknown_codes_are_listed():
    message = fault_of(settings_of, "m1s99k1", read_codes(V1))
    assert "no code s99" in message
    assert "s1, s2, s3" in message


def test_a_run_outside_the_table_has_no_id():
    assert runid_of(changed("model.vcg.basis_k=7"), read_codes(V1)) is None


def test_the_row_that_says_most_is_meant(tmp_path):
    rows = {
        "m": {1: {"model.fast_state.size": 128}, 2: {"model.fast_state.size": 128, "model.fast_state.mode": "vector"}}
    }
    rows |= {"s": {1: {"model.ttt.chunk_size": 1}}, "k": {1: {"model.vcg.basis_k": 24}}}
    assert runid_of(RunConfig(), read_codes(table_file(tmp_path, rows))) == "m2s1k1"


K1 = {"model.vcg.basis_k": 9}


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"k": {1: K1, 4: dict(K1)}}, "1 and 4 are the same setting"),
        ({"k": {1: K1}, "s": {1: {"model.vcg.basis_k": 5}}}, "model.vcg.basis_k is set by s and by k"),
        ({"q": {1: K1}}, "unknown module, allowed: m, s, k"),
        ({"k": {"one": K1}}, "expected a whole number"),
        ({"k": {0: K1}}, "expected a whole number"),
        ({"k": {1: 5}}, "expected dotted paths"),
        ({"k": {1: {}}}, "expected dotted paths"),
        ({"k": 5}, "expected rows"),
        ([1], "expected a table"),
        ({"k": {1: {"model.vcg.basis": 9}}}, "Did you mean model.vcg.basis_k?"),
        ({"k": {1: {"model.vcg.basis_k": 0}}}, "codes.k.1: model.vcg.basis_k: expected 1 to"),
    ],
)
def test_faulty_tables(tmp_path, rows, says):
    assert says in fault_of(read_codes, table_file(tmp_path, rows))


def test_equal_values_are_equal_however_they_are_written(tmp_path):
    rows = {"k": {1: {"train.loss.energy": 0}, 2: {"train.loss.energy": 0.0}}}
    assert "same setting" in fault_of(read_codes, table_file(tmp_path, rows))


def test_a_clash_between_the_tables_is_an_error_and_agreement_is_none(tmp_path):
    config = table_file(tmp_path, {"k": {1: K1}}, "v.yaml")
    results = tmp_path / "results"
    table_file(results, {"k": {1: dict(K1), 2: {"model.vcg.basis_k": 10}}})
    assert set(read_codes(config, results).rows["k"]) == {1, 2}
    table_file(results, {"k": {1: {"model.vcg.basis_k": 10}}})
    assert "codes.k.1: expected model.vcg.basis_k=9" in fault_of(read_codes, config, results)
    table_file(results, {"k": {2: dict(K1)}})
    assert "same setting" in fault_of(read_codes, config, results)


def test_a_new_row_gets_the_next_code_once(tmp_path):
    row = {"model.ttt.chunk_size": 9, "model.ttt.inner_steps": 2, "model.ttt.state_smoothness": 0.35}
    first = len(read_codes(V1).rows["s"]) + 1
    assert add_row("s", row, V1, tmp_path) == first
    assert add_row("s", dict(reversed(row.items())), V1, tmp_path) == first
    assert add_row("s", {**row, "model.ttt.chunk_size": 10}, V1, tmp_path) == first + 1
    table = read_codes(V1, tmp_path)
    assert table.rows["s"][first] == row
    assert settings_of(f"m1s{first}k1", table)["model.ttt.state_smoothness"] == 0.35
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.endswith(".lock")) == ["codes.yaml"]


def test_a_known_row_is_not_written_again(tmp_path):
    assert add_row("m", {"model.fast_state.mode": "vector", "model.fast_state.size": 128}, V1, tmp_path) == 1
    assert not (tmp_path / "codes.yaml").exists()


def test_a_faulty_row_is_not_written(tmp_path):
    assert "expected 1 to" in fault_of(add_row, "k", {"model.vcg.basis_k": -1}, V1, tmp_path)
    assert "set by s and by k" in fault_of(add_row, "k", {"model.ttt.chunk_size": 3}, V1, tmp_path)
    assert not (tmp_path / "codes.yaml").exists()


def test_a_damaged_table_is_not_overwritten(tmp_path):
    (tmp_path / "codes.yaml").write_text("codes: {s: {1: ")
    assert "plain YAML" in fault_of(add_row, "k", {"model.vcg.basis_k": 5}, V1, tmp_path)
    assert (tmp_path / "codes.yaml").read_text() == "codes: {s: {1: "


def test_every_run_can_have_an_id(tmp_path):
    run = changed("model.fast_state.mode=mlp", "model.fast_state.hidden=12", "train.loss.energy=0.5")
    name = ensure_runid(run, V1, tmp_path)
    assert ensure_runid(run, V1, tmp_path) == name
    table = read_codes(V1, tmp_path)
    assert parse_runid(name).s == 1
    assert apply_settings(RunConfig(), settings_of(name, table)) == run
    assert ensure_runid(RunConfig(), V1, tmp_path) == "m1s1k1"


def test_writers_at_the_same_time_keep_the_table_one_to_one(tmp_path):
    code = (
        "import sys; from pathlib import Path; from ecggen.codetable import add_row\n"
        "for k in range(8):\n"
        "    add_row('k', {'model.vcg.basis_k': 40 + k}, Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(V1), str(tmp_path)], cwd=V1.parents[2]) for _ in range(4)
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0, 0]
    table = read_codes(V1, tmp_path)
    known = len(read_codes(V1).rows["k"])
    assert len(table.rows["k"]) == known + 8
    assert sorted(table.rows["k"])[-1] == known + 8


@pytest.mark.parametrize(
    ("value", "rounded"), [(0.012345, 0.012), (0.0, 0.0), (1.96, 2.0), (3.3e-7, 3.3e-7), (123.0, 120.0)]
)
def test_two_digits(value, rounded):
    assert two_digits(value) == rounded


@pytest.mark.parametrize(
    "setting",
    [
        "train.seed=1",
        "train.precision=bf16",
        "train.average=0.9",
        "train.robust=1",
        "train.lr=1e-3",
        "model.encoder.layers=1",
        "model.tokenizer.pace=true",
        "data.simulator.records=7",
        "data.seconds=20",
    ],
)
def test_what_changes_the_result_changes_the_hash(setting):
    assert run_hash(changed(setting)) != run_hash(RunConfig())


@pytest.mark.parametrize(
    "setting",
    [
        *("data.cache=here", "data.workers=2", "train.threads=1", "train.device=cpu", "eval.bootstrap=5"),
        *("data.task=form", "model.ttt.inner_gradient=autograd", "train.compile=true"),
    ],
)
def test_what_does_not_change_the_result_does_not_change_the_hash(setting):
    assert run_hash(changed(setting)) == run_hash(RunConfig())


def test_the_hash_of_old_runs_stays():
    """Else nothing that was trained before would be found again; a new setting goes into `LATER`."""
    assert run_hash(RunConfig()).startswith("13142eb1")


def test_the_hash_reads_the_data_folder_and_not_its_spelling(tmp_path, monkeypatch):
    (tmp_path / "recordings").mkdir()
    (tmp_path / "link").symlink_to("recordings")
    monkeypatch.chdir(tmp_path)

    def of(root):
        return run_hash(replace(RunConfig(), data=replace(RunConfig().data, source="wfdb", root=root)))

    assert of("recordings") == of(str(tmp_path / "recordings")) == of("./recordings/") == of("link")
    assert of("recordings") != of("others")


def test_the_hash_is_the_same_in_every_process():
    code = "from ecggen.config import RunConfig; from ecggen.runid import run_hash; print(run_hash(RunConfig()))"
    other = subprocess.run([sys.executable, "-c", code], cwd=V1.parents[2], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == run_hash(RunConfig())


def test_sizes_of_the_other_mode_are_no_part_of_a_run():
    vector = tiny_run(model__fast_state__mode="vector")
    assert run_hash(vector) == run_hash(tiny_run(model__fast_state__mode="vector", model__fast_state__hidden=8))
    assert run_hash(vector) != run_hash(tiny_run(model__fast_state__mode="vector", model__fast_state__size=32))
    mlp = tiny_run(model__fast_state__mode="mlp")
    assert run_hash(mlp) == run_hash(tiny_run(model__fast_state__mode="mlp", model__fast_state__size=32))
    assert run_hash(mlp) != run_hash(tiny_run(model__fast_state__mode="mlp", model__fast_state__hidden=8))


def test_rows_of_one_process_and_of_others_follow_each_other(tmp_path):
    other = "import sys; from pathlib import Path; from ecggen.codetable import add_row\n"
    other += "print(add_row('k', {'model.vcg.basis_k': 51}, Path(sys.argv[1]), Path(sys.argv[2])))"
    first = add_row("k", {"model.vcg.basis_k": 50}, V1, tmp_path)
    ran = subprocess.run([sys.executable, "-c", other, V1, tmp_path], capture_output=True, text=True, check=True)
    assert int(ran.stdout) == first + 1
    assert add_row("k", {"model.vcg.basis_k": 51}, V1, tmp_path) == first + 1  # not the one that this process knew
    assert add_row("k", {"model.vcg.basis_k": 52}, V1, tmp_path) == first + 2
    kept = yaml.safe_load((tmp_path / "codes.yaml").read_text())["codes"]["k"]
    assert kept == {first + at: {"model.vcg.basis_k": 50 + at} for at in range(3)}


def test_a_table_that_is_edited_by_hand_is_read_again(tmp_path):
    code = add_row("k", {"model.vcg.basis_k": 50}, V1, tmp_path)
    text = (tmp_path / "codes.yaml").read_text()
    (tmp_path / "codes.yaml").write_text(text.replace("basis_k: 50", "basis_k: 5"))
    assert read_codes(V1, tmp_path).rows["k"][code] == {"model.vcg.basis_k": 5}
    assert runid_of(changed("model.vcg.basis_k=50"), read_codes(V1, tmp_path)) is None


def test_a_table_that_grew_is_the_one_that_is_read_from_its_file(tmp_path):
    rows = [{"model.vcg.basis_k": 40 + at % 7, **({"train.loss.energy": 0.5} if at > 6 else {})} for at in range(14)]
    codes = [add_row("k", row, V1, tmp_path) for row in rows]
    grown = read_codes(V1, tmp_path)
    (tmp_path / "again").mkdir()
    shutil.copy(tmp_path / "codes.yaml", tmp_path / "again")
    again = read_codes(V1, tmp_path / "again")
    assert again.rows == grown.rows and len(set(codes)) == 14
    assert [table.code_of("k", row) for table in (grown, again) for row in rows] == 2 * codes
    run = changed("model.vcg.basis_k=43", "train.loss.energy=0.5")
    assert {table.fitting_code("k", run) for table in (grown, again)} == {codes[10]}  # the row that says more


def test_a_table_may_be_longer_than_a_file_of_settings(tmp_path):
    code = add_row("k", {"model.vcg.basis_k": 50}, V1, tmp_path)
    with (tmp_path / "codes.yaml").open("a") as file:
        file.write(f"# {'x' * MAX_BYTES}\n")
    assert read_codes(V1, tmp_path).rows["k"][code] == {"model.vcg.basis_k": 50}
    assert add_row("k", {"model.vcg.basis_k": 51}, V1, tmp_path) == code + 1


def test_a_configuration_may_share_the_table_of_the_file_beside_it(tmp_path):
    home = table_file(tmp_path, {"m": {1: {"model.fast_state.size": 64}}, "s": {}, "k": {}}, "v1.yaml")
    mine = tmp_path / "mine.yaml"
    mine.write_text("model: {fast_state: {size: 64}}\ncodes: v1.yaml\n")
    assert read_codes(mine).rows == read_codes(home).rows
    runid = ensure_runid(load_run_config(mine), mine, tmp_path / "results")
    assert settings_of(runid, read_codes(home, tmp_path / "results"))["model.fast_state.size"] == 64
    home.write_text(home.read_text().replace("64", "32"))  # what was read is not kept longer than it is true
    assert read_codes(mine).rows["m"] == {1: {"model.fast_state.size": 32}}


@pytest.mark.parametrize("named", ["gone.yaml", "../v1.yaml", "/etc/passwd", "..", "", "mine.yaml"])
def test_a_table_that_is_not_beside_is_refused(tmp_path, named):
    folder = tmp_path / "configs"
    folder.mkdir()
    table_file(tmp_path, {"m": {}, "s": {}, "k": {}}, "v1.yaml")
    mine = folder / "mine.yaml"
    mine.write_text(f"codes: {named!r}\n")
    with pytest.raises(UserError, match="codes: expected a table"):
        read_codes(mine)

from dataclasses import replace

import numpy as np
import pytest
import torch

from ecggen.config import DataConfig, RunConfig, SimulatorConfig, TrainConfig
from ecggen.data.pipeline import NO_CLASS, ECGDataset, collate_fn, make_dataloader
from ecggen.data.rpeaks import detect_r_peaks
from ecggen.errors import UserError
from tests.data.layouts import hearts, table, write_arrays, write_mimic, write_ptbxl


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def simulated(cache):
    data = DataConfig(simulator=SimulatorConfig(records=60), cache=cache)
    return RunConfig(data=data, train=TrainConfig(batch_size=8))


@pytest.fixture(scope="module")
def ptbxl(cache, tmp_path_factory):
    root = write_ptbxl(tmp_path_factory.mktemp("ptbxl"), hearts(6, fs=100.0), fs=100.0)
    return RunConfig(data=DataConfig(source="ptbxl", root=str(root), cache=cache, train_folds=(1, 10), test_folds=()))


def layout(cache, tmp_path_factory, writer, source):
    root = writer(tmp_path_factory.mktemp(source), hearts(3))
    return RunConfig(data=DataConfig(source=source, root=str(root), cache=cache))


def same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, torch.Tensor):
            assert value.dtype == other[name].dtype
            assert torch.equal(value.nan_to_num(-9), other[name].nan_to_num(-9)), name
        elif value and isinstance(value[0], torch.Tensor):
            assert all(torch.equal(a, b) for a, b in zip(value, other[name], strict=True)), name
        else:
            assert value == other[name], name


def test_an_item_is_one_record(simulated):
    dataset = ECGDataset(simulated, "train")
    item = dataset[3]
    assert item["ecg"].shape == (12, 1000)
    assert item["ecg"].dtype == torch.float32
    assert item["lead_mask"].shape == (12,)
    assert item["lead_mask"].dtype == torch.bool
    assert item["id"] == dataset.ids[3]
    assert isinstance(item["label"], int)
    assert dataset.classes == ("BBB", "INVT", "LVH", "NORM", "STDEV")
    assert not dataset.multi_label
    assert item["r_peaks"].dtype == torch.int64
    assert item["source"].shape == (3, 1000)
    assert len(item["drift"]) == len(item["true_r_peaks"])


def test_splits_share_the_records_out(simulated):
    ids = [ECGDataset(simulated, split).ids for split in ("train", "val", "test")]
    assert sorted(ids[0] + ids[1] + ids[2]) == sorted(ECGDataset(simulated, "all").ids)
    assert len(ids[0]) > 5 * len(ids[1])


def test_indexing_ends_where_the_records_end(simulated):
    dataset = ECGDataset(simulated, "val")
    assert dataset[-1]["id"] == dataset.ids[-1]
    with pytest.raises(IndexError):
        dataset[len(dataset)]
    assert len(list(dataset)) == len(dataset)


def test_cached_r_peaks_are_those_that_the_detector_finds_on_the_batch(simulated):
    batch = ECGDataset(simulated, "train").batch(range(16))
    again = detect_r_peaks(batch["ecg"], batch["lead_mask"], 100.0)
    assert all(torch.equal(a, b) for a, b in zip(batch["r_peaks"], again, strict=True))


@pytest.mark.parametrize("split", ["train", "val", "all"])
def test_a_batch_read_at_once_is_the_collated_items(ptbxl, split):
    dataset = ECGDataset(ptbxl, split)
    order = list(range(len(dataset)))[::-1]
    same(dataset.batch(order), collate_fn([dataset[item] for item in order]))


def test_labels_of_ptbxl_are_multi_hot_and_records_without_are_counted(ptbxl):
    dataset = ECGDataset(ptbxl, "all")
    assert dataset.classes == ("MI", "NORM", "STTC")
    assert dataset.multi_label
    assert dataset[0]["label"].tolist() == [0, 1, 0]
    assert dataset[1]["label"].tolist() == [1, 0, 1]
    assert dataset[2]["label"] is None
    assert dataset.unlabelled == 2
    label = dataset.batch([0, 1, 2])["label"]
    assert label.shape == (3, 3)
    assert label.isnan().all(1).tolist() == [False, False, True]


def test_single_labels_are_class_numbers_and_missing_ones_marked(cache, tmp_path_factory):
    dataset = ECGDataset(layout(cache, tmp_path_factory, write_arrays, "arrays"), "all")
    assert dataset.classes == ("MI", "NORM")
    assert [item["label"] for item in dataset] == [1, 0, None]
    assert dataset.batch([0, 1, 2])["label"].tolist() == [1, 0, NO_CLASS]
    same(dataset.batch([0, 1, 2]), collate_fn([dataset[item] for item in range(3)]))


def test_a_source_without_labels_has_none(cache, tmp_path_factory):
    dataset = ECGDataset(layout(cache, tmp_path_factory, write_mimic, "mimic"), "all")
    assert dataset.classes == ()
    assert dataset[0]["label"] is None
    assert dataset.batch([0, 1])["label"] is None
    assert collate_fn([dataset[0], dataset[1]])["label"] is None
    assert dataset.unlabelled == len(dataset) == 3


def test_training_batches_are_shuffled_by_the_seed_alone(simulated):
    def order(seed):
        cfg = replace(simulated, train=replace(simulated.train, seed=seed))
        return [name for batch in make_dataloader(cfg, "train") for name in batch["id"]]

    assert order(0) == order(0)
    assert order(0) != order(1)
    assert len(set(order(0))) == len(order(0)) == len(ECGDataset(simulated, "train")) // 8 * 8


def test_other_splits_come_whole_and_in_order(simulated):
    names = [name for batch in make_dataloader(simulated, "all") for name in batch["id"]]
    assert names == ECGDataset(simulated, "all").ids


def test_a_training_split_smaller_than_a_batch_is_one_batch(ptbxl):
    (batch,) = make_dataloader(ptbxl, "train")
    assert batch["ecg"].shape == (4, 12, 1000)


def test_an_empty_split_has_no_records_and_no_loader(ptbxl):
    assert len(ECGDataset(ptbxl, "test")) == 0
    with pytest.raises(UserError, match="'test': expected records, got none of 6"):
        make_dataloader(ptbxl, "test")
    with pytest.raises(UserError, match="'training'"):
        ECGDataset(ptbxl, "training")


def test_windows_of_a_long_record_are_records_of_one_split(cache, tmp_path):
    root = tmp_path
    np.save(root / "signals.npy", hearts(1, seconds=60.0, fs=250.0)[:, [1]])
    table(root / "records.csv", ("id", "fs", "unit", "leads"), ("holter", 250, "mV", "MLII"))
    cfg = RunConfig(data=DataConfig(source="arrays", root=str(root), cache=cache))
    assert ECGDataset(cfg, "all").ids == [f"holter@{start}" for start in range(0, 60, 10)]
    assert sorted(len(ECGDataset(cfg, split)) for split in ("train", "val", "test")) == [0, 0, 6]


def test_items_of_unlike_length_do_not_make_a_batch(simulated):
    item = ECGDataset(simulated, "train")[0]
    with pytest.raises(AssertionError, match="one shape"):
        collate_fn([item, {**item, "ecg": item["ecg"][:, :500]}])
    with pytest.raises(AssertionError, match="at least one"):
        collate_fn([])


@pytest.mark.real_data
def test_real_half_hour_records_become_windows_with_two_leads(cache, real_data):
    cfg = RunConfig(data=DataConfig(source="wfdb", root=str(real_data / "mitdb"), cache=cache, limit=1))
    dataset = ECGDataset(cfg, "all")
    assert len(dataset) == 180
    assert dataset[0]["lead_mask"].sum() == 2
    beats = sum(len(item["r_peaks"]) for item in dataset)
    assert beats == pytest.approx(2273, rel=0.02)  # reference beats of record 100

import numpy as np

from ecggen.config import SignalConfig
from ecggen.data.preprocess import preprocess
from ecggen.data.sources.mimic import MIMICSource
from ecggen.leads import LEADS
from tests.data.layouts import MIMIC_ORDER, hearts, write_mimic


def test_native_lead_order_is_put_right_by_name(tmp_path):
    signals = hearts(1)
    source = MIMICSource(write_mimic(tmp_path, signals))
    (recording,) = source.read(source.entries()[0])
    assert recording.leads == MIMIC_ORDER
    (window,) = preprocess(recording, SignalConfig(), 10.0, 20.0)
    avf, avl = window.ecg[LEADS.index("aVF")], window.ecg[LEADS.index("aVL")]
    assert np.allclose(avf, (window.ecg[1] + window.ecg[2]) / 2, atol=0.01)
    assert np.allclose(avl, (window.ecg[0] - window.ecg[2]) / 2, atol=0.01)
    assert not np.allclose(avf, avl, atol=0.05)


def test_subject_is_the_patient_and_there_are_no_labels_or_folds(tmp_path):
    entries = MIMICSource(write_mimic(tmp_path, hearts(2))).entries()
    assert [(entry.id, entry.patient) for entry in entries] == [("40689238", "10000032"), ("40689239", "10000033")]
    assert all(entry.labels is None and entry.fold is None for entry in entries)


def test_fingerprint_looks_at_the_records_within_the_limit_only(tmp_path):
    root = write_mimic(tmp_path, hearts(2))
    before = MIMICSource(root, limit=1).fingerprint(), MIMICSource(root).fingerprint()
    sorted(root.rglob("*.dat"))[1].unlink()
    assert MIMICSource(root, limit=1).fingerprint() == before[0]
    assert MIMICSource(root).fingerprint() != before[1]

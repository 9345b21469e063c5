"""Small data sets in every layout, all of the same hearts, so that what is read can be compared across layouts."""

import csv

import numpy as np
import wfdb
from scipy.io import savemat

from ecggen.config import SimulatorConfig
from ecggen.data.simulator import SimulatorSource
from ecggen.leads import LEADS

MIMIC_ORDER = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")
PTBXL_ORDER = tuple(name.upper() for name in LEADS)
SCP = (  # code, diagnostic, form, rhythm, class, subclass, as PTB-XL's table holds them
    ("NORM", "1.0", "", "", "NORM", "NORM"),
    ("IMI", "1.0", "", "", "MI", "IMI"),
    ("ASMI", "1.0", "", "", "MI", "AMI"),
    ("NDT", "1.0", "1.0", "", "STTC", "STTC"),
    ("ABQRS", "", "1.0", "", "", ""),
    ("SR", "", "", "1.0", "", ""),
)


def hearts(count=3, seconds=10.0, fs=500.0, seed=0):
    """Clean simulated ECGs in the order of LEADS, [count, 12, T] mV."""
    source = SimulatorSource(SimulatorConfig(records=count, seed=seed, noise=0.0, lost_leads=0.0), seconds, fs)
    return np.stack([next(iter(source.read(entry))).signal for entry in source.entries()])


def table(path, columns, *rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])


def write_record(path, signal, names, fs=500.0, units="mV", comments=(), fmt="16", gain=1000.0):
    """One WFDB record with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wfdb.wrsamp(
        path.name,
        fs=fs,
        units=[units] * len(names),
        sig_name=list(names),
        p_signal=np.asarray(signal, float).T,
        fmt=[fmt] * len(names),
        adc_gain=[gain] * len(names),
        baseline=[0] * len(names),
        comments=list(comments),
        write_dir=str(path.parent),
    )
    return path


def ordered(signal, names):
    upper = [name.upper() for name in LEADS]
    return np.stack([signal[upper.index(name.upper())] for name in names])


def write_ptbxl(root, signals, fs=500.0):
    rate, folder = (500, "records500") if fs == 500 else (100, "records100")
    suffix = {500: "hr", 100: "lr"}[rate]
    rows = []
    codes = ("{'NORM': 100.0, 'SR': 0.0}", "{'IMI': 0.0, 'ASMI': 50.0, 'NDT': 0.0}", "{'SR': 0.0, 'ABQRS': 0.0}")
    for number, signal in enumerate(signals):
        name = f"{folder}/00000/{number + 1:05d}_{suffix}"
        write_record(root / name, ordered(signal, PTBXL_ORDER), PTBXL_ORDER, fs)
        fold = (1, 9, 10)[number % 3]
        rows.append((number + 1, f"{7000 + number}.0", codes[number % 3], fold, name.replace("hr", "lr"), name))
    table(
        root / "ptbxl_database.csv",
        ("ecg_id", "patient_id", "scp_codes", "strat_fold", "filename_lr", "filename_hr"),
        *rows,
    )
    columns = ("", "diagnostic", "form", "rhythm", "diagnostic_class", "diagnostic_subclass")
    table(root / "scp_statements.csv", columns, *SCP)
    return root


def write_mimic(root, signals, fs=500.0):
    rows = []
    for number, signal in enumerate(signals):
        subject, study = 10000032 + number, 40689238 + number
        path = f"files/p{str(subject)[:4]}/p{subject}/s{study}/{study}"
        write_record(root / path, ordered(signal, MIMIC_ORDER), MIMIC_ORDER, fs, gain=200.0)
        rows.append((subject, study, study, "2180-07-23 08:44:00", path))
    table(root / "record_list.csv", ("subject_id", "study_id", "file_name", "ecg_time", "path"), *rows)
    return root


def write_wfdb(root, signals, fs=500.0):
    for number, signal in enumerate(signals):
        labels = ("Dx: 426783006", "Dx: 59118001,164889003", "Dx: Unknown")[number % 3]
        write_record(root / f"g{number // 2}" / f"r{number}", signal, LEADS, fs, comments=("Age: 60", labels))
    return root


def write_arrays(root, signals, fs=500.0):
    root.mkdir(parents=True, exist_ok=True)
    np.save(root / "signals.npy", np.asarray(signals, np.float32))
    rows = [
        (f"a{number}", fs, "mV", ";".join(LEADS), f"p{number}", ("NORM", "MI", "")[number % 3])
        for number in range(len(signals))
    ]
    table(root / "records.csv", ("id", "fs", "unit", "leads", "patient", "label"), *rows)
    return root


def to_matlab(path):
    """Turns the .dat of a record into the .mat form of the PhysioNet/CinC challenges."""
    record = wfdb.rdrecord(str(path), physical=False)
    savemat(path.with_suffix(".mat"), {"val": record.d_signal.T.astype(np.int16)}, format="4")
    header = path.with_suffix(".hea")
    text = header.read_text(encoding="utf-8").replace(f"{path.name}.dat 16", f"{path.name}.mat 16+24")
    header.write_text(text, encoding="utf-8")
    path.with_suffix(".dat").unlink()


WRITERS = {"ptbxl": write_ptbxl, "mimic": write_mimic, "wfdb": write_wfdb, "arrays": write_arrays}

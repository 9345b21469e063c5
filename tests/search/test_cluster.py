"""Ray is started and joined quietly, and what is wrong is one line within seconds."""

import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from search import cluster
from search.share import Resources
from tests.live_cluster import LiveCluster, free_port
from tests.user_fault import fault_of

REPO = Path(__file__).resolve().parents[2]
AUTH = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS")


@pytest.fixture
def ray_folder(monkeypatch):
    """Ray's folder and environment for this test alone; a short path, for Ray's sockets lie below it."""
    for name in AUTH:
        monkeypatch.delenv(name, raising=False)
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    yield folder
    cluster.stop()
    shutil.rmtree(folder, ignore_errors=True)


def test_the_environment_is_prepared_without_ray_and_the_users_own_word_stays():
    script = (
        "import os, sys\nos.environ['RAY_worker_niceness'] = '7'\nfrom search import cluster\n"
        "cluster.prepare_environment()\ncluster.stop()\n"
        "print(os.environ['RAY_worker_niceness'], os.environ['RAY_USAGE_STATS_ENABLED'], 'ray' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=REPO, capture_output=True, text=True)
    assert done.stdout.split() == ["7", "0", "False"], done.stderr


def test_every_variable_is_one_that_ray_knows():
    package = Path(importlib.util.find_spec("ray").origin).parent
    text = "".join(
        (package / name).read_text()
        for name in (
            "_common/usage/usage_constants.py",
            "_private/accelerators/accelerator.py",
            "_private/node.py",
            "air/constants.py",
            "tune/constants.py",
        )
    )
    library = (package / "_raylet.so").read_bytes()
    assert [
        name for name in cluster.QUIET if name not in text and name.removeprefix("RAY_").encode() not in library
    ] == []


def see():
    """What a worker sees; Ray runs it."""
    return os.nice(0), os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ["OMP_NUM_THREADS"]


# This one starts Ray, twice.
def test_ray_starts_beside_what_a_crashed_one_left_and_stops(ray_folder, monkeypatch, capfd):
    (ray_folder / "ray").mkdir()
    (ray_folder / "ray" / "ray_current_cluster").write_text(f"127.0.0.1:{free_port()}")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("HOME", str(ray_folder / "home"))
    handler = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        ours = signal.getsignal(signal.SIGTERM)
        began = time.monotonic()
        assert cluster.start(None, cpus=1) == Resources(1, 0, 1, local=True)
        assert time.monotonic() - began < 20
        import ray

        assert ray.get(ray.remote(see).remote()) == (0, "", "1")
        assert signal.getsignal(signal.SIGTERM) is ours
        assert cluster.start("local", cpus=2).cpus == 2  # ends the first one
        assert ray.get(ray.remote(see).remote()) == (0, "", "1")
    finally:
        signal.signal(signal.SIGTERM, handler)
    cluster.stop()
    cluster.stop()
    assert not ray.is_initialized()
    assert not (ray_folder / "home").exists()  # no token was left in the user's home
    assert [name for name in AUTH if name in os.environ] == ["RAY_ADDRESS"]
    assert capfd.readouterr() == ("", "")


# Prints the files of what a worker has loaded before it was asked for anything.
LOADED = """
import sys
from search import cluster
cluster.start(None, cpus=1)
import ray
names = ("search.trial", "ecggen.train")
loaded = ray.remote(lambda: [sys.modules[name].__file__ for name in names if name in sys.modules])
print(*ray.get(loaded.remote()), sep="\\n")
"""


@pytest.mark.slow
def test_workers_load_what_a_trial_needs_from_the_drivers_own_checkout(ray_folder, tmp_path):
    for package in ("ecggen", "search"):
        shutil.copytree(REPO / package, tmp_path / package)
    (tmp_path / "ask.py").write_text(LOADED)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, str(tmp_path / "ask.py")]
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True)
    assert done.stdout.split() == [str(tmp_path / "search/trial.py"), str(tmp_path / "ecggen/train.py")], done.stderr


def begun(config):
    """What a trial finds: the age of its process, and whether all that it needs is loaded."""
    from ray import tune

    begun = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    age = float(Path("/proc/uptime").read_text().split()[0]) - begun
    tune.report({"age": age, "loaded": {"search.trial", "ecggen.train"} <= sys.modules.keys()})


@pytest.mark.slow
def test_a_trial_takes_a_worker_that_was_started_beforehand(ray_folder):
    cluster.start(None, cpus=1, beforehand=True)
    from ray import tune

    from search.tuner import take_any_worker

    take_any_worker()
    time.sleep(10)
    found = tune.Tuner(begun, run_config=tune.RunConfig(storage_path=str(ray_folder), verbose=0)).fit()[0].metrics
    assert found["age"] > 9 and found["loaded"]


def test_a_ray_that_does_not_start_is_one_line(ray_folder, monkeypatch):
    (ray_folder / "ray").write_text("")  # where Ray wants a folder
    message = fault_of(cluster.start, None, 1)
    assert "RAY_TMPDIR" in message and str(ray_folder) in message
    assert "at least 1 core" in fault_of(cluster.start, None, 0)


def test_nobody_listening_is_one_line_at_once():
    began = time.monotonic()
    address = f"127.0.0.1:{free_port()}"
    message = fault_of(cluster.start, address)
    assert address in message and "expected a Ray cluster, got no answer" in message
    assert time.monotonic() - began < 6


def test_a_listener_that_is_no_ray_is_one_line_and_no_wait_for_ever(monkeypatch):
    monkeypatch.setattr(cluster, "JOIN_SECONDS", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        message = fault_of(cluster.start, f"127.0.0.1:{server.getsockname()[1]}")
    assert "got nothing that speaks Ray within 2 s" in message


@pytest.mark.parametrize("wrong", ["cluster", "ray://head:10001", "head:port", ":6379", "head:70000"])
def test_what_is_no_address_is_one_line(wrong):
    assert f"expected auto or host:port of a Ray cluster, got {wrong!r}" in fault_of(cluster.start, wrong)


def test_auto_without_a_cluster_is_one_line(ray_folder, monkeypatch):
    told = {"fault": "Could not find any running Ray instance. Please specify the one to connect to"}
    answer = subprocess.CompletedProcess([], 0, stdout=json.dumps(told), stderr="")
    monkeypatch.setattr(cluster.subprocess, "run", lambda *_, **__: answer)  # others may run Ray on this machine
    assert "--address auto: expected a Ray cluster on this machine, got none" in fault_of(cluster.start, "auto")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "Version mismatch: The cluster was started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n"
            "This process on node 192.0.2.2 was started with:\n    Ray: 2.59.0\n    Python: 3.12.1\n",
            "expected the cluster's Ray 2.60.0 with Python 3.11.7, got Ray 2.59.0 with Python 3.12.1 here",
        ),
        (
            "Failed to connect to Ray cluster at 192.0.2.2:46379 No node info found matching attributes: ''",
            "expected this machine to be a node of the cluster",
        ),
        ("something else\nat line 7", "expected to join, got something else;"),
        ("", "got no reason"),
    ],
)
def test_rays_words_become_one_line(words, said):
    message = cluster._explain("head:6379", words)
    assert message.startswith("--address head:6379: ") and said in message and "\n" not in message


JOIN = """
import os, sys
from search import cluster
has = cluster.start(sys.argv[1])
def where():
    import ecggen, search
    return ecggen.__file__, search.__file__, os.environ["ECGGEN_CACHE"]
import ray
print(ray.get(ray.remote(where).remote()), has)
cluster.stop()
"""


@pytest.fixture
def token_cluster(ray_folder, monkeypatch):
    """A cluster of one node that wants a token: its address and the token."""
    monkeypatch.setenv("HOME", str(ray_folder))
    with LiveCluster() as cluster:
        cluster.start_head()
        yield cluster.address, cluster.token["RAY_AUTH_TOKEN"]


@pytest.mark.slow  # 15 s: Ray is started once, and asked five times
def test_a_cluster_wants_its_token_and_gets_our_code(token_cluster, monkeypatch, tmp_path, fault):
    address, token = token_cluster
    assert "got RAY_AUTH_MODE unset; set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN" in fault_of(cluster.start, address)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert "auth_token is not there" in fault_of(cluster.start, address)
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    assert "got another one in $RAY_AUTH_TOKEN" in fault_of(cluster.start, address)
    environment = {**os.environ, "RAY_AUTH_TOKEN": token, "ECGGEN_CACHE": "/of/driver", "PYTHONPATH": str(REPO)}
    for _ in range(2):  # leaving a cluster does not end it
        done = subprocess.run(
            [sys.executable, "-c", JOIN, address], env=environment, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.stdout.count("runtime_resources/py_modules_files") == 2, done.stderr
        assert "/of/driver" in done.stdout and "local=False" in done.stdout
        assert done.stderr == ""
    fault(
        "cluster that wants a token: no mode, no token, another token", 3, 0, "one line that says which and what to set"
    )

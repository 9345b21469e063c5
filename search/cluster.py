"""Ray, started and stopped quietly: a Ray of our own on this machine, or a cluster that is there already.

Ray's own answer to a wrong address is minutes of silence, to a missing token a page of traces. So a cluster is asked
first by a child process that can be killed, and what it says becomes one line. Ray is imported in functions only:
`prepare_environment` must come first, for Ray reads most of its variables when it is imported.
"""

import contextlib
import importlib
import json
import logging
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ecggen import errors
from ecggen.errors import UserError
from search.share import Resources

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent to Ray's makers
    "RAY_worker_niceness": "0",  # trials are what this machine is here for; Ray would run them at 15
    "RAY_preload_python_modules": "search.preload",  # by every worker, before its first trial is there
    # Five times a second Ray ends workers that had nothing to do for this long, where there are more of them than free
    # cores. A trial's core is taken just before its worker is, so that could be the one it was about to get.
    "RAY_idle_worker_killing_time_threshold_ms": "60000",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a trial that was given no GPU sees none
    "RAY_AIR_NEW_OUTPUT": "0",  # else Tune draws boxes whatever `verbose` says
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the search writes its tables itself
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # one report without a metric must not end the search
}
# What a worker on another node needs to know of the driver's environment. No credentials: nodes have their own.
PASSED_ON = ("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "OMP_WAIT_POLICY", "ECGGEN_CACHE")
BEFOREHAND = "RAY_prestart_worker_first_driver"  # whether Ray starts as many workers as there are cores, unasked
OBJECT_STORE = 200_000_000  # bytes; on one machine only settings pass through it, records are memory-mapped
ANSWER_SECONDS = 5.0  # until a port is taken for dead
JOIN_SECONDS = 30.0  # until a cluster that took the connection has to have let us in
# Limits of Ray's own patience inside the asking child; by themselves they are minutes.
IMPATIENT = {"RAY_gcs_server_request_timeout_seconds": "8", "RAY_NUM_REDIS_GET_RETRIES": "3"}
AUTH_MODE, AUTH_TOKEN, AUTH_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"

# Run by the child: join, say what came of it as the last line of stdout.
ASK = """
import json, logging, sys
import ray
try:
    ray.init(address=sys.argv[1], log_to_driver=False, logging_level=logging.ERROR)
    told = {"address": ray.get_runtime_context().gcs_address}
except Exception as fault:
    told = {"fault": f"{fault} {fault.__cause__ or ''}"}
print(json.dumps(told), flush=True)
"""
_ours: set[str] = set()  # variables that hold for one Ray of our own and go with it


def prepare_environment() -> None:
    """Sets what Ray reads when it is imported; what the user has set himself stays."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def start(address: str | None, cpus: int | None = None, beforehand: bool = False) -> Resources:
    """Starts Ray on this machine, or joins a cluster that this machine is a node of.

    Args:
        address: None or `local` = a Ray of our own, whatever else runs here; `auto` = the cluster that runs on this
            machine ($RAY_ADDRESS, else what Ray finds); `host:port` = the cluster with this head.
        cpus: cores that a Ray of our own hands out; None = those that this process may use.
        beforehand: a Ray of our own starts a worker a core at once: ready sooner, and a waste where fewer are needed.

    Raises UserError where nothing answers, the cluster turns us away, or Ray does not start.
    """
    prepare_environment()
    stop()
    local = address is None or address == "local"
    if address is None or local:
        _start_here(cpus, beforehand)
    else:
        _join(address, _ask(address))
    import ray

    has = ray.cluster_resources()
    nodes = sum(bool(node["Alive"]) for node in ray.nodes())
    return Resources(has.get("CPU", 0.0), has.get("GPU", 0.0), nodes, local)


def stop() -> None:
    """Ends a Ray of our own, or leaves the cluster, which goes on; nothing to do where neither is there."""
    if "ray" not in sys.modules:
        return
    import ray

    ray.shutdown()
    _forget_token()


@contextlib.contextmanager
def running(address: str | None, beforehand: bool = False) -> Iterator[Resources]:
    """Ray while something is done. Arguments and errors as of `start`."""
    resources = start(address, beforehand=beforehand)
    try:
        yield resources
    finally:
        stop()


def _start_here(cpus: int | None, beforehand: bool) -> None:
    if cpus is not None and cpus < 1:
        raise UserError(f"cpus: expected at least 1 core for Ray, got {cpus}; correct it")
    cores = cpus or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    os.environ[BEFOREHAND] = str(int(beforehand))
    _own_token()
    try:
        # `local` means: never look for another Ray. One that crashed leaves its address behind, and Ray would wait.
        with _own_code_first():
            _init(address="local", num_cpus=cores, include_dashboard=False, object_store_memory=OBJECT_STORE)
    except Exception as fault:
        stop()
        raise UserError(
            f"Ray: expected to start on this machine, got {_first_line(fault)}; free memory and disk, or set "
            "RAY_TMPDIR to a short path that can be written"
        ) from fault


def _join(address: str, resolved: str) -> None:
    packages = [Path(errors.__file__).resolve().parent, Path(__file__).resolve().parent]
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    try:
        code = {"py_modules": [str(package) for package in packages], "env_vars": environment}
        _init(address=resolved, runtime_env=code)
    except Exception as fault:
        stop()
        raise UserError(_explain(address, f"{fault} {fault.__cause__ or ''}")) from fault


def _init(**options: Any) -> None:
    """`ray.init`, which says nothing and leaves a handler of SIGTERM in place."""
    import ray

    with _kept_handler():
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)


@contextlib.contextmanager
def _own_code_first() -> Iterator[None]:
    """Workers inherit the folder of this code as the first of their path.

    Ray tells them where the driver's code lies when they have a task. What they load before would be that of an
    installed package, and another checkout than this one.
    """
    before = os.environ.get("PYTHONPATH")
    root = str(Path(__file__).resolve().parent.parent)
    os.environ["PYTHONPATH"] = root if not before else root + os.pathsep + before
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


@contextlib.contextmanager
def _kept_handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    if callable(before) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


def _own_token() -> None:
    """A token for this Ray alone.

    Ray wants one even here, and would write it to the user's home: readable by all, and rewritten by a second search
    that starts at the same moment, which then locks out the first.
    """
    if os.environ.get(AUTH_TOKEN) or os.environ.get(AUTH_PATH):
        return
    if AUTH_MODE not in os.environ:
        _ours.add(AUTH_MODE)  # Ray sets it
    _ours.add(AUTH_TOKEN)
    os.environ[AUTH_TOKEN] = secrets.token_hex(32)


def _forget_token() -> None:
    if not _ours:
        return
    for name in _ours:
        os.environ.pop(name, None)
    _ours.clear()
    raylet: Any = importlib.import_module("ray._raylet")
    if hasattr(raylet, "AuthenticationTokenLoader"):  # an older Ray knows no tokens
        raylet.Config.initialize("")  # Ray keeps both the mode and the token of its first start
        raylet.AuthenticationTokenLoader.instance().reset_cache()


def _ask(address: str) -> str:
    """host:port of the cluster's head. Raises UserError where a child process cannot join it."""
    _knock(address)
    try:
        done = subprocess.run(
            [sys.executable, "-c", ASK, address],
            env={**os.environ, **IMPATIENT},
            capture_output=True,
            text=True,
            timeout=JOIN_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"--address {address}: expected a Ray cluster, got nothing that speaks Ray within {JOIN_SECONDS:g} s; "
            "check the address, or start the cluster again"
        ) from None
    try:
        told = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):  # the child died
        told = {"fault": ""}
    if "fault" in told:
        raise UserError(_explain(address, f"{told['fault']} {done.stderr}"))
    return str(told["address"])


def _knock(address: str) -> None:
    """Raises UserError for what is no address, and where nobody listens."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UserError(
            f"--address: expected auto or host:port of a Ray cluster, got {address!r}; run the search on a node of the "
            "cluster and give the port of its head, most often 6379"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        raise UserError(
            f"--address {address}: expected a Ray cluster, got no answer ({error.strerror or error}); "
            "check the address, or start one there with: ray start --head"
        ) from error


def _explain(address: str, text: str) -> str:
    """Ray's words as one line: what was expected, what came, what to do."""
    if re.search("InvalidAuthToken|authentication token|RAY_AUTH_TOKEN", text):
        return f"--address {address}: {_explain_token()}"
    versions = re.findall(r"(?:Ray|Python): (\S+)", text)
    if "ersion mismatch" in text and len(versions) == 4:
        theirs, ours = (f"Ray {ray} with Python {python}" for ray, python in (versions[:2], versions[2:]))
        return f"--address {address}: expected the cluster's {theirs}, got {ours} here; install the same versions"
    if "No node info found" in text:
        return (
            f"--address {address}: expected this machine to be a node of the cluster, got a cluster without it; run "
            f"the search on its head, or here: ray start --address={address}"
        )
    if "Could not find any running Ray instance" in text:
        return f"--address {address}: expected a Ray cluster on this machine, got none; give host:port of its head"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"--address {address}: expected to join, got {lines[0][:300] if lines else 'no reason'}; restart the cluster"


def _explain_token() -> str:
    """Which of the three things that a cluster with a token wants is missing."""
    if os.environ.get(AUTH_MODE, "").lower() != "token":
        got = f"{AUTH_MODE} unset" if AUTH_MODE not in os.environ else f"{AUTH_MODE}={os.environ[AUTH_MODE]}"
    elif os.environ.get(AUTH_TOKEN):
        got = f"another one in ${AUTH_TOKEN}"
    else:
        path = Path(os.environ.get(AUTH_PATH) or Path.home() / ".ray" / "auth_token")
        got = f"another one in {path}" if path.is_file() else f"none ({path} is not there)"
    return (
        f"expected the cluster's token, got {got}; set {AUTH_MODE}=token, and {AUTH_TOKEN} or {AUTH_PATH} to the "
        "token of its head node, which most often lies there in ~/.ray/auth_token"
    )


def _first_line(fault: BaseException) -> str:
    lines = str(fault).strip().splitlines() or [""]
    return f"{type(fault).__name__}: {lines[0][:300]}"

"""What a worker has loaded before its first trial: all that this needs, and nothing slow that it does not."""

import subprocess
import sys

LOADED = "import sys, search.preload; print(*sys.modules)"


def test_a_worker_loads_what_a_trial_needs_and_no_more():
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert {"ray.tune", "search.trial", "ecggen.train"} <= loaded, done.stderr
    assert not loaded & {"torch._dynamo", "scipy.signal", "scipy.stats", "wfdb", "matplotlib", "plotly", "optuna"}

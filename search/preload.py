"""What a worker of Ray's loads before it is asked for anything: all that a trial needs.

Ray imports this by its name (`cluster`), while the driver still gets ready itself. What comes with it stays: Python
would look through it for garbage again and again while it is imported, which is a quarter of the time.
"""

import gc
import importlib
import os
from contextlib import suppress

# Ray would set it to a trial's cores where a trial begins, which is too late for what is loaded here. Every training
# tells torch the number of its threads; this is for the rest.
os.environ.setdefault("OMP_NUM_THREADS", "1")
gc.disable()
with suppress(Exception):  # it fails again where a trial begins, and there somebody hears why
    for name in ("ray.tune", "search.trial"):
        importlib.import_module(name)
gc.freeze()
gc.enable()

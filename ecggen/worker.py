"""A process that works for another one: one thread, deaf to Ctrl-C, and gone when its parent is."""

import multiprocessing
import os
import threading
from signal import SIG_IGN, SIGINT, signal

import torch


def start_worker() -> None:
    """To be run first in a worker. An interrupt is the parent's to handle; a worker without a parent ends."""
    torch.set_num_threads(1)
    signal(SIGINT, SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for ever for work."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

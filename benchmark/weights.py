"""Fetch, list or verify the pretrained networks of the metrics.

The folder can be copied to an offline machine and used there with `--weights`.
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import tyro

from benchmark.weight_files.bundle import Bundle
from benchmark.weight_files.download import add_local, fetch_from
from benchmark.weight_files.package_index import SourceError
from loopcraft.core.cli import EXIT_FAILED, EXIT_OK, EXIT_USAGE, names_in, run
from loopcraft.core.errors import UserError
from loopcraft.core.files import sweep_partials
from loopcraft.core.writing import writing_to


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `python -m benchmark.weights`."""

    command: tyro.conf.Positional[Literal["list", "fetch", "add", "verify"]]
    """list: show networks; fetch: download missing ones; add: add a local file; verify: check all files."""
    to: Path = Path("weights")
    """Folder of the networks."""
    only: str = ""
    """Comma-separated names; empty means all networks."""
    file: Path | None = None
    """For add: the file of the one network in --only, or the folder of its files."""


def manage(flags: Flags) -> int:
    """Run the command; return the exit code."""
    bundle = Bundle(flags.to)
    names = choose_networks(bundle, flags.only)
    if flags.command == "list":
        for name in names:
            print(describe(bundle, name))
        return EXIT_OK
    if flags.command == "fetch":
        with writing_to(flags.to, swept=()), tempfile.TemporaryDirectory() as downloads:
            bundle = Bundle(flags.to)  # another command may have fetched some meanwhile
            for name in names:
                sweep_partials(bundle.folder(name))
            fetched = [fetch(bundle, name, Path(downloads)) for name in names]
        return EXIT_OK if all(fetched) else EXIT_USAGE
    if flags.command == "add":
        add(bundle, names, flags.file)
        return EXIT_OK
    unsound = [name for name in names if not is_sound(bundle, name)]
    return EXIT_FAILED if unsound else EXIT_OK


def choose_networks(bundle: Bundle, only: str) -> list[str]:
    """Return the requested names; raise `UserError` for an unknown one."""
    names = names_in(only.lower()) if only else list(bundle.networks)
    for name in names:
        if name not in bundle.networks:
            raise UserError(f"--only {name}: no such network; choose from {', '.join(bundle.networks)}")
    return names


def describe(bundle: Bundle, name: str) -> str:
    """Return a paragraph on a network: its title, licence, sources, files, and whether it is fetched."""
    network = bundle.networks[name]
    lines = [f"{name}: {network.title}", f"  licence   {network.licence}"]
    lines += [f"  source    {source.address} at {source.revision}" for source in network.sources]
    for file in network.files:
        size = f"{file.size / 1e6:.1f} MB" if file.size is not None else "size not published"
        sha256 = f"of its tensors {file.tensors}" if file.tensors else file.sha256 or "not published"
        lines.append(f"  file      {file.path}, {size}, SHA-256 {sha256}")
    state = "not fetched"
    if name in bundle:
        state = f"fetched from {bundle.record(name).source} at {bundle.record(name).revision}"
    lines.append(f"  {bundle.folder(name)}: {state}")
    return "\n".join(lines)


def is_sound(bundle: Bundle, name: str) -> bool:
    """Verify a network and print the outcome."""
    if name not in bundle:
        print(f"{name}: not fetched")
        return False
    try:
        bundle.verify(name)
    except UserError as error:
        print(f"{name}: {error}")
        return False
    print(f"{name}: unchanged since it was fetched")
    return True


def fetch(bundle: Bundle, name: str, downloads: Path) -> bool:
    """Fetch a network from its first source that has it, unless an intact copy is there.

    Prints the licence first, then the source. Prints the reasons and returns False if no source has it.
    """
    if name in bundle and is_sound(bundle, name):
        return True
    network = bundle.networks[name]
    print(f"{name}: fetching (licence: {network.licence})", flush=True)
    reasons = []
    for source in network.sources:
        try:
            revision = fetch_from(bundle, name, source, downloads)
        except SourceError as error:
            reasons.append(f"{source.address} {error}")
            continue
        bundle.add(name, source=source.address, revision=revision)
        print(f"  from {'; '.join([f'{source.address} {revision}', *reasons])}")
        print_files(bundle, name)
        return True
    print(f"error: {name} is not available: {'; '.join(reasons)}", file=sys.stderr)
    return False


def add(bundle: Bundle, names: Sequence[str], given: Path | None) -> None:
    """Add a network from a local file; raise `UserError` if it is not the published one."""
    if given is None or len(names) != 1:
        raise UserError("add: give one network by --only and its path by --file")
    sha256 = add_local(bundle, names[0], given)
    bundle.add(names[0], source=f"file:{given.name}", revision=sha256 or "local")
    print_files(bundle, names[0])


def print_files(bundle: Bundle, name: str) -> None:
    """Print a line for each file of a network."""
    for path, file in bundle.record(name).files.items():
        print(f"  {bundle.folder(name) / path}  {file.size} bytes  {file.checksum}", flush=True)


main = partial(run, Flags, manage)

if __name__ == "__main__":
    raise SystemExit(main())

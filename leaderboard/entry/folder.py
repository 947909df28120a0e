"""Entries on disk: ROOT/PROTOCOL/DATA/NAME/ with result.json, card.json and videos/KEY.mp4.

DATA is the world of a canonical test set, or `other-` and the beginning of the data's fingerprint. Whatever
else lies in an entry's folder is refused: hidden files, links, strange names, files that are too large.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.results.result_file import Result, read_result
from leaderboard.entry import limits
from leaderboard.entry.card import Card, read_card
from loopcraft.core.errors import UserError
from loopcraft.core.files import is_passing
from loopcraft.core.urls import COPY, require_folder
from loopcraft.test_sets.known import find_test_set

RESULT, CARD, VIDEOS = "result.json", "card.json", "videos"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row: `id` is PROTOCOL/DATA/NAME; `videos` are the generated frames of some videos by their key."""

    id: str
    result: Result
    card: Card | None
    """None in a preview of a run that nobody has submitted yet."""
    videos: Mapping[str, Path]
    files: Mapping[str, Path]
    """Everything that the site offers for download, by its path in the entry."""

    @property
    def name(self) -> str:
        """The last part of the id."""
        return self.id.rpartition("/")[2]


def place_of(result: Result, name: str) -> str:
    """The id of an entry with this result; raises `UserError` where `name` is none for a folder."""
    if not _NAME.fullmatch(name):
        raise UserError(
            f"--name {name[:80]!r}: is no name for an entry; choose up to 64 of a-z, 0-9, '-', '_' and '.'"
        )
    found = find_test_set(result.data.fingerprint)
    is_canonical = found is not None and found.protocol_id == result.protocol.id
    data = found.world if found is not None and is_canonical else f"other-{result.data.fingerprint[:12]}"
    return f"{result.protocol.id}/{data}/{name}"


def plain_name(text: str) -> str:
    """A name for an entry's folder out of a model's."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:64] or "model"


def video_name(key: str) -> str:
    """The file of a video in an entry: keys have slashes."""
    return f"{key.replace('/', '-')}.mp4"


def entry_folders(root: Path) -> list[Path]:
    """The folders of all entries below `root`, sorted; raises `UserError` for what is no entry's place."""
    require_folder(root, COPY)
    if not root.is_dir():
        raise UserError(f"{root}: is no folder of entries; leave --entries out for those of the project")
    return [folder for protocol in _folders(root) for data in _folders(protocol) for folder in _folders(data)]


def _folders(parent: Path) -> Iterator[Path]:
    for path in sorted(parent.iterdir()):
        if path.is_symlink():
            raise UserError(f"{path}: is a link; an entry holds only files of its own")
        if path.is_dir() and not path.name.startswith("."):
            yield path


def read_entries(root: Path) -> list[Entry]:
    """All entries below `root`, sorted by id."""
    return [read_entry(folder) for folder in entry_folders(root)]


def read_entry(folder: Path) -> Entry:
    """The entry in `folder`, whose last three parts are its id; raises `UserError` with what is wrong."""
    files = _listed(folder)
    for name, most in ((RESULT, limits.MOST_RESULT_BYTES), (CARD, limits.MOST_CARD_BYTES)):
        if name not in files:
            raise UserError(f"{folder}: has no {name}; make entries with python -m leaderboard.submit")
        if files[name].stat().st_size > most:
            raise UserError(f"{folder / name}: has more than {most} bytes")
    result = read_result(files[RESULT])
    expected, found = place_of(result, folder.name), "/".join(folder.parts[-3:])
    if folder.resolve().parts[-3:] != tuple(expected.split("/")):
        raise UserError(f"{folder}: lies at {found}, and its result belongs at {expected}; move it there")
    return Entry(
        id=expected, result=result, card=read_card(files[CARD]), videos=_videos(files, result), files=files
    )


def _listed(folder: Path) -> dict[str, Path]:
    """All files of an entry by their path in it; raises `UserError` for anything that may not be there."""
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise UserError(f"{path}: is a link; an entry holds only files of its own")
        if path.is_dir() and name == VIDEOS:
            continue
        if not path.is_file() or not _is_expected(name):
            if path.is_file() and is_passing(path):
                continue
            raise UserError(
                f"{path}: does not belong in an entry ({RESULT}, {CARD}, {VIDEOS}/KEY.mp4); remove it"
            )
        files[name] = path
    return files


def _is_expected(name: str) -> bool:
    return (
        name in (RESULT, CARD)
        or re.fullmatch(rf"{VIDEOS}/[A-Za-z0-9_][A-Za-z0-9_.-]*\.mp4", name) is not None
    )


def _videos(files: Mapping[str, Path], result: Result) -> dict[str, Path]:
    """The videos by key; raises `UserError` where they are too many, too large or of no scored video."""
    keys = {f"{VIDEOS}/{video_name(key)}": key for key in result.data.keys}
    videos = {name: path for name, path in files.items() if name.startswith(VIDEOS)}
    if len(videos) > limits.MOST_VIDEOS:
        raise UserError(f"{next(iter(videos.values())).parent}: holds more than {limits.MOST_VIDEOS} videos")
    for name, path in videos.items():
        if name not in keys:
            raise UserError(f"{path}: is called like no video of {RESULT}; remove it")
        if path.stat().st_size > limits.MOST_VIDEO_BYTES:
            raise UserError(f"{path}: has more than {limits.MOST_VIDEO_BYTES} bytes; encode it smaller")
    return {keys[name]: path for name, path in videos.items()}

"""Entries on disk: ROOT/PROTOCOL/DATA/NAME/ with result.json, card.json and videos/KEY.mp4.

DATA is the world of a canonical test set, or `other-` and the start of the data's fingerprint. An entry with
anything else in its folder is refused: hidden files, links, strange names, oversized files.
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
    """One row: `id` is PROTOCOL/DATA/NAME, `videos` are some of the generated videos by key."""

    id: str
    result: Result
    card: Card | None
    """None in the preview of a run that is not submitted yet."""
    videos: Mapping[str, Path]
    files: Mapping[str, Path]
    """Files that the site offers for download, by their path in the entry."""

    @property
    def name(self) -> str:
        """The last part of the id."""
        return self.id.rpartition("/")[2]

    @property
    def table(self) -> str:
        """PROTOCOL/DATA, the id without the name."""
        return self.id.rpartition("/")[0]


def make_entry_id(result: Result, name: str) -> str:
    """Return the id PROTOCOL/DATA/NAME of an entry; raise `UserError` if `name` is not allowed."""
    if not _NAME.fullmatch(name):
        raise UserError(
            f"--name {name[:80]!r}: not allowed; use up to 64 of a-z, 0-9, '-', '_' and '.', "
            "starting with a letter or digit"
        )
    test_set = find_test_set(result.data.fingerprint)
    if test_set is not None and test_set.protocol_id == result.protocol.id:
        return f"{result.protocol.id}/{test_set.world}/{name}"
    return f"{result.protocol.id}/other-{result.data.fingerprint[:12]}/{name}"


def plain_name(text: str) -> str:
    """Make a name that is allowed for an entry from a model's name."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:64] or "model"


def video_name(key: str) -> str:
    """Return the file name of a video in an entry; slashes in the key become hyphens."""
    return f"{key.replace('/', '-')}.mp4"


def entry_folders(root: Path) -> list[Path]:
    """Return all entry folders below `root`, sorted; raise `UserError` if it is not a folder or has links."""
    require_folder(root, COPY)
    if not root.is_dir():
        raise UserError(f"{root}: not a folder; leave --entries out for the project's own entries")
    return [folder for protocol in _folders(root) for data in _folders(protocol) for folder in _folders(data)]


def _folders(parent: Path) -> Iterator[Path]:
    for path in sorted(parent.iterdir()):
        if path.is_symlink():
            raise UserError(f"{path}: is a link; replace it with the file itself")
        if path.is_dir() and not path.name.startswith("."):
            yield path


def read_entries(root: Path) -> list[Entry]:
    """Read all entries below `root`, sorted by id."""
    return [read_entry(folder) for folder in entry_folders(root)]


def read_entry(folder: Path) -> Entry:
    """Read the entry in `folder`, whose last three parts are its id; raise `UserError` if it is invalid."""
    files = _list_files(folder)
    for name, limit in ((RESULT, limits.MOST_RESULT_BYTES), (CARD, limits.MOST_CARD_BYTES)):
        if name not in files:
            raise UserError(f"{folder}: has no {name}; create entries with python -m leaderboard.submit")
        if files[name].stat().st_size > limit:
            raise UserError(f"{folder / name}: is larger than {limit} bytes")
    result = read_result(files[RESULT])
    entry_id = make_entry_id(result, folder.name)
    if folder.resolve().parts[-3:] != tuple(entry_id.split("/")):
        raise UserError(f"{folder}: its result belongs at {entry_id}; move the folder there")
    card, videos = read_card(files[CARD]), _videos(files, result)
    return Entry(id=entry_id, result=result, card=card, videos=videos, files=files)


def _list_files(folder: Path) -> dict[str, Path]:
    """Return all files of an entry by their path in it; raise `UserError` for any that is not allowed."""
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise UserError(f"{path}: is a link; replace it with the file itself")
        if path.is_dir() and name == VIDEOS:
            continue
        if not path.is_file() or not _is_expected(name):
            if path.is_file() and is_passing(path):
                continue
            allowed = f"{RESULT}, {CARD}, {VIDEOS}/KEY.mp4"
            raise UserError(f"{path}: does not belong in an entry ({allowed}); remove it")
        files[name] = path
    return files


def _is_expected(name: str) -> bool:
    return name in (RESULT, CARD) or bool(re.fullmatch(rf"{VIDEOS}/[A-Za-z0-9_][A-Za-z0-9_.-]*\.mp4", name))


def _videos(files: Mapping[str, Path], result: Result) -> dict[str, Path]:
    """Return the videos by key; raise `UserError` if they are too many, too large or not of scored videos."""
    keys = {f"{VIDEOS}/{video_name(key)}": key for key in result.data.keys}
    videos = {name: path for name, path in files.items() if name.startswith(VIDEOS)}
    if len(videos) > limits.MOST_VIDEOS:
        raise UserError(
            f"{next(iter(videos.values())).parent}: has more than {limits.MOST_VIDEOS} videos; remove some"
        )
    for name, path in videos.items():
        if name not in keys:
            raise UserError(f"{path}: matches no video of {RESULT}; remove it")
        if path.stat().st_size > limits.MOST_VIDEO_BYTES:
            raise UserError(f"{path}: is larger than {limits.MOST_VIDEO_BYTES} bytes; compress it more")
    return {keys[name]: path for name, path in videos.items()}

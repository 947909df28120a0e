"""The folder of one run, made so that a killed run goes on where it was.

run.json                what is run: a second run into the folder must be the same one
scores/KEY.safetensors  per-frame scores of a finished video
videos/KEY.mp4          the generated frames of some videos, lossless: --predictions takes the folder
failures/KEY.txt        why a video failed: a line, on which device, and the traceback
alone.json              videos that are made one by one, as their batch crashed the process
result.json             the result, written last
.KEY.batch              while a process makes a batch that begins with this video: see crashes.py; at an
                        address there is none, as what a crashing process writes would not come there
"""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmark.harness.crashes import Crash, take_crash
from benchmark.harness.score import VideoScores, write_scores
from benchmark.results.result_file import Result, write_result
from loopcraft.core.errors import UserError
from loopcraft.core.files import is_passing, read_json, sweep_partials, whole_file, write_json
from loopcraft.core.urls import AnyPath, content_of, existing, path_at, read_files, remove_files
from loopcraft.core.writing import copies_of

RESULT = "result.json"
CODE = "code_sha256"
"""In what identifies a run: the file with the model's class or factory."""
_DEVICE = "device: "
_BATCH = ".batch"


class Workspace:
    """The files of the run in the folder or at the address `root`."""

    def __init__(self, root: str | AnyPath) -> None:
        self.root = path_at(root)

    def claim(self, identity: Mapping[str, Any], *, together: bool = False, mended: bool = False) -> None:
        """Make it the folder of the run that `identity` describes.

        Only others of this run may be writing to it, and none unless `together`: what killed ones left is
        removed. Of a model that is `mended` the code may be other than before. Raises `UserError` if it holds
        another run.
        """
        root = self.root
        claim = root / "run.json"
        is_empty = not root.exists() or all(is_passing(path) for path in root.iterdir())
        if not claim.exists():  # looked for after all else: another shard writes it first
            if not is_empty:
                raise UserError(f"{root}: holds other files and no run; choose another --out")
            write_json(claim, identity)
        before = read_json(claim)
        _require_same(root, before, identity, but=(CODE,) if mended else ())
        if before != identity:
            write_json(claim, identity)
        if not together:
            sweep_partials(root)

    @property
    def result_path(self) -> AnyPath:
        """Where the result goes."""
        return self.root / RESULT

    def scores_path(self, key: str) -> AnyPath:
        """Where the scores of a video lie."""
        return self.root / scores_name(key)

    def video_path(self, key: str) -> AnyPath:
        """Where the generated frames of a video lie, if they are kept."""
        return self.root / video_name(key)

    def failure_path(self, key: str) -> AnyPath:
        """Where the traceback of a failed video lies."""
        return self.root / _failure_name(key)

    def crash_path(self, key: str) -> Path | None:
        """Where a process leaves word that crashes while it makes a batch with this video first."""
        if not isinstance(self.root, Path):
            return None
        return self.root / f".{key.replace('/', '+')}{_BATCH}"  # a key has no "+"

    def take_crashes(self, keys: Sequence[str]) -> Iterator[tuple[str, Crash]]:
        """What processes left that crashed over a batch that began with one of `keys`, with that key."""
        for key in keys:
            path = self.crash_path(key)
            crash = None if path is None else take_crash(path)
            if crash is not None and key in crash.keys:
                yield key, crash

    def unfinished(self, keys: Sequence[str], recorded: Container[str] = ()) -> list[str]:
        """Those of `keys` that have neither failed nor got their scores, and their video if `recorded`."""
        failed, scored = set(self._having(_failure_name, keys)), set(self.finished(keys))
        filmed = set(self._having(video_name, [key for key in keys if key in recorded]))
        return [
            key
            for key in keys
            if key not in failed and (key not in scored or (key in recorded and key not in filmed))
        ]

    def finished(self, keys: Sequence[str]) -> list[str]:
        """Those of `keys` that have scores."""
        return self._having(scores_name, keys)

    def _having(self, name_of: Callable[[str], str], keys: Sequence[str]) -> list[str]:
        """Those of `keys` whose file of that name is there."""
        there = existing(self.root, [name_of(key) for key in keys])
        return [key for key in keys if name_of(key) in there]

    @contextmanager
    def scores(self, keys: Sequence[str]) -> Iterator[list[Path]]:
        """The files of scores of videos that are finished; from an address copies, during the block."""
        with copies_of(self.root, [scores_name(key) for key in keys]) as folder:
            yield [folder / scores_name(key) for key in keys]

    def failures(self, keys: Sequence[str]) -> dict[str, str]:
        """Why each failed video failed, in one line."""
        return {key: lines[0] for key, lines in self._failure_lines(keys).items()}

    def devices_of_failures(self, keys: Sequence[str]) -> dict[str, str]:
        """On which device each failed video failed, where that was noted."""
        return {
            key: lines[1].removeprefix(_DEVICE)
            for key, lines in self._failure_lines(keys).items()
            if lines[1].startswith(_DEVICE)
        }

    def _failure_lines(self, keys: Sequence[str]) -> dict[str, list[str]]:
        """The first two lines of each failure."""
        names = {_failure_name(key): key for key in self._having(_failure_name, keys)}
        texts = {
            names[name]: text.decode(errors="replace")
            for name, text in read_files(self.root, list(names)).items()
        }
        return {key: [*text.split("\n", 2)[:2], "", ""][:2] for key, text in texts.items()}

    def account_of_failure(self, key: str) -> str:
        """What led to a failure, in several lines: without the first two that say why and where."""
        return content_of(self.failure_path(key)).decode(errors="replace").partition("\n\n")[2]

    def forget_failures(self, keys: Sequence[str]) -> None:
        """Let failed videos be tried again."""
        remove_files(self.root, [_failure_name(key) for key in keys])

    def save_scores(
        self, key: str, scores: VideoScores, *, seconds: float, origin: Mapping[str, str]
    ) -> None:
        """A video is finished."""
        write_scores(self.scores_path(key), scores, seconds=seconds, origin=origin)

    def save_failure(self, key: str, reason: str, details: str, *, device: str) -> None:
        """A video failed, for a reason of one line."""
        text = f"{reason}\n{_DEVICE}{device}\n\n{details}"
        with whole_file(self.failure_path(key)) as temporary:
            temporary.write_bytes(text.encode(errors="backslashreplace"))

    def make_alone(self, keys: Sequence[str]) -> None:
        """Have these videos made one by one, now and in later runs."""
        write_json(self.root / "alone.json", sorted({*keys, *self.alone}))

    @property
    def alone(self) -> Sequence[str]:
        """The videos that are made one by one; raises `UserError` where the file names none."""
        path = self.root / "alone.json"
        found = read_json(path) if path.exists() else []
        if not isinstance(found, list) or not all(isinstance(key, str) for key in found):
            raise UserError(f"{path}: no list of videos; delete it and run the same command again")
        return found

    def save_result(self, result: Result) -> None:
        """The run is finished."""
        write_result(self.result_path, result)


def scores_name(key: str) -> str:
    """Where the scores of a video lie in the folder of a run."""
    return f"scores/{key}.safetensors"


def video_name(key: str) -> str:
    """Where the generated frames of a video lie there, if they are kept."""
    return f"videos/{key}.mp4"


def _failure_name(key: str) -> str:
    return f"failures/{key}.txt"


def _require_same(root: AnyPath, there: Any, here: Mapping[str, Any], but: Container[str]) -> None:
    known = there if isinstance(there, dict) else {}
    for name in {**here, **known}:
        found, value = known.get(name), here.get(name)
        if found == value or name in but:
            continue
        if name == CODE:
            model = str(here["model"])
            what = "what is served at" if model.startswith("http://") else "the file of"
            raise UserError(
                f"{root}: {what} {model} was another one when its scores were made; choose another --out, "
                "delete the folder, or keep those scores and try the rest with --retry-failed"
            )
        raise UserError(
            f"{root}: holds another run ({name} is {found!r} there and {value!r} here); "
            f"choose another --out or delete the folder"
        )

"""The folder of one run, from which a killed run can continue.

run.json                identifies the run; a second run with this folder must match it
scores/KEY.safetensors  per-frame scores of a finished video
videos/KEY.mp4          the generated frames of some videos, lossless: --predictions takes the folder
failures/KEY.txt        why a video failed: one line with the reason, the device, the traceback
alone.json              videos to generate one by one, as their batch crashed the process
result.json             the result, written last
.KEY.batch              exists while a process generates a batch whose first video is KEY: see crashes.py;
                        not at an address, as a crashing process could not upload it
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
"""Key in run.json: the SHA-256 of the file with the model's class or factory."""
_DEVICE = "device: "
_BATCH = ".batch"


class Workspace:
    """The files of a run, in the folder or at the address `root`."""

    def __init__(self, root: str | AnyPath) -> None:
        self.root = path_at(root)

    def claim(self, identity: Mapping[str, Any], *, together: bool = False, mended: bool = False) -> None:
        """Claim the folder for the run that `identity` describes.

        With `together`, other processes of this run may be writing to it; otherwise none may, and partial
        files of killed ones are removed. With `mended`, the model's code may have changed. Raises `UserError`
        if the folder holds another run.
        """
        root = self.root
        claim = root / "run.json"
        is_empty = not root.exists() or all(is_passing(path) for path in root.iterdir())
        if not claim.exists():  # checked last, as another shard writes it before its other files
            if not is_empty:
                raise UserError(f"{root}: holds other files and no run; choose another --out")
            write_json(claim, identity)
        existing_identity = read_json(claim)
        _require_same(root, existing_identity, identity, ignored=(CODE,) if mended else ())
        if existing_identity != identity:
            write_json(claim, identity)
        if not together:
            sweep_partials(root)

    @property
    def result_path(self) -> AnyPath:
        """Path of the result."""
        return self.root / RESULT

    def scores_path(self, key: str) -> AnyPath:
        """Return the path of a video's scores."""
        return self.root / scores_name(key)

    def video_path(self, key: str) -> AnyPath:
        """Return the path of a video's generated frames, if they are kept."""
        return self.root / video_name(key)

    def failure_path(self, key: str) -> AnyPath:
        """Return the path of the report on a failed video."""
        return self.root / _failure_name(key)

    def crash_path(self, key: str) -> Path | None:
        """Return the path of the crash note of a batch whose first video is `key`; None at an address."""
        if not isinstance(self.root, Path):
            return None
        return self.root / f".{key.replace('/', '+')}{_BATCH}"  # keys contain no "+"

    def take_crashes(self, keys: Sequence[str]) -> Iterator[tuple[str, Crash]]:
        """Yield and delete the crashes of batches whose first video is in `keys`, each with that key."""
        for key in keys:
            path = self.crash_path(key)
            crash = None if path is None else take_crash(path)
            if crash is not None and key in crash.keys:
                yield key, crash

    def unfinished(self, keys: Sequence[str], recorded: Container[str] = ()) -> list[str]:
        """Return the keys that have not failed and lack scores (or, if in `recorded`, their video)."""
        failed, scored = set(self._with_file(_failure_name, keys)), set(self.finished(keys))
        filmed = set(self._with_file(video_name, [key for key in keys if key in recorded]))
        return [
            key
            for key in keys
            if key not in failed and (key not in scored or (key in recorded and key not in filmed))
        ]

    def finished(self, keys: Sequence[str]) -> list[str]:
        """Return the keys that have scores."""
        return self._with_file(scores_name, keys)

    def _with_file(self, name_of: Callable[[str], str], keys: Sequence[str]) -> list[str]:
        """Return the keys for which the file exists."""
        names = existing(self.root, [name_of(key) for key in keys])
        return [key for key in keys if name_of(key) in names]

    @contextmanager
    def scores(self, keys: Sequence[str]) -> Iterator[list[Path]]:
        """Yield the score files of finished videos; of an address, copies that last until the block ends."""
        with copies_of(self.root, [scores_name(key) for key in keys]) as folder:
            yield [folder / scores_name(key) for key in keys]

    def failures(self, keys: Sequence[str]) -> dict[str, str]:
        """Return the reason, in one line, why each failed video failed."""
        return {key: lines[0] for key, lines in self._failure_lines(keys).items()}

    def devices_of_failures(self, keys: Sequence[str]) -> dict[str, str]:
        """Return the device on which each failed video failed, if it was recorded."""
        return {
            key: lines[1].removeprefix(_DEVICE)
            for key, lines in self._failure_lines(keys).items()
            if lines[1].startswith(_DEVICE)
        }

    def _failure_lines(self, keys: Sequence[str]) -> dict[str, list[str]]:
        """Return the first two lines of each failure's file."""
        names = {_failure_name(key): key for key in self._with_file(_failure_name, keys)}
        texts = {
            names[name]: text.decode(errors="replace")
            for name, text in read_files(self.root, list(names)).items()
        }
        return {key: [*text.split("\n", 2)[:2], "", ""][:2] for key, text in texts.items()}

    def failure_details(self, key: str) -> str:
        """Return the traceback of a failure, without the lines of its reason and device."""
        return content_of(self.failure_path(key)).decode(errors="replace").partition("\n\n")[2]

    def forget_failures(self, keys: Sequence[str]) -> None:
        """Delete the failures of these videos, so that they are retried."""
        remove_files(self.root, [_failure_name(key) for key in keys])

    def save_scores(
        self, key: str, scores: VideoScores, *, seconds: float, origin: Mapping[str, str]
    ) -> None:
        """Save the scores of a finished video."""
        write_scores(self.scores_path(key), scores, seconds=seconds, origin=origin)

    def save_failure(self, key: str, reason: str, details: str, *, device: str) -> None:
        """Save why a video failed; `reason` is one line."""
        text = f"{reason}\n{_DEVICE}{device}\n\n{details}"
        with whole_file(self.failure_path(key)) as temporary:
            temporary.write_bytes(text.encode(errors="backslashreplace"))

    def make_alone(self, keys: Sequence[str]) -> None:
        """Mark these videos to be generated one by one, now and in later runs."""
        write_json(self.root / "alone.json", sorted({*keys, *self.alone}))

    @property
    def alone(self) -> Sequence[str]:
        """The videos to generate one by one; raises `UserError` if their file is invalid."""
        path = self.root / "alone.json"
        keys = read_json(path) if path.exists() else []
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise UserError(f"{path}: not a list of videos; delete it and run the same command again")
        return keys

    def save_result(self, result: Result) -> None:
        """Save the result of the finished run."""
        write_result(self.result_path, result)


def scores_name(key: str) -> str:
    """Return the path of a video's scores within a run's folder."""
    return f"scores/{key}.safetensors"


def video_name(key: str) -> str:
    """Return the path of a video's generated frames within a run's folder."""
    return f"videos/{key}.mp4"


def _failure_name(key: str) -> str:
    return f"failures/{key}.txt"


def _require_same(
    root: AnyPath, existing_identity: Any, identity: Mapping[str, Any], ignored: Container[str]
) -> None:
    old = existing_identity if isinstance(existing_identity, dict) else {}
    for name in {**identity, **old}:
        if old.get(name) == identity.get(name) or name in ignored:
            continue
        if name == CODE:
            model = str(identity["model"])
            subject = "the model served at" if model.startswith("http://") else "the file of"
            raise UserError(
                f"{root}: {subject} {model} has changed since the scores were made; choose another --out, "
                "delete the folder, or keep the scores and score the rest with --retry-failed"
            )
        raise UserError(
            f"{root}: holds another run ({name} is {old.get(name)!r} there and {identity.get(name)!r} here); "
            "choose another --out or delete the folder"
        )

"""The log of a run: a line of JSON a step, a printed line now and then, and TensorBoard if asked."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loopcraft.cli import UserError
from loopcraft.storage import whole_file


class Journal:
    """Appends to MODEL.jsonl; lines of steps that are run again after a resume are dropped first."""

    def __init__(self, path: Path, *, first_step: int, tensorboard: bool) -> None:
        if path.exists():
            lines = path.read_text().splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] < first_step]
            with whole_file(path) as temporary:
                temporary.write_text("".join(kept))
        self._file = path.open("a")
        self._board = _open_board(path.with_suffix(".tensorboard")) if tensorboard else None

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        """Append the records of some steps."""
        for record in records:
            self._file.write(json.dumps(record) + "\n")
            if self._board is not None:
                for name, value in record.items():
                    self._board.add_scalar(name, value, record["step"])
        self._file.flush()

    def close(self) -> None:
        """End the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The records of a log, without a last line that is torn; raises `UserError` for what is no log."""
    lines = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    try:
        records: list[dict[str, Any]] = [json.loads(line) for line in lines]
        for record in records:
            int(record["step"]), float(record["loss"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not the log of a training run ({error}); move it away") from error
    return records


def _open_board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError("--tensorboard needs the package tensorboard; install it, or leave it out") from error
    return SummaryWriter(folder)

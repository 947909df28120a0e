"""The log of a training run: one line of JSON per step and, if requested, TensorBoard."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loopcraft.core.errors import UserError
from loopcraft.core.files import parse_json, whole_file
from loopcraft.core.urls import content_of


class Journal:
    """Appends to MODEL.jsonl, after dropping the lines of steps that a resumed run repeats."""

    def __init__(self, path: Path, *, first_step: int, tensorboard: bool) -> None:
        if path.exists():
            lines = [json.dumps(record) + "\n" for record in read_log(path) if record["step"] < first_step]
            with whole_file(path) as temporary:
                temporary.write_text("".join(lines))
        self._file = path.open("a")
        self._board = _open_board(path.with_suffix(".tensorboard")) if tensorboard else None

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        """Append the records of some steps to the log and to TensorBoard."""
        for record in records:
            self._file.write(json.dumps(record) + "\n")
            if self._board is not None:
                for name, value in record.items():
                    self._board.add_scalar(name, value, record["step"])
        self._file.flush()

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read the records of a log, ignoring an incomplete last line; raise `UserError` if it is not a log."""
    records = [parse_json(line, path) for line in content_of(path).split(b"\n")[:-1]]
    for number, record in enumerate(records, 1):
        if not _is_record(record):
            raise UserError(f"{path}: not the log of a training run (line {number}); move it away")
    return records


def _is_record(record: Any) -> bool:
    if not isinstance(record, dict) or type(record.get("step")) is not int:
        return False
    loss, speed = record.get("loss"), record.get("trained_per_second", 1.0)
    return type(loss) in (int, float) and type(speed) in (int, float) and speed > 0


def _open_board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError("--tensorboard needs the package tensorboard; install it, or leave it out") from error
    return SummaryWriter(folder)

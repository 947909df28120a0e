"""Small commands for the drills: what each writes, and what of it must be the same however it went."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmark import run
from benchmark.results.result_file import read_result
from loopcraft import generate, verify
from loopcraft.core.errors import UserError
from models import encode
from models.latents.store import open_latents
from tests.drills.apart import content
from tests.fakes.benchmark_data import write_dataset
from tests.fakes.training_runs import train, write_latents
from tests.fakes.world import FakeWorld, recipe


@dataclass(frozen=True, kw_only=True)
class Command:
    """Writes to a folder; `result` is what two runs must share."""

    name: str
    act: Callable[[Path, Path], int]
    """(inputs, out) -> exit code."""
    result: Callable[[Path], object]
    check: Callable[[Path], int] = lambda out: 0
    """What looks for damage in a finished folder, which the command itself may leave alone."""


def write_inputs(folder: Path) -> int:
    """What the commands read."""
    write_dataset(folder / "data", num_videos=2)
    write_latents(folder / "latents")
    return 0


def _generate(_: Path, out: Path) -> int:
    try:
        generate.generate(out, recipe("val", num_episodes=3, candidates=6), make_world=FakeWorld)
    except UserError as error:
        print(error)
        return 2
    return 0


def _score(inputs: Path, out: Path) -> int:
    flags = ["--data", str(inputs / "data"), "--out", str(out), "--protocol", "loopcraft-mini"]
    return run.main(["--model", "copy-last", *flags, "--metrics", "psnr", "--save-videos", "1"])


def _scores(out: Path) -> object:
    result = read_result(out / "result.json")
    return result.metrics, result.data, result.failed


def _train(inputs: Path, out: Path) -> int:
    return train("millivid", inputs / "latents", out, "--steps", "8", "--save-every", "2", "--log-every", "1")


def _trained(out: Path) -> object:
    lines = (out / "millivid.jsonl").read_text().splitlines()
    losses = [(record["step"], record["loss"]) for record in map(json.loads, lines)]
    return losses, (out / "millivid.safetensors").read_bytes()


def _encode(inputs: Path, out: Path) -> int:
    return encode.main([str(inputs / "data"), "--out", str(out), "--preset", "trial"])


def _verify(out: Path) -> int:
    return verify.main([str(out)])


def _read_latents(out: Path) -> int:
    try:
        latents = open_latents(out)
        for key in latents.num_frames:
            latents.read(key)
    except (UserError, OSError) as error:
        print(error)
        return 2
    return 0


COMMANDS = (
    Command(name="generate", act=_generate, result=content, check=_verify),
    Command(name="score", act=_score, result=_scores),
    Command(name="train", act=_train, result=_trained),
    Command(name="encode", act=_encode, result=content, check=_read_latents),
)

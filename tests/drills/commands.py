"""Small commands for the drills, each with the part of its output that must not depend on how it ran."""

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from uuid import uuid4

from huggingface_hub import constants

import loopcraft.hub.repository
from benchmark import report, run
from benchmark.results.result_file import read_result
from leaderboard import build
from loopcraft import generate, masks, publish, verify
from loopcraft.core import cli
from loopcraft.core.checksums import SUMS
from loopcraft.core.errors import UserError
from models import encode
from models.latents.store import open_latents
from tests.drills.apart import run_apart
from tests.fakes import hub as fake_hub
from tests.fakes import hub_state
from tests.fakes.benchmark_data import write_dataset
from tests.fakes.folder_content import content
from tests.fakes.forked_spawn import use_forks
from tests.fakes.training_runs import train, write_latents
from tests.fakes.world import FakeWorld, recipe


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command that writes to a folder; `result` must be the same for any two runs."""

    name: str
    act: Callable[[Path, Path], int]
    """(inputs, out) -> exit code."""
    prepare: Callable[[Path, Path], None] = lambda inputs, out: None
    """Called with (inputs, out): makes what the command works on, if missing."""
    result: Callable[[Path], object]
    check: Callable[[Path], int] = lambda out: 0
    """Looks for damage in a finished folder, which the command itself may ignore."""
    without_sums: tuple[str, ...] = ()
    """Suffixes of its files without a checksum: damage to them may go unnoticed."""


def _write_inputs(folder: Path) -> int:
    """Write what the commands read."""
    write_dataset(folder / "data", num_videos=2)
    write_latents(folder / "latents")
    generate.generate(folder / "val", recipe("val", num_episodes=3, candidates=6), make_world=FakeWorld)
    flags = ["--world", "plaza-v1", "--split", "val", "--num-episodes", "2", "--candidates", "2"]
    flags += ["--num-frames", "32", "--resolution", "16", "--workers", "1"]
    return generate.main(["--out", str(folder / "plaza"), *flags]) or _score(folder, folder / "run")


@dataclass(frozen=True, kw_only=True)
class _NoFlags:
    """The flags of `generate`, whose world is a fake."""


def _generate(_: Path, out: Path) -> int:
    def body(flags: _NoFlags) -> None:
        generate.generate(out, recipe("val", num_episodes=3, candidates=6), make_world=FakeWorld)

    return cli.run(_NoFlags, body, [])


def _copy_data(inputs: Path, out: Path) -> None:
    if not out.exists():
        copy = out.with_name(f"copy-{uuid4().hex}")
        shutil.copytree(inputs / "plaza", copy)
        copy.rename(out)


def _masks(inputs: Path, out: Path) -> int:
    _copy_data(inputs, out)
    return masks.main([str(out), "--workers", "1"])


def _score(inputs: Path, out: Path) -> int:
    flags = ["--data", str(inputs / "data"), "--out", str(out), "--protocol", "loopcraft-mini"]
    return run.main(["--model", "copy-last", *flags, "--metrics", "psnr", "--save-videos", "1"])


def _scores(out: Path) -> object:
    result = read_result(out / "result.json")
    return result.metrics, result.data, result.failed


FORKED_LOADERS = False
"""Whether loader processes are forks, which need no imports."""


def _train(inputs: Path, out: Path) -> int:
    """Train with a loader process."""
    if FORKED_LOADERS:
        use_forks()
    flags = ["--steps", "8", "--save-every", "2", "--log-every", "1", "--workers", "1"]
    return train("millivid", inputs / "latents", out, *flags)


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


def _report(inputs: Path, out: Path) -> int:
    return report.main([str(inputs / "run"), "--data", str(inputs / "data"), "--out", str(out)])


def _build(inputs: Path, out: Path) -> int:
    """Build the site of a run with its data set, without the project's entries."""
    (inputs / "entries").mkdir(exist_ok=True)
    folders = ["--data", str(inputs / "data"), "--entries", str(inputs / "entries")]
    return build.main([str(inputs / "run"), "--out", str(out), *folders])


_rehearsed: list[Path] = []


def rehearse(top: Path) -> Path:
    """Write what the commands read and make their late imports, so that no fork has to; return the folder.

    A process does so once, and the folder must stay from then on.
    """
    if _rehearsed:
        return _rehearsed[0]
    inputs = top / "inputs"
    with redirect_stdout(io.StringIO()):
        codes = (_write_inputs(inputs), _report(inputs, inputs / "report"), _build(inputs, inputs / "site"))
    assert codes == (0, 0, 0)
    import_module("torch._dynamo")  # which optimizers import
    _rehearsed.append(inputs)
    return inputs


SHARED: Path | None = None
"""The folder in which drills in forks of one process share the results of undisturbed commands."""


def run_undisturbed(command: Command, inputs: Path, folder: Path) -> float:
    """Run a command without faults to write FOLDER/whole; return the seconds it took."""
    whole, shared = folder / "whole", None if SHARED is None else SHARED / command.name
    if shared is not None and shared.exists():
        shutil.copytree(shared / "whole", whole)
        return float((shared / "seconds").read_text())
    child = run_apart(lambda: command.act(inputs, whole), folder / "log")
    assert child.code == 0, child.output
    if shared is not None and whole.exists():  # `publish` writes no folder
        shutil.copytree(whole, shared / "whole")
        (shared / "seconds").write_text(str(child.seconds))
    return child.seconds


HUB = hub_state.Hub()
"""The local Hub that `local_hub` serves."""


@contextmanager
def local_hub() -> Iterator[None]:
    """Serve a local Hub, and have the client of this process and its children use it."""
    with fake_hub.serving() as hub:
        HUB.__dict__ = hub.__dict__
        constants.ENDPOINT = hub.url
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        constants.HUGGINGFACE_CO_URL_TEMPLATE = template
        constants.HF_HUB_DISABLE_XET = True
        os.environ["HF_TOKEN"] = hub_state.WRITER
        yield


def use_cache(folder: Path) -> None:
    """Make the Hub's client keep its files in `folder`."""
    for name in ("HF_HUB_CACHE", "HF_ASSETS_CACHE", "HF_TOKEN_PATH", "HF_STORED_TOKENS_PATH"):
        setattr(constants, name, str(folder / name))


def _repository(out: Path) -> str:
    return f"lab/set-{out.name}"


def _publish(inputs: Path, out: Path) -> int:
    """Publish to a repository named after `out`."""
    loopcraft.hub.repository.RETRY_WAITS_S = ()
    use_cache(out.parent / "hub")
    return publish.main([str(inputs / "val"), "--repo", _repository(out), "--shard-mb", "0.01"])


def _published(out: Path) -> object:
    """The repository's files, without its name, which the card contains."""
    name = _repository(out).removeprefix("lab/").encode()
    files = HUB.repositories[_repository(out)].files
    return {path: data.replace(name, b"NAME") for path, data in files.items()}


COMMANDS = (
    Command(name="generate", act=_generate, result=content, check=_verify, without_sums=(SUMS,)),
    Command(
        name="masks",
        act=_masks,
        prepare=_copy_data,
        result=content,
        check=_verify,
        without_sums=(SUMS,),
    ),
    Command(
        name="score", act=_score, result=_scores, without_sums=(".mp4", ".txt", "run.json", "alone.json")
    ),
    Command(name="train", act=_train, result=_trained, without_sums=(".jsonl",)),
    Command(name="encode", act=_encode, result=content, check=_read_latents),
    Command(name="report", act=_report, result=content),
    Command(name="build", act=_build, result=content),
    Command(name="publish", act=_publish, result=_published),
)


def choose_commands(names: tuple[str, ...]) -> list[Command]:
    """The commands with these names; all if there are none."""
    return [command for command in COMMANDS if not names or command.name in names]

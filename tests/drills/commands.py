"""Small commands for the drills: what each writes, and what of it must be the same however it went."""

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
    """Writes to a folder; `result` is what two runs must share."""

    name: str
    act: Callable[[Path, Path], int]
    """(inputs, out) -> exit code."""
    prepare: Callable[[Path, Path], None] = lambda inputs, out: None
    """Makes (inputs, out) what the command works on, if that is not there."""
    result: Callable[[Path], object]
    check: Callable[[Path], int] = lambda out: 0
    """What looks for damage in a finished folder, which the command itself may leave alone."""
    without_sums: tuple[str, ...] = ()
    """How files of its folder end that have no checksum: damage in them may go unnoticed."""


def _write_inputs(folder: Path) -> int:
    """What the commands read."""
    write_dataset(folder / "data", num_videos=2)
    write_latents(folder / "latents")
    generate.generate(folder / "val", recipe("val", num_episodes=3, candidates=6), make_world=FakeWorld)
    flags = ["--world", "plaza-v1", "--split", "val", "--num-episodes", "2", "--candidates", "2"]
    flags += ["--num-frames", "32", "--resolution", "16", "--workers", "1"]
    return generate.main(["--out", str(folder / "plaza"), *flags]) or _score(folder, folder / "run")


@dataclass(frozen=True, kw_only=True)
class _NoFlags:
    """Of `generate`, whose world is the tests' own."""


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
"""Whether the processes that load episodes are forks, which import nothing."""


def _train(inputs: Path, out: Path) -> int:
    """With a loader in a process of its own."""
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
    """A run beside its data set, without the entries of the project."""
    (inputs / "entries").mkdir(exist_ok=True)
    places = ["--data", str(inputs / "data"), "--entries", str(inputs / "entries")]
    return build.main([str(inputs / "run"), "--out", str(out), *places])


_rehearsed: list[Path] = []


def rehearse(top: Path) -> Path:
    """Make what the commands read (the folder), and import what they import late, so that no fork does.

    A process does so once; from then on the folder must still be there.
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
"""Where drills in forks of one process keep what undisturbed commands made, for those that come after."""


def undisturbed(command: Command, inputs: Path, folder: Path) -> float:
    """Have a command write FOLDER/whole; returns the seconds that it took."""
    whole, kept = folder / "whole", None if SHARED is None else SHARED / command.name
    if kept is not None and kept.exists():
        shutil.copytree(kept / "whole", whole)
        return float((kept / "seconds").read_text())
    ended = run_apart(lambda: command.act(inputs, whole), folder / "log")
    assert ended.code == 0, ended.said
    if kept is not None and whole.exists():  # `publish` writes no folder
        shutil.copytree(whole, kept / "whole")
        (kept / "seconds").write_text(str(ended.seconds))
    return ended.seconds


HUB = hub_state.Hub()
"""The local Hub, where `on_the_hub` serves it."""


@contextmanager
def on_the_hub() -> Iterator[None]:
    """Serve a local Hub, and have the client of this process and its children use it."""
    with fake_hub.serving() as served:
        HUB.__dict__ = served.__dict__
        constants.ENDPOINT = served.url
        template = served.url + "/{repo_id}/resolve/{revision}/{filename}"
        constants.HUGGINGFACE_CO_URL_TEMPLATE = template
        constants.HF_HUB_DISABLE_XET = True
        os.environ["HF_TOKEN"] = hub_state.WRITER
        yield


def use_cache(folder: Path) -> None:
    """Have the Hub's client keep its files there."""
    for name in ("HF_HUB_CACHE", "HF_ASSETS_CACHE", "HF_TOKEN_PATH", "HF_STORED_TOKENS_PATH"):
        setattr(constants, name, str(folder / name))


def _repository(out: Path) -> str:
    return f"lab/set-{out.name}"


def _publish(inputs: Path, out: Path) -> int:
    """To a repository that is called as `out` is."""
    loopcraft.hub.repository.RETRY_WAITS_S = ()
    use_cache(out.parent / "hub")
    return publish.main([str(inputs / "val"), "--repo", _repository(out), "--shard-mb", "0.01"])


def _published(out: Path) -> object:
    """What the repository holds, but for its name, which its card has."""
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


def chosen(names: tuple[str, ...]) -> list[Command]:
    """The commands that are called so; all if there are no names."""
    return [command for command in COMMANDS if not names or command.name in names]

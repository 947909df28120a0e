"""Use a GPU that is available for minutes only: `python -m perf.gpu --minutes 12 --out DIR`.

One command for a bare machine without a network. In order of priority, it runs the tests that need a GPU,
times the sampling of the paper's MilliVid and, in the remaining time, trains the small models directly from
their world: the autoencoder first, then all video models at once, with equal steps. Results are written as
soon as they are known: DIR/figures.json, a log for each job, weights (under 16 MB per file). The same command
resumes an interrupted training, as `models.train` does. With `--device cpu` it runs at the smallest size.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from loopcraft.core.cli import EXIT_FAILED, EXIT_OK, run
from loopcraft.core.errors import UserError
from models.zoo.presets import find_preset

Job = Literal["tests", "sample", "train"]

ENDING_SECONDS = 12.0
"""A trainer that is asked to stop saves and exits within this time."""
OMP_THREADS = "1"
"""Per process: all processes run at once, and the GPU does the heavy work."""
RETURN_SECONDS = 5.0
"""Reserved at the end for copying and packing."""
TRIAL_SECONDS = 90.0
WAITER = """
import sys, time, pathlib
from models.train.__main__ import main
import models.train.setup.build, models.train.trainer
signal, *arguments = sys.argv[1:]
while not pathlib.Path(signal).exists():
    time.sleep(0.1)
sys.exit(main(arguments))
"""
"""Program that imports everything heavy, and trains once the file `signal` exists."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The time available and the settings."""

    minutes: float = 12.0
    out: Path
    device: str = "cuda"
    jobs: tuple[Job, ...] = ("tests", "sample", "train")
    world: str = "plaza-v1"
    preset: str = "gpu-minutes"
    """Preset to train; use `trial` to try the command on a CPU."""
    models: tuple[str, ...] = ("millivid", "framepack", "full-resolution")
    vgg: Path | None = None
    """VGG16 weights for the autoencoder's LPIPS; without them, it compares image gradients."""
    autoencoder_steps: int = 2000
    video_steps: int = 2000
    autoencoder_flags: str = ""
    """Additional flags for `models.train autoencoder`, as one shell word."""
    video_flags: str = ""
    """Additional flags for `models.train video`, as one shell word."""
    autoencoder_share: float = 0.3
    """Share of the time left after which the autoencoder is asked to stop."""
    episodes: int = 4096
    """Episodes to play into the cache."""
    episode_frames: int = 384
    begin_cache: Path | None = None
    """Cache of a few episodes brought along, so that training can start at once."""
    trial_latents: Path | None = None
    """Folder of latents brought along, to compile code on while the autoencoder is trained."""
    trial_steps: int = 2
    workers: int = max(1, (os.cpu_count() or 2) - 4)
    """Processes that play episodes."""
    work: Path = Path("/tmp/loopcraft-gpu")
    """Folder of the training state, which is too large to bring home."""

    @property
    def cache(self) -> Path:
        """Folder of the episodes: in memory, if there is room for 5 MB each."""
        memory = Path("/dev/shm")
        is_roomy = memory.is_dir() and shutil.disk_usage(memory).free > 1.2 * self.episodes * 5e6
        return (memory if is_roomy else self.work) / "loopcraft-episodes"


@dataclass
class Session:
    """The flags, the clock and the figures so far."""

    flags: Flags
    began: float = field(default_factory=time.monotonic)
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds_left(self) -> float:
        """Seconds until everything must have ended."""
        return 60 * self.flags.minutes - (time.monotonic() - self.began)

    def note(self, **figures: Any) -> None:
        """Print figures and save them at once, whatever happens next."""
        self.figures |= figures
        self.figures["seconds"] = round(time.monotonic() - self.began, 1)
        temporary = self.flags.out / "figures.json.partial"
        temporary.write_text(json.dumps(self.figures, indent=1))
        temporary.replace(self.flags.out / "figures.json")
        print(f"[{self.figures['seconds']:6.1f} s] {json.dumps(figures)}", flush=True)

    def start(self, name: str, *command: str) -> "Process":
        """Start a command of this project with its own log."""
        return Process(name, ["-m", *command], self.flags.work / "logs" / f"{name}.log")

    def start_after(self, name: str, signal: Path, *command: str) -> "Process":
        """Start a training that begins when the file `signal` exists, likewise."""
        arguments = ["-c", WAITER, str(signal), *command[1:]]
        return Process(name, arguments, self.flags.work / "logs" / f"{name}.log")


class Process:
    """A Python process in the background whose output goes to a log."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.name, self.log = name, log
        self.began = time.monotonic()
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": OMP_THREADS},
            )

    def wait(self, seconds: float) -> int | None:
        """Return the exit code; a process that takes longer is asked to stop, then killed (None)."""
        try:
            return self._process.wait(max(seconds, 0.1))
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        return None

    def last_line(self) -> str:
        """Return the last line of the log."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


def run_tests(session: Session) -> None:
    """Run the tests marked cuda; on a CPU, only collect them."""
    only = ("--collect-only",) if session.flags.device == "cpu" else ()
    process = session.start("tests", "pytest", "-m", "cuda", "-n", "0", "tests/models/test_gpu.py", *only)
    code = process.wait(min(session.seconds_left, 120))
    session.note(tests={"exit_code": code, "summary": process.last_line()})


def time_sampling(session: Session) -> None:
    """Time a few rollout steps at the paper's MilliVid setting and scale them up; see `perf.sample`."""
    on_cpu = session.flags.device == "cpu"
    size = ("--size", "nano", "--repeats", "1") if on_cpu else ("--size", "B", "--videos", "8", "--compile")
    steps = ("--steps", "2") if on_cpu else ("--steps", "50", "--rollout-steps", "2", "--repeats", "2")
    process = session.start("sample", "perf.sample", "--device", session.flags.device, *size, *steps)
    code = process.wait(min(session.seconds_left, 180))
    session.note(sample={"exit_code": code, "says": process.last_line()})


def train(session: Session) -> None:
    """Play episodes into a cache; train the autoencoder, then all video models at once with equal steps."""
    flags = session.flags
    home = flags.work / "models"
    playing = play_episodes(session)
    trials = start_trials(session)
    autoencoder = session.start(
        "autoencoder", *autoencoder_command(flags, home, flags.autoencoder_steps, flags.cache)
    )
    for trial in trials:
        code = trial.wait(min(TRIAL_SECONDS, session.seconds_left / 3))
        session.note(**{trial.name: {"exit_code": code, "says": trial.last_line()}})
    trained = home / "autoencoder.trained"
    trained.unlink(missing_ok=True)
    running = [
        session.start_after(
            model,
            trained,
            *video_command(flags, model, home, flags.video_steps),
            *("--data", flags.world, "--episode-cache", str(flags.cache)),
            *("--autoencoder", str(home)),
        )
        for model in flags.models
    ]
    code = autoencoder.wait(flags.autoencoder_share * session.seconds_left)
    bring_home(session, home, code, autoencoder)
    if (home / "autoencoder.safetensors").is_file():
        trained.touch()
    else:
        for process in running:
            process.wait(0)
        raise UserError(f"the autoencoder was not trained: see {autoencoder.log}")
    deadline = time.monotonic() + session.seconds_left - ENDING_SECONDS - RETURN_SECONDS
    for process in running:
        bring_home(session, home, process.wait(deadline - time.monotonic()), process)
    playing.wait(0)


def play_episodes(session: Session) -> Process:
    """Fill the cache in the background, from `begin_cache` on, so that no model waits for a world."""
    flags = session.flags
    resolution = str(find_preset(flags.preset).frame_size)
    if flags.begin_cache is not None:
        shutil.copytree(flags.begin_cache, flags.cache, dirs_exist_ok=True)
    return session.start(
        "play",
        *("models.train.play", "--data", flags.world, "--episode-cache", str(flags.cache)),
        *("--episodes", str(flags.episodes), "--workers", str(flags.workers)),
        *("--resolution", resolution, "--episode-frames", str(flags.episode_frames)),
    )


def start_trials(session: Session) -> list[Process]:
    """Start a few updates of the video models on `trial_latents`, so that the real run's code is compiled."""
    flags = session.flags
    if flags.trial_latents is None:
        return []
    folder = flags.work / "trial"
    return [
        session.start(
            f"trial-{model}",
            *video_command(flags, model, folder, flags.trial_steps),
            *("--data", str(flags.trial_latents), "--pool", "1", "--fresh", "0.0001"),
        )
        for model in flags.models
    ]


def autoencoder_command(flags: Flags, out: Path, steps: int, cache: Path) -> list[str]:
    """Return the command `models.train autoencoder` with these flags."""
    vgg = [] if flags.vgg is None else ["--vgg", str(flags.vgg)]
    return [
        *("models.train", "autoencoder", "--out", str(out), "--steps", str(steps), *_common(flags)),
        *("--data", flags.world, "--episode-cache", str(cache), *vgg),
        *shlex.split(flags.autoencoder_flags),
    ]


def video_command(flags: Flags, model: str, out: Path, steps: int) -> list[str]:
    """Return the command `models.train video` with these flags, without its data."""
    return [
        *("models.train", "video", "--model", model, "--out", str(out), "--steps", str(steps)),
        *(*_common(flags), *shlex.split(flags.video_flags)),
    ]


def _common(flags: Flags) -> list[str]:
    return ["--preset", flags.preset, "--device", flags.device, "--workers", "0", "--picture-every", "0"]


def bring_home(session: Session, folder: Path, code: int | None, process: Process) -> None:
    """Copy a model's weights to the output folder and note its progress and speed."""
    model = process.name
    weights = folder / f"{model}.safetensors"
    if weights.is_file():
        shutil.copy(weights, session.flags.out / weights.name)
    log = process.log.read_text(errors="replace")
    speeds = [float(speed) for speed in re.findall(r"trains ([\d.e+]+) samples/s", log)]
    waits = [int(share) for share in re.findall(r"waited (\d+)%", log)]
    session.note(
        **{
            model: {
                "exit_code": code,
                "seconds": round(time.monotonic() - process.began, 1),
                "samples_per_second": sorted(speeds)[len(speeds) // 2] if speeds else None,
                "waited_percent": waits[-3:],
                "says": process.last_line(),
            }
        }
    )


def pack_logs(session: Session) -> None:
    """Pack all logs and journals into one file."""
    with tarfile.open(session.flags.out / "logs.tar.gz", "w:gz") as archive:
        for path in (*session.flags.work.rglob("*.log"), *session.flags.work.rglob("*.jsonl")):
            archive.add(path, path.relative_to(session.flags.work).as_posix())


def describe_machine(session: Session) -> None:
    """Note the machine that the figures are measured on."""
    on_gpu = session.flags.device != "cpu"
    if on_gpu and not torch.cuda.is_available():
        raise UserError(f"--device {session.flags.device}: this machine has no CUDA GPU; use --device cpu")
    name = torch.cuda.get_device_name() if on_gpu else "processor"
    session.note(device=name, torch=torch.__version__, cores=os.cpu_count())


def spend(flags: Flags) -> int:
    """Run the jobs one after the other; a job that fails does not stop the next."""
    find_preset(flags.preset)
    if not flags.minutes > 0:
        raise UserError(f"--minutes {flags.minutes}: choose a number above 0")
    flags.out.mkdir(parents=True, exist_ok=True)
    session = Session(flags)
    describe_machine(session)
    failed = 0
    try:
        for job, work in (("tests", run_tests), ("sample", time_sampling), ("train", train)):
            if job in flags.jobs:
                try:
                    work(session)
                except (UserError, OSError) as error:
                    failed += 1
                    session.note(**{f"{job}_failed": str(error)})
    finally:
        pack_logs(session)
    return EXIT_FAILED if failed else EXIT_OK


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return run(Flags, spend, argv)


if __name__ == "__main__":
    raise SystemExit(main())

"""Tests of packaging: extras, console scripts in any folder, and a base install without torch."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from loopcraft import generate
from tests.fakes.entries import sound_result, write_entry

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ROOMS = ("loopcraft", "benchmark", "models", "leaderboard")
MODULE_OF = {
    "axe-playwright-python": "axe_playwright_python",
    "huggingface-hub": "huggingface_hub",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
}
OPTIONAL = {"tensorboard"}
"""Packages that only a flag needs and whose absence ends in one sentence."""


def packages(requirements: list[str]) -> set[str]:
    """The modules of some requirements, without our own extras."""
    names = (re.split(r"[\[>=<]", requirement)[0] for requirement in requirements)
    return {MODULE_OF.get(name, name) for name in names} - {"loopcraft"}


EXTRAS = {name: packages(listed) for name, listed in PROJECT["optional-dependencies"].items()}
BASE = packages(PROJECT["dependencies"])
HEAVY = EXTRAS["benchmark"] | EXTRAS["models"] | EXTRAS["gym"] | EXTRAS["matchers"] | EXTRAS["cluster"]
"""The modules that a base install lacks."""


def imported(folders: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    """Every third-party module that sources import, with the importing file."""
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names = [node.module]
                for name in names:
                    top = name.partition(".")[0]
                    if top not in sys.stdlib_module_names and top not in (*ROOMS, "tests", "perf", "docs"):
                        yield top, path


def test_imports_and_declared_dependencies_match() -> None:
    declared = BASE | set().union(*(names for name, names in EXTRAS.items() if name != "dev"))
    used = {name for name, _ in imported(ROOMS)} - OPTIONAL
    assert used - declared == set()
    assert declared - used == {"gym"}  # minerl needs it, in a version that it does not pin
    tools = {"mypy", "pandas-stubs", "scipy-stubs", "pytest-xdist", "ruff", "beartype", "datasets"}
    tools |= {"moto", "s3fs", "flask", "flask-cors"}  # a local S3 server
    tested = {name for name, _ in imported(("tests", "perf", "docs"))}
    assert EXTRAS["dev"] - tested <= tools


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )


WITHOUT = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {sorted(HEAVY)}:
            raise ModuleNotFoundError("No module named " + name)

sys.meta_path.insert(0, Absent())
"""
"""Makes imports of the extras fail, as in an environment without them."""


def test_data_sets_are_made_and_read_without_the_extras(tmp_path: Path) -> None:
    code = f"""{WITHOUT}
import loopcraft
from loopcraft import generate, masks, verify, view
made = loopcraft.generate_dataset(
    "data", split="val", num_episodes=1, world="plaza-v1", num_frames=128, resolution=32, workers=1
)
assert made.frames(made.keys[0], 0, 4).shape == (4, 32, 32, 3)
assert masks.main(["data"]) == 0
assert verify.main(["data"]) == 0
assert view.main(["data", "--out", "views"]) == 0
"""
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr


def test_results_are_compared_without_the_extras(tmp_path: Path) -> None:
    results = sorted(
        map(str, (ROOT / "leaderboard" / "entries" / "loopcraft-mini" / "plaza-v1").glob("*/result.json"))
    )
    code = f"{WITHOUT}\nfrom leaderboard import compare\nassert compare.main({results}) == 0"
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "millivid" in done.stdout


def test_the_simulated_base_install_lacks_torch(tmp_path: Path) -> None:
    assert "ModuleNotFoundError" in run(f"{WITHOUT}\nimport torch", tmp_path).stderr


@pytest.mark.parametrize(
    ("command", "missing", "extra"),
    [
        ("benchmark.run", "torch", "benchmark"),
        ("models.train", "safetensors", "models"),
        ("leaderboard.build", "plotly", "leaderboard"),
    ],
)
def test_a_command_names_the_missing_extra(tmp_path: Path, command: str, missing: str, extra: str) -> None:
    (tmp_path / f"{missing}.py").write_text(f"raise ModuleNotFoundError('No {missing}', name='{missing}')\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}

    def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    arguments: list[str] = []
    if extra == "leaderboard":  # it needs the package only after reading all entries
        write_entry(tmp_path / "entries", sound_result("copy-last", skill=-4.0, role="bound"))
        arguments = ["--entries", "entries", "--out", "site"]
    done = run_python("-m", command, *arguments)
    assert done.returncode == 2, done.stderr
    *before, last = done.stderr.splitlines()  # a command may first report that it compiles kernels
    assert last == f"error: this needs the package {missing}: pip install 'loopcraft[{extra}]'"
    assert not any("Traceback" in line for line in before)
    importing = run_python("-c", f"import {extra}, {missing}")
    assert "Traceback" in importing.stderr
    assert importing.returncode == 1


@pytest.fixture(scope="module")
def wheel_install(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, installed without its dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    copy = folder / "sources"  # setuptools leaves a folder `build` next to the sources
    for name in (*ROOMS, "pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy / name)
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", str(copy), "-w", str(folder)]
    done = subprocess.run(build, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        pytest.skip(f"no wheel can be built here: {done.stderr.strip()[-200:]}")
    (wheel,) = folder.glob("*.whl")
    installed = folder / "installed"
    shutil.unpack_archive(wheel, installed, "zip")  # all that installing a pure Python wheel takes
    return installed


def foreign_project(folder: Path) -> Path:
    """A researcher's folder, with packages named like ours."""
    for name in ("models", "benchmark"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise RuntimeError('not ours')\n")
    return folder


@pytest.fixture(scope="module", params=["wheel", "editable"])
def install(request: pytest.FixtureRequest) -> Path | None:
    """The folder of the installed wheel, or None for the editable install that the tests run from."""
    installed: Path | None = request.getfixturevalue("wheel_install") if request.param == "wheel" else None
    return installed


def python(install: Path | None) -> tuple[list[str], dict[str, str]]:
    """The command of an interpreter that uses this install, and its environment."""
    if install is None:
        return [sys.executable], dict(os.environ)
    path = f"{install}{os.pathsep}{sysconfig.get_path('purelib')}"
    return [sys.executable, "-S"], {**os.environ, "PYTHONPATH": path}  # -S leaves out the editable install


FORKS = """
import json, os, site, sys
import cv2, matplotlib.figure, numba, pandas, torch, tyro

for folder, output, script, module, function, arguments in json.loads(sys.argv[1]):
    sys.stdout.flush()
    if os.fork() == 0:
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{output}.{name}", os.O_WRONLY | os.O_CREAT), number)
        if folder is None:
            site.main()
        else:
            sys.path.insert(0, folder)
        sys.argv = [script, *arguments]
        start = f"import sys; from {module} import {function}; sys.exit({function}())"
        try:
            exec(start, {"__name__": "__main__"})
        except SystemExit as error:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(error.code or 0)
    print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
"""Runs console scripts as pip writes them, each in a fork of a process without any of our packages.

The process runs with -S: a fork puts the wheel's folder on its path, or does what -S skipped.
"""


@pytest.fixture(scope="module")
def all_script_runs(
    small_data: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, tuple[int, str, str]]]:
    """Exit code, stdout and stderr of console scripts run in a foreign project, by install and script."""
    folder = foreign_project(tmp_path_factory.mktemp("project"))
    installs: dict[str, str | None] = {"editable": None}
    with suppress(pytest.skip.Exception):
        installs["wheel"] = str(request.getfixturevalue("wheel_install"))
    wanted = {script: (script, ["--help"]) for script in HELPFUL} | {
        "score": ("loopcraft-run", score(small_data))
    }
    orders = [
        (install, f"{kind}-{name}", name, *PROJECT["scripts"][script].split(":"), arguments)
        for kind, install in installs.items()
        for name, (script, arguments) in wanted.items()
    ]
    environment = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")}
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", FORKS, json.dumps(orders)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    runs: dict[str, dict[str, tuple[int, str, str]]] = {kind: {} for kind in installs}
    for code, (_, output, name, *_) in zip(map(int, done.stdout.split()), orders, strict=True):
        out, err = ((folder / f"{output}.{end}").read_text() for end in ("out", "err"))
        runs[output.partition("-")[0]][name] = code, out, err
    return runs


@pytest.fixture
def script_runs(install: Path | None, all_script_runs) -> dict[str, tuple[int, str, str]]:
    """The runs of one install's scripts."""
    return all_script_runs["editable" if install is None else "wheel"]


# One per room with heavy imports.
HELPFUL = ("loopcraft-run", "loopcraft-train", "loopcraft-compare")


@pytest.mark.parametrize("script", HELPFUL)
def test_console_scripts_work_beside_packages_of_the_same_names(script: str, script_runs) -> None:
    code, out, err = script_runs[script]
    assert code == 0, err
    assert "usage:" in out


@pytest.fixture(scope="module")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data set of one episode, at a resolution that no built-in model accepts."""
    out = str(tmp_path_factory.mktemp("data") / "data")
    size = ["--num-episodes", "1", "--num-frames", "256", "--resolution", "32", "--workers", "1"]
    assert generate.main(["--out", out, "--split", "val", "--world", "plaza-v1", *size]) == 0
    return out


FRAME_SHAPE_ERROR = "millivid makes frames of shape (3, 64, 64)"


def score(data: str) -> tuple[str, ...]:
    return ("--model", "millivid", "--protocol", "loopcraft-mini", "--data", data, "--out", "out")


def test_a_console_script_finds_our_models_beside_a_package_called_models(script_runs) -> None:
    code, _, err = script_runs["score"]
    assert code == 2
    assert FRAME_SHAPE_ERROR in err.splitlines()[-1]  # earlier lines may report the compilation of kernels


def test_python_m_finds_our_models_or_names_the_intruder(
    install: Path | None, small_data: str, tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").touch()
    command, environment = python(install)
    done = subprocess.run(
        [*command, "-m", "benchmark.run", *score(small_data)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    message = done.stderr.splitlines()[-1]
    if install is None:  # setuptools' finder for editable installs skips the intruder
        assert FRAME_SHAPE_ERROR in message
    else:
        assert f"{tmp_path / 'models'} has the same name: run in another folder" in message


@pytest.mark.parametrize("command", ["leaderboard.compare", "leaderboard.submit", "models.evaluate"])
def test_python_m_names_an_intruder_that_it_imports(
    command: str, wheel_install: Path, tmp_path: Path
) -> None:
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "__init__.py").touch()
    interpreter, environment = python(wheel_install)
    done = subprocess.run(
        [*interpreter, "-m", command, "--help"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    reason = (
        f"{tmp_path / 'benchmark'} has the same name: run in another folder, with python -P, or the command"
    )
    assert done.stderr == f"error: this needs Loopcraft's package benchmark, but {reason} loopcraft-...\n"

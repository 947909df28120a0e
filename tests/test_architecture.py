"""The rooms and their one arrow: who may import whom, checked on the source of every module."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "loopcraft": (),
    "benchmark": ("loopcraft",),
    "models": ("loopcraft",),
    "leaderboard": (
        "benchmark.results.result_file",
        "benchmark.results.tables",
        "benchmark.reporting.curves",
        "loopcraft.core.cli",
    ),
}
"""What each room may import of its siblings."""
ALSO: dict[str, tuple[str, ...]] = {
    "models/evaluate.py": ("benchmark.weight_files.bundle", "benchmark.metrics"),
    "models/publishing/repository.py": ("benchmark.results.result_file",),
    "models/publish.py": ("benchmark.results.hub",),
}
"""What one module may import beyond its room: commands that score by the benchmark's metrics or show its
tables."""


def imported_modules(source: str) -> list[str]:
    """Every module that a source imports, inside functions too; `from a import b` counts as a.b."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{'.' * node.level}{node.module}.{alias.name}" for alias in node.names]
    return names


def forbidden_imports(room: str, source: str, also: tuple[str, ...] = ()) -> list[str]:
    """The imports of a module of `room` that go against the arrow, or are relative."""
    found = []
    for name in imported_modules(source):
        sibling = name.split(".")[0] in MAY_IMPORT and name.split(".")[0] != room
        allowed = any(f"{name}.".startswith(f"{target}.") for target in (*MAY_IMPORT[room], *also))
        if name.startswith(".") or (sibling and not allowed):
            found.append(name)
    return found


def modules() -> list[tuple[str, Path]]:
    return [(room, path) for room in MAY_IMPORT for path in sorted((ROOT / room).rglob("*.py"))]


@pytest.mark.parametrize(("room", "path"), modules(), ids=lambda value: str(value).removeprefix(f"{ROOT}/"))
def test_imports_follow_the_arrow(room: str, path: Path) -> None:
    also = ALSO.get(path.relative_to(ROOT).as_posix(), ())
    assert forbidden_imports(room, path.read_text(), also) == []


def test_modules_inside_a_room_form_no_cycle() -> None:
    edges = {}
    for room, path in modules():
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        edges[name] = [
            target for target in imported_modules(path.read_text()) if target.split(".")[0] == room
        ]
    known = set(edges)

    def resolve(target: str) -> str | None:
        while target and target not in known:
            target = target.rpartition(".")[0]
        return target or None

    graph = {
        name: {found for target in targets if (found := resolve(target)) and found != name}
        for name, targets in edges.items()
    }
    while leaves := [name for name, targets in graph.items() if not targets & graph.keys()]:
        for name in leaves:
            del graph[name]
    assert graph == {}


@pytest.mark.parametrize(
    ("room", "source", "found"),
    [
        ("loopcraft", "import benchmark.results.result_file", ["benchmark.results.result_file"]),
        (
            "models",
            "def f():\n    from benchmark.contract.model import RolloutModel",
            ["benchmark.contract.model.RolloutModel"],
        ),
        ("leaderboard", "from benchmark.harness.score import Scorer", ["benchmark.harness.score.Scorer"]),
        ("leaderboard", "from benchmark.results.result_file import read_results", []),
        ("benchmark", "from .protocol import x", [".protocol.x"]),
        ("benchmark", "import loopcraft.core.files, torch", []),
    ],
)
def test_the_checker_sees_a_reverse_arrow(room: str, source: str, found: list[str]) -> None:
    assert forbidden_imports(room, source) == found


def test_an_exception_is_no_wider_than_it_says() -> None:
    source = "from benchmark.metrics.base import Resources\nfrom benchmark.harness.score import Scorer"
    assert forbidden_imports("models", source, ("benchmark.metrics",)) == ["benchmark.harness.score.Scorer"]


def test_every_exception_is_needed() -> None:
    for name, targets in ALSO.items():
        found = forbidden_imports(name.split("/")[0], (ROOT / name).read_text())
        for target in targets:
            assert any(f"{module}.".startswith(f"{target}.") for module in found)

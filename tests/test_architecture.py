"""Compare docs/architecture.md with the imports of every module, including those inside functions.

A row of its tables is a folder: what it holds, and which other folders it may import. A room's row covers its
commands, which are the files at its top and every `__main__.py`; a file's row lists what else it may import.
"""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture.md"
ROOMS: dict[str, tuple[str, ...]] = {
    "loopcraft": (),
    "benchmark": ("loopcraft",),
    "models": ("loopcraft", "benchmark"),
    "leaderboard": ("loopcraft", "benchmark"),
}
"""The rooms, and the other rooms whose folders their rows may name."""
NO_COMMANDS = ("warm.py", "library.py")
"""Files at the top of a room that are not commands: what `doctor --warm` calls, and the Python interface."""
MOST_MODULES = 15
CROWDED: dict[str, int] = {}
"""Folders that may hold more modules, with the number."""

Table = dict[str, tuple[str, frozenset[str]]]


def read_table(page: str) -> Table:
    """Row -> what it holds, and the rows it may import; a name without a room is in the row's own room."""
    rows = re.findall(r"^\| `([\w/.]+)` \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    names = [name for name, _, _ in rows]
    table: Table = {}
    for name, clause, imports in rows:
        room = name.split("/")[0]
        targets: list[str] = []
        for word in re.findall(r"[\w/*]+", imports.replace("nothing", "")):
            if word.endswith("/*"):
                targets += [other for other in names if other.startswith(word[:-1]) and "." not in other]
            else:
                targets.append(f"{room}/{word}" if f"{room}/{word}" in names else word)
        table[name] = (clause, frozenset(targets) - {name})
    return table


def wildcards(page: str) -> set[str]:
    """The rows that may import whole rooms, which are commands."""
    rows = re.findall(r"^\| `([\w/.]+)` \| .*? \| (.*?) \|$", page, re.MULTILINE)
    return {name for name, imports in rows if "/*" in imports}


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def row_of(path: str) -> str:
    """The row of a module: its folder, or its room if it is a command."""
    folder, _, name = path.rpartition("/")
    return path.split("/")[0] if name == "__main__.py" else folder


def imported_modules(source: str) -> list[str]:
    """Every module that a source imports, including inside functions; `from a import b` counts as a.b."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{'.' * node.level}{node.module}.{alias.name}" for alias in node.names]
    return names


def resolve(name: str, modules: Mapping[str, str]) -> str | None:
    """The path of the module that an imported name denotes or lies in."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return modules.get(name)


def arrows(path: str, source: str, modules: Mapping[str, str]) -> dict[str, str]:
    """The other rows that a module imports from -> the import; "." for a relative one."""
    imports = {}
    for name in imported_modules(source):
        if name.startswith("."):
            imports["."] = name
        elif name.split(".")[0] in ROOMS:
            target = resolve(name, modules)
            row = row_of(target) if target else "?"
            if row != row_of(path):
                imports[row] = name
    return imports


def forbidden(path: str, source: str, table: Table, modules: Mapping[str, str]) -> list[str]:
    """The imports of a module that the table does not allow."""
    allowed = table.get(row_of(path), ("", frozenset()))[1] | table.get(path, ("", frozenset()))[1]
    return [name for row, name in arrows(path, source, modules).items() if row not in allowed]


def unneeded(table: Table, used: Mapping[str, Iterable[str]]) -> list[str]:
    """Arrows of the table that no import needs."""
    return [
        f"{row} -> {target}"
        for row, (_, targets) in table.items()
        for target in sorted(targets - set(used.get(row, ())))
    ]


def cycle(graph: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """The part of a graph that remains after repeatedly removing nodes that import no others."""
    left = {name: set(targets) for name, targets in graph.items()}
    while leaves := [name for name, targets in left.items() if not targets & left.keys()]:
        for name in leaves:
            del left[name]
    return {name: targets & left.keys() for name, targets in left.items()}


def upward(table: Table) -> list[str]:
    """Arrows to rooms that the row's room may not import."""
    return [
        f"{row} -> {target}"
        for row, (_, targets) in table.items()
        for target in targets
        if target.split("/")[0] not in (row.split("/")[0], *ROOMS[row.split("/")[0]])
    ]


def crowded(paths: Iterable[str]) -> dict[str, int]:
    """Folders with more than `MOST_MODULES` modules; `__init__.py` files do not count."""
    count = Counter(path.rpartition("/")[0] for path in paths if not path.endswith("__init__.py"))
    return {folder: number for folder, number in count.items() if number > MOST_MODULES}


def is_command(source: str) -> bool:
    """Whether a source ends like a command."""
    last = ast.parse(source).body[-1]
    return isinstance(last, ast.If) and ast.unparse(last.test) == "__name__ == '__main__'"


PATHS = [path.relative_to(ROOT).as_posix() for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
MODULES = {module_name(path): path for path in PATHS}
TABLE = read_table(PAGE.read_text())
FOLDERS = {name: row for name, row in TABLE.items() if not name.endswith(".py")}


@pytest.mark.parametrize("path", PATHS)
def test_imports_follow_the_arrows(path: str) -> None:
    assert forbidden(path, (ROOT / path).read_text(), TABLE, MODULES) == []


def test_every_arrow_is_needed() -> None:
    used: dict[str, set[str]] = {}
    for path in PATHS:
        targets = set(arrows(path, (ROOT / path).read_text(), MODULES))
        row = used.setdefault(row_of(path), set())
        row |= targets - TABLE.get(path, ("", frozenset()))[1]
        if path in TABLE:
            used[path] = targets
    exact = {name: row for name, row in TABLE.items() if name not in wildcards(PAGE.read_text())}
    assert unneeded(exact, used) == []


def test_the_arrows_point_down() -> None:
    assert upward(TABLE) == []
    assert cycle({name: targets for name, (_, targets) in FOLDERS.items()}) == {}


def test_modules_form_no_cycle() -> None:
    graph = {}
    for path in PATHS:
        targets = {resolve(name, MODULES) for name in imported_modules((ROOT / path).read_text())}
        graph[path] = {target for target in targets if target and target != path}
    assert cycle(graph) == {}


def test_every_folder_has_a_row_with_its_docstring() -> None:
    sentences = {}
    for path in PATHS:
        if path.endswith("/__init__.py") and path.count("/") > 1:
            text = ast.get_docstring(ast.parse((ROOT / path).read_text())) or ""
            sentences[row_of(path)] = text.partition("\n")[0].removesuffix(".")
    rows = {name: clause.removesuffix(".") for name, (clause, _) in FOLDERS.items() if name not in ROOMS}
    assert rows == sentences
    assert {row_of(path) for path in PATHS} == set(FOLDERS)


def test_the_top_of_a_room_is_its_commands() -> None:
    for room in ROOMS:
        top = [
            path
            for path in PATHS
            if row_of(path) == room and not path.endswith(("__init__.py", *NO_COMMANDS))
        ]
        assert [path for path in top if not is_command((ROOT / path).read_text())] == []
        names = {module_name(path).removesuffix(".__main__").partition(".")[2] for path in top}
        assert set(re.findall(r"\w+", TABLE[room][0])) == names


def test_no_folder_is_crowded() -> None:
    assert crowded(PATHS) == CROWDED


def test_results_are_compared_without_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import leaderboard.compare"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# Mutants: each check detects its fault.

SMALL = {
    "loopcraft.core.cli": "loopcraft/core/cli.py",
    "loopcraft.core.files": "loopcraft/core/files.py",
    "loopcraft.dataset.reader": "loopcraft/dataset/reader.py",
    "loopcraft.generate": "loopcraft/generate.py",
    "benchmark.harness.score": "benchmark/harness/score.py",
    "benchmark.results": "benchmark/results/__init__.py",
    "models.plans.__main__": "models/plans/__main__.py",
}
ROWS = """
| `loopcraft` | generate | loopcraft/* |
| `loopcraft/core` | What all stand on | nothing |
| `loopcraft/dataset` | Episodes | core |
| `benchmark/results` | Results | loopcraft/core |
| `benchmark/harness` | Runs | results, loopcraft/core |
| `models` | plans | benchmark/results |
| `models/plans` | Plans | loopcraft/core |
| `models/evaluate.py` | beyond | benchmark/harness |
"""


@pytest.mark.parametrize(
    ("path", "source", "found"),
    [
        ("loopcraft/core/cli.py", "import loopcraft.dataset.reader", ["loopcraft.dataset.reader"]),
        ("loopcraft/core/cli.py", "def f():\n    import benchmark.results", ["benchmark.results"]),
        ("loopcraft/dataset/reader.py", "from benchmark.results import x", ["benchmark.results.x"]),
        ("loopcraft/dataset/reader.py", "from loopcraft import generate", ["loopcraft.generate"]),
        ("loopcraft/dataset/reader.py", "from loopcraft.nowhere import x", ["loopcraft.nowhere.x"]),
        ("loopcraft/dataset/reader.py", "from .catalog import x", [".catalog.x"]),
        (
            "benchmark/results/tables.py",
            "from benchmark.harness.score import S",
            ["benchmark.harness.score.S"],
        ),
        ("models/publish.py", "from benchmark.harness.score import S", ["benchmark.harness.score.S"]),
        ("models/evaluate.py", "from benchmark.harness.score import S", []),
        ("models/plans/plan.py", "import models.plans.__main__", ["models.plans.__main__"]),
        ("benchmark/harness/score.py", "import loopcraft.core.files, torch", []),
        ("loopcraft/generate.py", "from loopcraft.dataset.reader import open_dataset", []),
    ],
)
def test_a_forbidden_import_is_detected(path: str, source: str, found: list[str]) -> None:
    assert forbidden(path, source, read_table(ROWS), SMALL) == found


def test_an_unneeded_arrow_is_detected() -> None:
    used = {"loopcraft/dataset": {"loopcraft/core"}, "benchmark/harness": {"benchmark/results"}}
    rows = {name: row for name, row in read_table(ROWS).items() if name in used}
    assert unneeded(rows, used) == ["benchmark/harness -> loopcraft/core"]


def test_an_arrow_that_points_up_is_detected() -> None:
    table = read_table(ROWS + "| `loopcraft/views` | Pictures | benchmark/results |")
    assert upward(table) == ["loopcraft/views -> benchmark/results"]
    assert upward(read_table(ROWS)) == []


def test_a_cycle_is_detected() -> None:
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == {"a": {"b"}, "b": {"c"}, "c": {"b"}}
    assert cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {}


def test_a_crowded_folder_is_detected() -> None:
    folder = [f"benchmark/metrics/m{number}.py" for number in range(MOST_MODULES)]
    assert crowded([*folder, "benchmark/metrics/__init__.py"]) == {}
    assert crowded([*folder, "benchmark/metrics/psnr.py"]) == {"benchmark/metrics": MOST_MODULES + 1}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def main(): ...\nif __name__ == '__main__':\n    raise SystemExit(main())", True),
        ("def helper(): ...", False),
        ("if __name__ == '__main__':\n    main()\nX = 1", False),
    ],
)
def test_a_library_at_the_top_of_a_room_is_detected(source: str, expected: bool) -> None:
    assert is_command(source) is expected

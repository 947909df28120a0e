"""Write docs/cli.md and docs/api.md: `python docs/reference.py`. A test says when they are out of date."""

import ast
import contextlib
import dataclasses
import importlib
import inspect
import io
import os
import re
from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import ModuleType

DOCS = Path(__file__).parent
ROOMS = ("loopcraft", "benchmark", "models", "leaderboard")
SUBCOMMANDS = {
    "models.train": ("autoencoder", "video"),
    "benchmark.weights": ("fetch", "list", "verify", "add"),
}
WIDTH = "100"
OBJECTS = {
    "loopcraft": ("generate_dataset", "open_dataset", "make_world", "UserError"),
    "loopcraft.dataset": ("LoopcraftDataset", "Episode"),
    "loopcraft.dataset.torch_views": ("RandomWindows", "Episodes"),
    "loopcraft.worlds": ("WorldSpec",),
    "loopcraft.worlds.base": (
        "World",
        "PathWorld",
        "SurfaceWorld",
        "Observation",
        "Pose",
        "GroundPicture",
        "PlayError",
    ),
    "loopcraft.cameras": (
        "camera_to_world",
        "world_to_camera",
        "intrinsics",
        "plucker_rays",
        "project",
        "vpt_actions",
    ),
    "benchmark": ("evaluate", "check_model", "compare"),
    "benchmark.library": ("Comparison",),
    "benchmark.contract.model": ("RolloutModel",),
    "benchmark.results.result_file": ("read_result", "Result", "MetricResult", "Estimate"),
    "models": ("load",),
}
"""What the page of the Python interface shows, with the public methods of classes."""


def commands() -> Iterator[str]:
    """Every command of the project, as `python -m` takes it."""
    for room in ROOMS:
        folder = DOCS.parent / room
        for path in sorted([*folder.glob("*.py"), *folder.glob("*/__main__.py")]):
            if re.search(r"^(def main\(|main = )", path.read_text(), re.MULTILINE):
                yield f"{room}.{path.parent.name if path.stem == '__main__' else path.stem}"


def help_of(module: str, *arguments: str) -> str:
    """What a command says of itself."""
    name = f"{module}.__main__" if (DOCS.parent / module.replace(".", "/")).is_dir() else module
    text = io.StringIO()
    os.environ["COLUMNS"] = WIDTH
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        importlib.import_module(name).main([*arguments, "--help"])
    said = text.getvalue().replace(f"{DOCS.parent}/", "")  # defaults that lie beside the code
    return "\n".join(line.rstrip() for line in said.strip().splitlines())


def cli() -> str:
    """The page of all commands."""
    parts = [
        "# Commands",
        "Made by `python docs/reference.py` from what every command says with `--help`. Commands are also "
        "installed as scripts (`loopcraft-run` for `python -m benchmark.run`), which work in any folder.",
    ]
    for command in commands():
        parts.append(f"## python -m {command}")
        for arguments in [(), *((name,) for name in SUBCOMMANDS.get(command, ()))]:
            parts.append(f"```\n{help_of(command, *arguments)}\n```")
    return "\n\n".join(parts) + "\n"


def api() -> str:
    """The page of the Python interface."""
    parts = [
        "# Python interface",
        "Made by `python docs/reference.py` from the docstrings. Everything else in the packages may change.",
    ]
    for name, objects in OBJECTS.items():
        module = importlib.import_module(name)
        parts.append(f"## {name}")
        parts.append(inspect.getdoc(module) or "")
        for item in objects:
            parts += describe(module, item)
    return "\n\n".join(parts) + "\n"


def describe(module: ModuleType, name: str) -> Iterator[str]:
    """A function, or a class with its public members."""
    value = getattr(module, name)
    yield f"### {name}"
    if not inspect.isclass(value):
        yield from signature_and_text(name, value)
        return
    if is_made_by_call(value):
        yield from signature_and_text(name, value)
    else:
        yield text_of(value)
    if fields := list(fields_of(value)):
        yield "\n".join(fields)
    for member, text in attributes_of(value):
        yield f"`{name}.{member}`: {text}"
    for member, own in vars(value).items():
        if member.startswith("_"):
            continue
        if isinstance(own, (property, cached_property)):
            yield f"`{name}.{member}`: {inspect.getdoc(own)}"
        elif inspect.isfunction(own):
            yield from signature_and_text(f"{name}.{member}", own)


def is_made_by_call(value: type) -> bool:
    """Whether a class has a constructor of its own, whose arguments are no fields."""
    is_protocol = getattr(value, "_is_protocol", False)
    return "__init__" in vars(value) and not is_protocol and not dataclasses.is_dataclass(value)


def fields_of(value: type) -> Iterator[str]:
    """The fields of a dataclass or a named tuple, each with its docstring where it has one."""
    said = dict(documented(ast.parse(inspect.getsource(value)).body[0]))
    if dataclasses.is_dataclass(value):
        types = {field.name: field.type for field in dataclasses.fields(value)}
    else:
        types = inspect.get_annotations(value) if hasattr(value, "_fields") else {}
    for field, kind in types.items():
        text = f": {said[field]}" if field in said else ""
        yield f"- `{field}: {inspect.formatannotation(kind)}`{text}"


def attributes_of(value: type) -> Iterator[tuple[str, str]]:
    """What a constructor sets and says something of."""
    for node in ast.walk(ast.parse(inspect.getsource(value))):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            yield from documented(node)


def documented(block: ast.AST) -> Iterator[tuple[str, str]]:
    """Of a block of code, the names that are given a value or a type, and the docstrings below them."""
    for statement, below in pairwise(getattr(block, "body", ())):
        if not isinstance(statement, (ast.Assign, ast.AnnAssign)):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
            yield ast.unparse(target).removeprefix("self."), " ".join(str(below.value.value).split())


def signature_and_text(name: str, function: object) -> Iterator[str]:
    """How it is called, and what it says."""
    assert callable(function)
    signature = inspect.signature(function)
    line = f"{name}{signature}"
    if len(line) > int(WIDTH):
        arguments = str(signature.replace(return_annotation=inspect.Signature.empty))[1:-1]
        returns = str(inspect.Signature(return_annotation=signature.return_annotation))[2:]
        line = f"{name}(\n    " + ",\n    ".join(split_arguments(arguments)) + f",\n){returns}"
    yield f"```python\n{line}\n```"
    yield text_of(function)


def text_of(value: object) -> str:
    """A docstring, with its example as code."""
    text, mark, example = (inspect.getdoc(value) or "").partition("\n>>> ")
    example = example.replace("  # doctest: +SKIP", "")
    return f"{text}\n```python\n>>> {example}\n```" if mark else text


def split_arguments(text: str) -> list[str]:
    """Arguments at their commas, but for those in brackets."""
    parts, depth = [""], 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        if char == "," and not depth:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts]


if __name__ == "__main__":
    (DOCS / "cli.md").write_text(cli())
    (DOCS / "api.md").write_text(api())

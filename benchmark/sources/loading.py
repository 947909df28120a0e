"""How a model is found: by a registered name, by the path of its factory, or at the address of its server."""

import importlib
import inspect
import json
import sys
from collections.abc import Mapping
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from benchmark.contract.model import FrameSource, check_members
from benchmark.sources import exits
from benchmark.sources.http_client import HttpModel
from benchmark.sources.machine import describe, own_traceback
from loopcraft.core.errors import UserCodeError, UserError
from loopcraft.core.extras import ROOMS, foreign_place, remedy_for
from loopcraft.core.files import file_sha256

ENTRY_POINTS = "loopcraft.models"


def load_model(
    spec: str, arguments: Mapping[str, Any] | None = None, world: str | None = None
) -> FrameSource:
    """The model called `spec`: a registered name, `package.module:factory` or http://HOST:PORT.

    The factory (a class is one) is called with the `arguments` as keywords. One that takes a `world` gets
    the id of the data's, unless the arguments name another. Raises `UserError`; `UserCodeError`, with the
    traceback, for what the model's own code raises.
    """
    given = dict(arguments or {})
    try:
        with exits.refused():
            factory = _find_factory(spec)
            try:
                signature = inspect.signature(factory)
                if "world" in signature.parameters:
                    given.setdefault("world", world)
                signature.bind(**given)
            except TypeError as error:
                said = json.dumps(dict(arguments or {}))
                raise UserError(f"--model-args {said} do not fit {spec}: {error}") from error
            return check_members(factory(**given), spec)
    except UserError:
        raise
    except exits.ModelExitError as error:
        raise not_loaded(spec, str(error), error.__cause__ or error) from error
    except Exception as error:
        if isinstance(error, OSError) and ":" not in spec:  # a file of a model of ours: told by its path
            raise
        raise not_loaded(spec, f"it raised {describe(error)}", error) from error


def module_of(spec: str) -> str:
    """The module of the factory of the model called `spec`; that of our client for a model on a server."""
    if spec.startswith("http://"):
        return HttpModel.__module__
    return spec.partition(":")[0] if ":" in spec else _registered()[spec].module


def code_of(module: str) -> str | None:
    """The SHA-256 of the file of a module that is loaded; None of ours, and of one without a file."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if module.partition(".")[0] in ROOMS or file is None or not Path(file).is_file():
        return None
    return file_sha256(Path(file))


def not_loaded(spec: str, what: str, error: BaseException) -> UserCodeError:
    """What is said of a model whose code raised `error` as it was loaded."""
    return UserCodeError(f"{spec}: could not be loaded: {what}", own_traceback(error))


def parse_model_args(text: str) -> dict[str, Any]:
    """Read the JSON object of `--model-args`; raises `UserError` for any other text."""
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"--model-args {text!r} is not JSON ({error}): write it as '{{\"size\": 2}}'"
        ) from error
    if not isinstance(arguments, dict):
        raise UserError(f"--model-args {text!r} must be a JSON object, as in '{{\"size\": 2}}'")
    return arguments


def _find_factory(spec: str) -> Any:
    if spec.startswith("http://"):
        return partial(HttpModel, spec)
    return _import_factory(spec) if ":" in spec else _registered_factory(spec)


def _registered() -> Mapping[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def _registered_factory(name: str) -> Any:
    registered = _registered()
    if name not in registered:
        known = ", ".join(sorted(registered))
        raise UserError(
            f"unknown model {name!r}: choose one of {known}, or give package.module:factory or http://HOST:PORT"
        )
    try:
        return registered[name].load()
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"model {name!r} is registered as {registered[name].value}, which cannot be loaded ({error}); "
            f"{_remedy(registered[name].module)}"
        ) from error


def _remedy(module: str) -> str:
    """What to do where a registered module is not found: mostly, another package here has its name."""
    place = foreign_place(module.partition(".")[0])
    return "install its package again" if place is None else remedy_for(place)


def _import_factory(path: str) -> Any:
    module_name, _, attribute = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise UserError(
            f"--model {path}: no module {error.name!r}; is it installed or on PYTHONPATH?"
        ) from error
    if not callable(getattr(module, attribute, None)):
        raise UserError(f"--model {path}: {module_name} has no callable {attribute!r}")
    return getattr(module, attribute)

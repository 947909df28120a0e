"""Load a model by its registered name, the path of its factory, or the address of its server."""

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
from benchmark.sources.machine import describe, model_traceback
from loopcraft.core.errors import UserCodeError, UserError
from loopcraft.core.extras import ROOMS, foreign_place, remedy_for
from loopcraft.core.files import file_sha256

ENTRY_POINTS = "loopcraft.models"


def load_model(
    spec: str, arguments: Mapping[str, Any] | None = None, world: str | None = None
) -> FrameSource:
    """Load the model `spec`: a registered name, `package.module:factory` or http://HOST:PORT.

    The factory, which may be a class, is called with `arguments` as keywords. If it takes a `world`, it gets
    that of the data set unless the arguments name one. Raises `UserError`, or `UserCodeError` with the
    traceback if the model's own code raises.
    """
    keywords = dict(arguments or {})
    try:
        with exits.forbid_exit():
            factory = _find_factory(spec)
            try:
                signature = inspect.signature(factory)
                if "world" in signature.parameters:
                    keywords.setdefault("world", world)
                signature.bind(**keywords)
            except TypeError as error:
                text = json.dumps(dict(arguments or {}))
                raise UserError(f"--model-args {text} do not fit {spec}: {error}") from error
            return check_members(factory(**keywords), spec)
    except UserError:
        raise
    except exits.ModelExitError as error:
        raise _load_error(spec, str(error), error.__cause__ or error) from error
    except Exception as error:
        if (
            isinstance(error, OSError) and ":" not in spec
        ):  # a file of a registered model; reported by its path
            raise
        raise _load_error(spec, f"it raised {describe(error)}", error) from error


def factory_module(spec: str) -> str:
    """Return the module of the factory of model `spec`; for a model on a server, that of our client."""
    if spec.startswith("http://"):
        return HttpModel.__module__
    return spec.partition(":")[0] if ":" in spec else _registered()[spec].module


def module_sha256(module: str) -> str | None:
    """Return the SHA-256 of a loaded module's file; None for our own modules and those without a file."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if module.partition(".")[0] in ROOMS or file is None or not Path(file).is_file():
        return None
    return file_sha256(Path(file))


def _load_error(spec: str, reason: str, error: BaseException) -> UserCodeError:
    return UserCodeError(f"{spec}: could not be loaded: {reason}", model_traceback(error))


def parse_model_args(text: str) -> dict[str, Any]:
    """Parse the JSON object of `--model-args`; raises `UserError` for any other text."""
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
    """Return what to do about a registered module that is not found; often another package has its name."""
    folder = foreign_place(module.partition(".")[0])
    return "install its package again" if folder is None else remedy_for(folder)


def _import_factory(path: str) -> Any:
    module_name, _, attribute = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise UserError(
            f"--model {path}: no module {error.name!r}; install it or add its folder to PYTHONPATH"
        ) from error
    if not callable(getattr(module, attribute, None)):
        raise UserError(f"--model {path}: {module_name} has no callable {attribute!r}")
    return getattr(module, attribute)

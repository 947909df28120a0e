"""Tell a machine's failures from a model's, and describe any exception.

A model's failure is recorded, because the same model would fail again. A machine's is not: the device was
missing or memory or disk was full, and the same command may succeed later.
"""

import errno
import importlib
import re
import traceback
from pathlib import Path
from types import TracebackType

import torch

from benchmark.contract.model import ContractError
from loopcraft.core.errors import UserError

LONGEST_REASON = 500
"""Characters of an exception's type and message to show in one line; its traceback has all of it."""

_ERRNOS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.ENOMEM,
    errno.EMFILE,
    errno.ENFILE,
    errno.EROFS,
    errno.ENODEV,
    errno.ENXIO,
    errno.ESTALE,
    errno.EAGAIN,
}
_NO_DEVICE = re.compile(
    r"no NVIDIA driver|not compiled with \w+ enabled|No \w+ GPUs are available|invalid device ordinal"
    r"|busy or unavailable|driver version is insufficient|no CUDA-capable device|CUDA driver"
    r"|device kernel image|ECC error|fallen off the bus|NVML|CUDNN_STATUS_NOT_INITIALIZED"
    r"|can't allocate memory"
    r"|CUBLAS_STATUS_ALLOC_FAILED|unable to open shared memory|Cannot re-initialize CUDA",
    re.IGNORECASE,
)
_POISON = re.compile(
    r"device-side assert|illegal memory access|unspecified launch failure|misaligned address"
    r"|illegal instruction was encountered|CUBLAS_STATUS_EXECUTION_FAILED"
)


_CALLERS = (f"{Path(__file__).parents[1]}/", importlib.__file__, "<frozen importlib")
"""Path prefixes of the files that call a model's code but are not part of it."""


class MachineError(UserError):
    """Raised if the machine failed, not the model."""


class PoisonedError(ContractError):
    """Raised if the model broke its device's state for the rest of this process."""


class SpoiledProcessError(UserError):
    """Raised if this process can no longer use its device; another process can go on."""


class RemoteTracebackError(Exception):
    """The cause of a failure in a model's process: the traceback, or its last output and crash report."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the error means out of memory, so that a smaller batch may succeed."""
    is_memory_error = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    return is_memory_error or "can't allocate memory" in _message(error)


def is_machine_failure(error: BaseException) -> bool:
    """Return whether the machine is at fault."""
    if isinstance(error, OSError):
        return error.errno in _ERRNOS
    if is_out_of_memory(error):
        return True
    may_be_torch = isinstance(error, (RuntimeError, AssertionError))
    return may_be_torch and _NO_DEVICE.search(_message(error)) is not None


def classify_failure(name: str, error: BaseException) -> UserError:
    """Convert an exception that model `name` raised into a failure of the machine, device or model."""
    message = f"{name} raised {describe(error)}"
    if is_machine_failure(error):
        return MachineError(message)
    if isinstance(error, RuntimeError) and _POISON.search(_message(error)):
        return PoisonedError(message)
    return ContractError(message)


def describe(error: BaseException) -> str:
    """Return an exception's type and message as one printable line, shortened if it is too long."""
    text = " ".join(f"{type(error).__name__}: {_message(error)}".split())
    plain = "".join(letter if letter.isprintable() else "?" for letter in text)
    return plain if len(plain) <= LONGEST_REASON else f"{plain[:LONGEST_REASON]}..."


def failure_details(failure: UserError) -> str:
    """Return what made a model fail: its process's traceback or last output, or its code's traceback."""
    cause = failure.__cause__ or failure
    return str(cause) if isinstance(cause, RemoteTracebackError) else model_traceback(cause)


def model_traceback(error: BaseException) -> str:
    """Format the traceback of an exception in a model's code, without the benchmark's frames above it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and _is_caller(trace):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def _is_caller(trace: TracebackType) -> bool:
    file = trace.tb_frame.f_code.co_filename
    return file.startswith(_CALLERS) or file.endswith("torch/utils/_contextlib.py")


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # whatever its __str__ does
        return "(its message cannot be read)"

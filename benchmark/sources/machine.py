"""What a machine fails at, told apart from what a model does wrong, and errors in words whatever they are.

A model's failure is kept, as the same model would fail again. A machine's is not: the device was not there,
memory or disk was full, and the same command may succeed on the same machine an hour later.
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
"""Characters of an exception's own message that are shown in one line; its traceback has all."""

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


_LEADING = (f"{Path(__file__).parents[1]}/", importlib.__file__, "<frozen importlib")
"""How the files begin that call a model's code and are none of it."""


class MachineError(UserError):
    """The machine failed, not the model."""


class PoisonedError(ContractError):
    """The model broke its device's state for the rest of this process."""


class SpoiledProcessError(UserError):
    """A process can use its device no longer; another one can go on."""


class LastWordsError(Exception):
    """The cause of a failure: the traceback in the model's process, or what it printed last and its crash."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was short; fewer videos at a time may do."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in message_of(
        error
    )


def is_machines(error: BaseException) -> bool:
    """Whether the machine is at fault."""
    if isinstance(error, OSError):
        return error.errno in _ERRNOS
    if is_out_of_memory(error):
        return True
    is_torchs = isinstance(error, (RuntimeError, AssertionError))
    return is_torchs and _NO_DEVICE.search(message_of(error)) is not None


def failure_of(name: str, error: BaseException) -> UserError:
    """What a run makes of an exception that the model `name` raised."""
    told = f"{name} raised {describe(error)}"
    if is_machines(error):
        return MachineError(told)
    if isinstance(error, RuntimeError) and _POISON.search(message_of(error)):
        return PoisonedError(told)
    return ContractError(told)


def describe(error: BaseException) -> str:
    """Type and message of any exception, in one line that any file and terminal takes."""
    text = " ".join(f"{type(error).__name__}: {message_of(error)}".split())
    plain = "".join(letter if letter.isprintable() else "?" for letter in text)
    return plain if len(plain) <= LONGEST_REASON else f"{plain[:LONGEST_REASON]}..."


def account_of(failure: UserError) -> str:
    """What led a model to fail: what its process left, or the traceback of its own code."""
    cause = failure.__cause__ or failure
    return str(cause) if isinstance(cause, LastWordsError) else own_traceback(cause)


def own_traceback(error: BaseException) -> str:
    """The traceback of an exception in a model's code, without the benchmark's frames that led there."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and _leads_there(trace):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def _leads_there(trace: TracebackType) -> bool:
    file = trace.tb_frame.f_code.co_filename
    return file.startswith(_LEADING) or file.endswith("torch/utils/_contextlib.py")


def message_of(error: BaseException) -> str:
    """The exception's own words, if it has any that can be had."""
    try:
        return str(error)
    except Exception:  # whatever its __str__ does
        return "(its message cannot be read)"

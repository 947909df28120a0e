"""How the kernels of the voxel world are compiled: no fast-math, as every machine shall get the same bytes.

Compiled code is kept on disk. Numba alone takes it for fresh as long as the kernel's own file has not
changed, although constants and inlined steps come from other files: here any change to a source of this
package compiles anew.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., Any])


@cache
def sources_digest() -> str:
    """SHA-256 of all sources of this package."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _compiled(function: _Function, *, forceinline: bool) -> _Function:
    compiled: Any = njit(cache=True, error_model="numpy", forceinline=forceinline)(function)
    file = compiled._cache._cache_file  # numba has no public way to say what a cached kernel depends on
    file._source_stamp = (file._source_stamp, sources_digest())
    typed: _Function = compiled
    return typed


def kernel(function: _Function) -> _Function:
    """Compile a function that is called from Python or from another kernel."""
    return _compiled(function, forceinline=False)


def inlined(function: _Function) -> _Function:
    """Compile a step of a kernel's inner loop: always as a part of its caller."""
    return _compiled(function, forceinline=True)

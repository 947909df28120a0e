"""What reading a damaged Parquet file raises: Arrow has a dozen ways to say so, some of them `OSError`s."""

import pyarrow as pa

from loopcraft.cli import UserError

DAMAGE = (pa.ArrowException, OSError, ValueError, KeyError, IndexError, TypeError, OverflowError)
"""To be caught, and raised again where it `is_systems`."""


def is_systems(error: BaseException) -> bool:
    """Whether one of `DAMAGE` comes from the system, or is meant for the user: no sign of damage."""
    return isinstance(error, UserError) or (isinstance(error, OSError) and error.errno is not None)

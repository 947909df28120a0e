"""What reading a damaged Parquet file raises: Arrow has a dozen ways to say so, some of them `OSError`s."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from loopcraft.core.errors import UserError

_DAMAGE = (pa.ArrowException, OSError, ValueError, KeyError, IndexError, TypeError, OverflowError)


@contextmanager
def plain_damage(what: str, remedy: str) -> Iterator[None]:
    """Damage found within the block becomes a `UserError` of one sentence: `what` (the reason); `remedy`.

    Errors of the system and those meant for the user pass.
    """
    try:
        yield
    except UserError:
        raise
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UserError(f"{what} ({' '.join(str(error).split())}); {remedy}") from error

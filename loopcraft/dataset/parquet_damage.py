"""Parquet files that may be damaged: Arrow has a dozen ways to say so, and finds some only when asked.

A text that is no UTF-8 passes its reader, and ends the process in a library that trusts it.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

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


def read_parquet(source: BinaryIO, columns: Collection[str] | None = None) -> pa.Table:
    """A Parquet file's table, or those of some `columns` that there are; the others are checked as well.

    One row group at a time, in this thread: see shards.py. Raises what `plain_damage` makes a sentence of.
    """
    file = pq.ParquetFile(source)
    names = [name for name in file.schema_arrow.names if columns is None or name in columns]
    groups = [file.schema_arrow.empty_table().select(names)]
    for number in range(file.num_row_groups):
        group = file.read_row_group(number, use_threads=False)
        group.validate(full=True)
        groups.append(group.select(names))
    return pa.concat_tables(groups)

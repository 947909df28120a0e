"""Reading of Parquet files that may be damaged.

Arrow reports damage by a dozen kinds of exceptions, and some of it only when asked to validate: text that is
not UTF-8 passes its reader, and crashes a library that trusts it.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from loopcraft.core.errors import UserError

_DAMAGE = (pa.ArrowException, OSError, ValueError, KeyError, IndexError, TypeError, OverflowError)


@contextmanager
def plain_damage(problem: str, remedy: str) -> Iterator[None]:
    """Turn errors about damage into a `UserError` of one sentence: `problem` (the reason); `remedy`.

    Errors of the operating system and `UserError` pass unchanged.
    """
    try:
        yield
    except UserError:
        raise
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UserError(f"{problem} ({' '.join(str(error).split())}); {remedy}") from error


def read_parquet(source: BinaryIO, columns: Collection[str] | None = None) -> pa.Table:
    """Read a Parquet file's table, or those of `columns` that it has; all columns are validated.

    Reads one row group at a time, in this thread (see shards.py). Raises errors that `plain_damage` handles.
    """
    file = pq.ParquetFile(source)
    names = [name for name in file.schema_arrow.names if columns is None or name in columns]
    groups = [file.schema_arrow.empty_table().select(names)]
    for number in range(file.num_row_groups):
        group = file.read_row_group(number, use_threads=False)
        group.validate(full=True)
        groups.append(group.select(names))
    return pa.concat_tables(groups)

"""Shards: the parts of work chosen by --shard i/n, for machines that do not communicate."""

from loopcraft.core.errors import UserError


def shard_range(shard: str, total: int, what: str = "episodes") -> range:
    """Return the indices of shard "i/n" of `total` items, in n parts of nearly equal size.

    Raises `UserError` for an invalid shard.
    """
    part, slash, parts = shard.partition("/")
    if not (slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts) <= total):
        raise UserError(f"--shard {shard}: choose i/n with 1 <= i <= n <= {total} {what}, like 2/8")
    start, stop = (number * total // int(parts) for number in (int(part) - 1, int(part)))
    return range(start, stop)

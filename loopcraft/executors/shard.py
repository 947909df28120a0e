"""Shards: the parts that --shard i/n cuts work into, for machines that know nothing of each other."""

from loopcraft.core.errors import UserError


def shard_range(shard: str, total: int, what: str = "episodes") -> range:
    """The items of shard "i/n" out of `total`: n parts, as even as can be. Raises `UserError` for none."""
    part, slash, parts = shard.partition("/")
    if not (slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts) <= total):
        raise UserError(f"--shard {shard}: choose i/n with 1 <= i <= n <= {total} {what}, like 2/8")
    start, stop = (number * total // int(parts) for number in (int(part) - 1, int(part)))
    return range(start, stop)

"""Seeding of all random draws in the project, each by a key (root seed, purpose, index...).

Global generators are never used, so a value depends only on its key, not on the order of calls, the number of
workers or earlier work.
"""

import zlib

import numpy as np


def seed_sequence(root_seed: int, purpose: str, *index: int) -> np.random.SeedSequence:
    """Return the seed sequence of one key; `purpose` enters as its CRC-32, the same on every machine."""
    return np.random.SeedSequence(entropy=root_seed, spawn_key=(zlib.crc32(purpose.encode()), *index))


def generator(root_seed: int, purpose: str, *index: int) -> np.random.Generator:
    """Return a new generator for one key."""
    return np.random.Generator(np.random.PCG64(seed_sequence(root_seed, purpose, *index)))


def integer_seed(root_seed: int, purpose: str, *index: int) -> int:
    """Return a 63-bit seed for one key, which fits a signed 64-bit column."""
    high, low = seed_sequence(root_seed, purpose, *index).generate_state(2, np.uint32)
    return (int(high) << 32 | int(low)) >> 1

"""The one door of randomness: every random draw of the project is keyed by (root seed, purpose, index...).

Nothing here or elsewhere touches a global generator, so a value depends on its key alone: not on the order of
calls, the number of workers or what ran before.
"""

import zlib

import numpy as np


def seed_sequence(root_seed: int, purpose: str, *index: int) -> np.random.SeedSequence:
    """The seed material of one key; `purpose` enters by its CRC-32, which is the same on every machine."""
    return np.random.SeedSequence(entropy=root_seed, spawn_key=(zlib.crc32(purpose.encode()), *index))


def generator(root_seed: int, purpose: str, *index: int) -> np.random.Generator:
    """A fresh generator for one key."""
    return np.random.Generator(np.random.PCG64(seed_sequence(root_seed, purpose, *index)))


def integer_seed(root_seed: int, purpose: str, *index: int) -> int:
    """A 63-bit seed for one key (it fits a signed 64-bit column)."""
    high, low = seed_sequence(root_seed, purpose, *index).generate_state(2, np.uint32)
    return (int(high) << 32 | int(low)) >> 1

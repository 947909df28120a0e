"""File names of the on-disk format.

index.json            {"000/000": 1024, ...}: frames per episode; written last, so the set is finished
dataset.json          format version, world, split, generator configuration, package versions
episodes.parquet      one row per episode: seeds, checksums, statistics, audit flags (see episode_table.py)
000/000.mp4           H.264 at 20 frames per second
000/000.npy           float32 (T, 6): action, x, y, z, yaw, pitch; row t made frame t
"""

FORMAT = "loopcraft-dataset"
FORMAT_VERSION = 1
INDEX = "index.json"
MANIFEST = "dataset.json"
EPISODES = "episodes.parquet"
STATE_COLUMNS = ("action", "x", "y", "z", "yaw_deg", "pitch_deg")


def episode_key(index: int) -> str:
    """Return the key of episode `index`: 1234 is "001/234", as a folder holds a thousand."""
    return f"{index // 1000:03d}/{index % 1000:03d}"


def episode_index(key: str) -> int:
    """Return the index of the episode with this key."""
    thousands, rest = key.split("/")
    return 1000 * int(thousands) + int(rest)

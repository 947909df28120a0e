"""An example of the catalog of a published repository."""

from loopcraft.dataset.catalog import Configuration, ShardEntry
from loopcraft.generation.recipe import manifest
from tests.fakes.world import recipe

FOLDER = "data/test/0123456789abcdef"
CATALOG = {
    "test": Configuration(
        split="test",
        frames=128,
        num_bytes=1000,
        fingerprint="f" * 64,
        manifest=manifest(recipe("test")),
        table="episodes/test.parquet",
        shards=tuple(
            ShardEntry(path=f"{FOLDER}/0000{n}-00000000000000{n}a.parquet", sha256="a" * 64, episodes=n + 1)
            for n in range(2)
        ),
    )
}

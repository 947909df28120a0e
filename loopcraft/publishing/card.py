"""The data set card (README.md) of a published data set, with its header for the Hub."""

from huggingface_hub import DatasetCard, DatasetCardData

from loopcraft.dataset.catalog import TINY, Catalog, preferred
from loopcraft.dataset.episode_table import COLUMNS

FIGURE = "frames.png"

_UNITS = {
    "key": "",
    "frames": "frames (20 per second)",
    "distance_walked": "blocks",
    "chamfer_planned": "steps",
    "chamfer_realised": "blocks",
    "median_age_frames": "frames",
}
_CONTENT = {
    "video": ("Video", "", "MP4 file: H.264, 20 frames per second; each group of 16 decodes on its own"),
    "states": (
        "float32 (T, 6)",
        "blocks, degrees",
        "action (0 forward, 1 left, 2 right), x, y, z, yaw (positive to the right), pitch; row t holds the "
        "action that made frame t and the pose after it",
    ),
    "seen": (
        "bool, flat (T, H, W)",
        "",
        "recall mask: the surface that the pixel shows was visible in the context; null without masks",
    ),
    "age": (
        "uint16, flat (T, H, W)",
        "frames",
        "since the context last showed that surface, if it has been out of sight since, else 0; or null",
    ),
    "sky": ("bool, flat (T, H, W)", "", "the pixel shows no surface; or null"),
    "masks_shape": (
        "int32 (3,)",
        "",
        "T, H, W of `seen`, `age` and `sky`: `np.reshape(row['seen'], row['masks_shape'])`",
    ),
}
_BODY = """\
# {title}

Videos of an agent that walks through block worlds and returns to places that it saw hundreds of frames
before. They are meant for training video world models, and for measuring whether a model still shows the same
place when the agent returns.

![Frames of one episode, numbered]({figure})

## Contents

| configuration | split | episodes | frames | size | fingerprint (SHA-256) |
|---|---|---|---|---|---|
{configurations}

`{tiny}` holds the first episodes of another configuration, to try code on. The fingerprint covers the key,
length and file checksums of every episode; `open_dataset(...).fingerprint` computes it.

## Loading

```python
from datasets import Video, load_dataset
rows = load_dataset("{repository}", "{default}", split="{default_split}", streaming=True)
rows = rows.cast_column("video", Video(decode=False))  # leave out to get frames (needs torchcodec)
row = next(iter(rows))
mp4, states = row["video"]["bytes"], row["states"]
```

or, with exact random access to the frames and caching per episode (needs Loopcraft: `pip install -e .` in a
checkout of the project named in its CITATION.cff):

```python
from loopcraft.dataset import open_dataset
dataset = open_dataset("hf://{repository}/{default}")
key = dataset.keys[0]
frames = dataset.frames(key, 8, 24)  # uint8 (16, H, W, 3)
states = dataset.states(key)[8:24]  # float32 (16, 6)
```

## Columns

| column | type | unit | meaning |
|---|---|---|---|
{columns}

Data sets published without a table of episodes have only `key`, `frames` and the checksums.

## How it was made

{recipes}

A walk is an endless sequence of bundles: 1 to 4 turns of 90 degrees (with probabilities 0.1, 0.3, 0.1, 0.5),
all to one side, shuffled with forward steps. Each entry is held for 9 frames. As a result, the agent keeps
coming back. `test` and `val` consist of the walks whose horizon stays close to their context, and of those
the ones that go furthest.

## Licence

{licence}

{citation}"""
CITATION = """\
## Citation

```bibtex
@article{millivid2026,
  title   = {MilliVid: Hierarchical Latents for Long-Range Consistency in Video Generation},
  journal = {arXiv preprint arXiv:2606.09056},
  year    = {2026}
}
```
"""


def make_card(repository: str, catalog: Catalog, *, licence: str) -> str:
    """Return the README.md of the repository."""
    default = preferred(list(catalog))
    header = DatasetCardData(
        pretty_name=repository.split("/")[1],
        license=licence,
        task_categories=["other"],
        tags=["video", "world-model", "memory", "loopcraft"],
        size_categories=[_size_category(sum(entry.episodes for entry in catalog.values()))],
        configs=[
            {
                "config_name": name,
                "data_files": [{"split": entry.split, "path": f"{entry.folder}/*.parquet"}],
                **({"default": True} if name == default else {}),
            }
            for name, entry in sorted(catalog.items())
        ],
    )
    body = _BODY.format(
        title=repository.split("/")[1],
        figure=FIGURE,
        configurations="\n".join(_configuration_row(name, catalog) for name in sorted(catalog)),
        tiny=TINY,
        repository=repository,
        default=default,
        default_split=catalog[default].split,
        columns="\n".join(_column_rows()),
        recipes="\n".join(_recipe(name, catalog) for name in sorted(catalog) if name != TINY),
        licence=f"`{licence}`",
        citation=CITATION,
    )
    return str(DatasetCard(f"---\n{header.to_yaml()}\n---\n\n{body}"))


def _configuration_row(name: str, catalog: Catalog) -> str:
    entry = catalog[name]
    size = f"{entry.num_bytes / 1e6:,.1f} MB"
    counts = f"{entry.episodes:,} | {entry.frames:,}"
    return f"| `{name}` | `{entry.split}` | {counts} | {size} | `{entry.fingerprint}` |"


def _column_rows() -> list[str]:
    rows = [f"| `{name}` | {kind} | {unit} | {text} |" for name, (kind, unit, text) in _CONTENT.items()]
    return rows + [
        f"| `{name}` | {kind} | {_UNITS.get(name, '')} | {text} |" for name, (kind, text) in COLUMNS.items()
    ]


def _recipe(name: str, catalog: Catalog) -> str:
    manifest = catalog[name].manifest
    if manifest is None:
        return f"- `{name}`: published from the paper's layout, which does not record how it was made"
    recipe = manifest["generator"]
    flags = " ".join(
        f"--{key.replace('_', '-')} {value}"
        for key, value in recipe.items()
        if value is not None and not isinstance(value, bool)
    )
    lossless = " --lossless" if recipe.get("lossless") else ""
    versions = ", ".join(f"{package} {version}" for package, version in manifest["versions"].items())
    return f"- `{name}`: `python -m loopcraft.generate {flags}{lossless} --out {name}` ({versions})"


def _size_category(episodes: int) -> str:
    """The Hub's name for a range of data set sizes."""
    names = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
    return next((name for limit, name in names.items() if episodes < limit), "1M<n<10M")

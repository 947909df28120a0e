"""The model card: what a stranger must know to use published checkpoints, and the header for the Hub."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from loopcraft.publishing.card import CITATION
from models.zoo.loading import AUTOENCODERS
from models.zoo.presets import MODELS

_PIPELINE = "image-to-video"
"""The nearest of the Hub's tasks: frames in, the frames that follow out."""

_BODY = """\
# {title}

World models for [Loopcraft](https://arxiv.org/abs/2606.09056): given frames of a walk and the actions that
follow (0 forward, 1 left, 2 right; 20 a second), they generate the frames that the agent will see.

## Files

| file | what it is | parameters | bytes | SHA-256 |
|---|---|---|---|---|
{files}

Each file carries its configuration in its header and is read by `loopcraft` alone; nothing in it is executed.

## Use

With Loopcraft (`pip install -e .` in a checkout of the project named in its CITATION.cff):

{use}
## Configuration and training

{details}
{results}## Licence

`{licence}`

{citation}"""
_LOAD_MODEL = """\
Load it, and let it go on from a context:

```python
import torch
from models.zoo.world_models import build_rollout
model = build_rollout("{name}", checkpoint="hf://{repository}")
context = torch.zeros(1, model.max_context, *model.frame_shape, dtype=torch.uint8)  # your frames
actions = torch.zeros(1, model.max_context + 64, dtype=torch.int64)  # those of the context, then 64 more
frames = torch.cat(list(model.rollout(context, actions, seeds=[0])), dim=1)  # (1, 64, 3, H, W) in [0, 1]
```
"""
_LOAD_AUTOENCODER = """\
Load it, and encode frames:

```python
import torch
from models.zoo.loading import WeightSource, load_autoencoder
autoencoder, _ = load_autoencoder("{name}", WeightSource(checkpoint="hf://{repository}"))
size = autoencoder.config.frame_size
levels = autoencoder.encode(torch.zeros(1, 3, size, size))  # finest first, (N, tokens, channels) each
```
"""
_SCORE = """
Score it:

```sh
python -m loopcraft.generate --out data/test --split test --num-episodes 100{resolution}
python -m benchmark.run --model {name} --checkpoint hf://{repository} --data data/test --out runs/{name}
```
"""
_ABOUT_RESULTS = "Brackets hold 95 % bootstrap intervals over videos; bounds are shown, not ranked.\n"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint file: its header, its size and, where a log tells, the last record of its training."""

    place: str
    """Its path here or at the Hub."""
    header: dict[str, Any]
    parameters: int
    num_bytes: int
    sha256: str
    last_record: dict[str, Any] | None = None

    @property
    def training(self) -> dict[str, Any]:
        """How it was trained, as its header says; empty where it does not."""
        found: dict[str, Any] = self.header.get("training", {})
        return found


def make_card(
    repository: str,
    checkpoints: Mapping[str, Checkpoint],
    results: Sequence[str],
    *,
    licence: str,
    datasets: Sequence[str],
) -> str:
    """The whole README.md of a repository; `checkpoints` by stem, `results` sections in Markdown."""
    header = ModelCardData(
        license=licence,
        library_name="loopcraft",
        pipeline_tag=_PIPELINE,
        tags=["loopcraft", "world-model", "video-generation", "memory"],
        datasets=list(datasets) or None,
    )
    models = [stem for stem in checkpoints if stem not in AUTOENCODERS]
    body = _BODY.format(
        title=repository.split("/")[1],
        files="\n".join(_file_row(stem, found) for stem, found in checkpoints.items()),
        use=_use(repository, checkpoints, models),
        details="\n".join(_details(stem, found) for stem, found in checkpoints.items()),
        results="\n".join(["# Results\n", _ABOUT_RESULTS, *results, ""]) if results else "",
        licence=licence,
        citation=CITATION,
    )
    return str(ModelCard(f"---\n{header.to_yaml()}\n---\n\n{body}"))


def _use(repository: str, checkpoints: Mapping[str, Checkpoint], models: Sequence[str]) -> str:
    """How to load the first model and to score it; the benchmark scores no cascaded autoencoder by itself."""
    if models:
        name, autoencoder = models[0], MODELS[models[0]].autoencoder
        use = _LOAD_MODEL.format(name=name, repository=repository)
    else:
        name, autoencoder = "autoencoded", next(stem for stem in AUTOENCODERS if stem in checkpoints)
        owner = next(model for model, kind in MODELS.items() if kind.autoencoder == autoencoder)
        use = _LOAD_AUTOENCODER.format(name=owner, repository=repository)
        if autoencoder != MODELS["millivid"].autoencoder:
            return use
    size = checkpoints[autoencoder].header["config"]["frame_size"]
    resolution = "" if size == 256 else f" --resolution {size}"
    return use + _SCORE.format(name=name, repository=repository, resolution=resolution)


def _file_row(stem: str, found: Checkpoint) -> str:
    what = "autoencoder of frames" if stem in AUTOENCODERS else f"video model `{stem}`"
    numbers = f"{found.parameters:,} | {found.num_bytes:,}"
    return f"| [{stem}.safetensors]({stem}.safetensors) | {what} | {numbers} | `{found.sha256}` |"


def _details(stem: str, found: Checkpoint) -> str:
    lines = [f"### {stem}", "", f"`{found.header['kind']}`:", "", *_json(found.header["config"]), ""]
    if not found.training:
        return "\n".join([*lines, "How it was trained is not recorded.", ""])
    training = found.training
    sentence = (
        f"{training['step']:,} updates of {training['batch_size']} samples, seed {training['seed']}, on "
        f"{_data(training['data'])}."
    )
    if found.last_record is not None:
        step, loss = found.last_record["step"], found.last_record["loss"]
        sentence += (
            f" Its log, [{stem}.jsonl]({stem}.jsonl), ends with step {step:,} at a loss of {loss:.4g}."
        )
    if "sampling" in found.header:
        steps, solver = found.header["sampling"]["steps"], found.header["sampling"]["solver"]
        sentence += f" Unless told otherwise it is sampled in {steps} calls of the network ({solver})."
    return "\n".join([*lines, sentence, "", *_json(training), ""])


def _data(identity: str) -> str:
    """The data of a training configuration: a world with its settings, or a checksum."""
    return f"`{identity}`" if "," in identity else f"stored episodes of SHA-256 `{identity}`"


def _json(value: dict[str, Any]) -> list[str]:
    return ["```json", json.dumps(value, indent=1), "```"]

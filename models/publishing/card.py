"""The model card of published checkpoints: files, usage, configuration, training and results."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from loopcraft.publishing.card import CITATION
from models.zoo.loading import AUTOENCODERS
from models.zoo.presets import MODELS

_PIPELINE = "image-to-video"
"""The closest of the Hub's tasks: frames in, subsequent frames out."""

_BODY = """\
# {title}

World models for [Loopcraft](https://arxiv.org/abs/2606.09056): given frames of a walk and the actions that
follow (0 forward, 1 left, 2 right; 20 per second), they generate the frames that the agent will see.

## Files

| file | content | parameters | bytes | SHA-256 |
|---|---|---|---|---|
{files}

Each file carries its configuration in its header and needs only `loopcraft`; nothing in it is executed.

## Use

With Loopcraft (`pip install -e .` in a checkout of the project named in its CITATION.cff):

{use}
## Configuration and training

{details}
{results}## Licence

`{licence}`

{citation}"""
_LOAD_MODEL = """\
Load it and continue a context:

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
Load it and encode frames:

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
_ABOUT_RESULTS = "Brackets are 95 % bootstrap intervals over videos; bounds are shown but not ranked.\n"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint file: its header, its size and, if there is a log, the last record of its training."""

    location: str
    """Its local path, or its path on the Hub."""
    header: dict[str, Any]
    parameters: int
    num_bytes: int
    sha256: str
    last_record: dict[str, Any] | None = None

    @property
    def training(self) -> dict[str, Any]:
        """The training settings in its header; empty if there are none."""
        training: dict[str, Any] = self.header.get("training", {})
        return training


def make_card(
    repository: str,
    checkpoints: Mapping[str, Checkpoint],
    results: Sequence[str],
    *,
    licence: str,
    datasets: Sequence[str],
) -> str:
    """Write the README.md of a repository; `checkpoints` are by stem, `results` are Markdown sections."""
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
        files="\n".join(_file_row(stem, checkpoint) for stem, checkpoint in checkpoints.items()),
        use=_use(repository, checkpoints, models),
        details="\n".join(_details(stem, checkpoint) for stem, checkpoint in checkpoints.items()),
        results="\n".join(["# Results\n", _ABOUT_RESULTS, *results, ""]) if results else "",
        licence=licence,
        citation=CITATION,
    )
    return str(ModelCard(f"---\n{header.to_yaml()}\n---\n\n{body}"))


def _use(repository: str, checkpoints: Mapping[str, Checkpoint], models: Sequence[str]) -> str:
    """Explain how to load and score the first model (a cascaded autoencoder alone cannot be scored)."""
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


def _file_row(stem: str, checkpoint: Checkpoint) -> str:
    content = "autoencoder of frames" if stem in AUTOENCODERS else f"video model `{stem}`"
    numbers = f"{checkpoint.parameters:,} | {checkpoint.num_bytes:,}"
    return f"| [{stem}.safetensors]({stem}.safetensors) | {content} | {numbers} | `{checkpoint.sha256}` |"


def _details(stem: str, checkpoint: Checkpoint) -> str:
    header, training = checkpoint.header, checkpoint.training
    lines = [f"### {stem}", "", f"`{header['kind']}`:", "", *_json(header["config"]), ""]
    if not training:
        return "\n".join([*lines, "Its training is not recorded.", ""])
    sentence = (
        f"{training['step']:,} updates of {training['batch_size']} samples, seed {training['seed']}, on "
        f"{_data(training['data'])}."
    )
    if checkpoint.last_record is not None:
        step, loss = checkpoint.last_record["step"], checkpoint.last_record["loss"]
        sentence += (
            f" Its log, [{stem}.jsonl]({stem}.jsonl), ends with step {step:,} at a loss of {loss:.4g}."
        )
    if "sampling" in header:
        steps, solver = header["sampling"]["steps"], header["sampling"]["solver"]
        sentence += f" By default it is sampled with {steps} network calls ({solver})."
    return "\n".join([*lines, sentence, "", *_json(training), ""])


def _data(identity: str) -> str:
    """Describe a training configuration's data: a world with its settings, or a checksum."""
    return f"`{identity}`" if "," in identity else f"stored episodes of SHA-256 `{identity}`"


def _json(value: dict[str, Any]) -> list[str]:
    return ["```json", json.dumps(value, indent=1), "```"]

"""World models for the benchmark: frames and actions in, frames out, registered as entry points.

Data flow: frames -> `FrameCodec.encode` -> latents -> `Sampler.rollout` -> latents -> `FrameCodec.decode`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Literal, Protocol, get_args

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from loopcraft.core.device import find_device
from loopcraft.core.errors import UserError
from loopcraft.core.seeding import integer_seed
from loopcraft.worlds import world_ids
from models.latents.codec import FRAMES_AT_ONCE, FrameCodec
from models.networks.autoencoder import Autoencoder
from models.networks.denoiser import NUM_ACTIONS
from models.networks.precision import Precision, uses_bfloat16
from models.sampling.diffusion import Sampling, Solver
from models.sampling.token_sampler import Sampler, keyed_noise
from models.zoo.box import PRETRAINED, world_mismatch
from models.zoo.extended_actions import extend_actions
from models.zoo.loading import LoadedModel, WeightSource, load_autoencoder, load_model
from models.zoo.presets import find_model


class VideoRollout:
    """A video model and its autoencoder as a RolloutModel; runs on the device of its context."""

    def __init__(self, name: str, model: LoadedModel, sampling: Sampling, precision: Precision) -> None:
        self.name = name
        self.checkpoint_sha256 = model.sha256
        self.notes: tuple[str, ...] = ()
        self._video = model.config.video
        self._network = model.network.eval().requires_grad_(False)
        self._codec = FrameCodec(model.autoencoder, precision, self._video.space)
        self._sampling = sampling
        self._precision = precision
        self.frame_shape = self._codec.frame_shape
        self.max_context = self._make_sampler(torch.device("cpu")).num_context  # also the minimum

    def rollout(
        self, context: UInt8[Tensor, "B C 3 H W"], actions: Int64[Tensor, "B total"], *, seeds: Sequence[int]
    ) -> Iterator[Float[Tensor, "B n 3 H W"]]:
        """Generate the horizon, yielding frames as soon as their finest latents are denoised.

        Raises `UserError` for invalid actions and if the numbers of videos differ.
        """
        if actions.is_floating_point() or not len(context) == len(actions) == len(seeds):
            raise UserError(
                "a rollout takes integer actions, one context and one seed per video, but got "
                f"{actions.dtype} actions of {len(actions)} videos, {len(context)} contexts and "
                f"{len(seeds)} seeds"
            )
        low, high = int(actions.min()), int(actions.max())
        if low < 0 or high >= NUM_ACTIONS:
            raise UserError(f"actions must be from 0 to {NUM_ACTIONS - 1}, but range from {low} to {high}")
        sampler = self._make_sampler(context.device)
        horizon = actions.shape[1] - context.shape[1]
        num_frames = context.shape[1] + sampler.num_future(horizon)
        walks = [extend_walk(walk, num_frames, seed) for walk, seed in zip(actions, seeds, strict=True)]
        latents = self._codec.encode(context)
        for generated in sampler.rollout(latents, torch.stack(walks), keyed_noise(seeds)):
            if generated.level == 0:
                done = generated.first_frame - context.shape[1]
                yield self._codec.decode(generated.latents[:, : horizon - done])
                if done + generated.latents.shape[1] >= horizon:
                    return

    def precision_on(self, device: torch.device) -> Literal["bfloat16"] | None:
        """Return the precision that the networks choose; None if the caller's autocast decides."""
        return self._codec.precision_on(device)

    def place(self, device: torch.device) -> None:
        """Move the networks to `device` now instead of at the first rollout."""
        self._make_sampler(device)

    def _make_sampler(self, device: torch.device) -> Sampler:
        """Move both networks to `device` and return a sampler for them."""
        self._codec.autoencoder.to(device)
        self._network.to(device)
        sampling = replace(self._sampling, bfloat16=uses_bfloat16(self._precision, device))
        return self._video.sampler(self._network, self._codec.autoencoder.grid, sampling)


def extend_walk(walk: Int64[Tensor, " T"], num_frames: int, seed: int) -> Int64[Tensor, " num_frames"]:
    """Add actions, by the published rule, for frames past the horizon that the last chunk still generates."""
    if num_frames <= len(walk):
        return walk
    draws = np.random.RandomState(integer_seed(seed, "extended actions") % 2**32)
    extended = extend_actions(walk.cpu().numpy()[:, None], num_frames, draws)[:, 0]
    return torch.from_numpy(extended).to(walk.device)


class Episodes(Protocol):
    """The part of a data set that `Autoencoded` needs."""

    def frames(self, key: str, start: int = 0, stop: int | None = None) -> UInt8[np.ndarray, "T H W 3"]:
        """Return frames `start` to `stop` - 1 of an episode."""


class Horizon(Protocol):
    """The part of a protocol that `Autoencoded` needs: where the horizon starts and ends."""

    context: int
    num_frames: int


class Autoencoded:
    """Upper bound for every model with this autoencoder: the true frames, encoded and decoded."""

    role: ClassVar = "bound"

    def __init__(
        self, name: str, autoencoder: Autoencoder, sha256: str | None, level: int, device: str
    ) -> None:
        self.name = name
        self.checkpoint_sha256 = sha256
        self._codec = FrameCodec(autoencoder.to(device), "auto")
        self._level, self._device = level, device
        self.frame_shape = self._codec.frame_shape

    def precision_on(self, device: torch.device) -> Literal["bfloat16"] | None:
        """Return the precision that the autoencoder chooses on its own device; `device` is ignored."""
        return self._codec.precision_on(torch.device(self._device))

    def play(self, episodes: Episodes, protocol: Horizon, keys: Sequence[str]) -> Iterator[Tensor]:
        """Yield the horizon of all videos in chunks, decoded from one level."""
        for start in range(protocol.context, protocol.num_frames, FRAMES_AT_ONCE):
            stop = min(start + FRAMES_AT_ONCE, protocol.num_frames)
            frames = np.stack([episodes.frames(key, start, stop) for key in keys])
            pyramid = self._codec.encode(torch.from_numpy(frames).movedim(-1, 2).to(self._device))
            yield self._codec.decode(pyramid[self._level], self._level)


def build_rollout(
    name: str,
    *,
    checkpoint: str | None = None,
    preset: str | None = None,
    frame_size: int | None = None,
    steps: int | None = None,
    solver: Solver | None = None,
    guidance: float | None = None,
    precision: Precision = "auto",
    compile_network: bool = False,
    seed: int = 0,
    world: str | None = None,
) -> VideoRollout:
    """Build the model called `name`; see `WeightSource` for the weights.

    `steps`, `solver` and `guidance` default to the checkpoint's or preset's. `world` is the world of the data
    (the benchmark passes it); it selects one of the sets that come with the project. Raises `UserError` for
    an unknown precision.
    """
    if precision not in get_args(Precision):
        raise UserError(f"precision {precision!r}: choose one of {', '.join(get_args(Precision))}")
    source = WeightSource(checkpoint=checkpoint, preset=preset, frame_size=frame_size, seed=seed, world=world)
    model = load_model(name, source)
    sampling = model.config.sampling.changed(steps=steps, solver=solver, guidance=guidance)
    if compile_network:
        model.network.trunk.compile()
    rollout = VideoRollout(name + source.label, model, sampling, precision)
    note = None if preset is not None else world_mismatch(checkpoint or PRETRAINED, world)
    rollout.notes = () if note is None else (note,)
    return rollout


def autoencoded(
    *,
    checkpoint: str | None = None,
    preset: str | None = None,
    frame_size: int | None = None,
    level: int = 0,
    device: str = "cpu",
    seed: int = 0,
    world: str | None = None,
) -> Autoencoded:
    """Build the reconstruction reference at one level of MilliVid's autoencoder."""
    source = WeightSource(checkpoint=checkpoint, preset=preset, frame_size=frame_size, seed=seed, world=world)
    autoencoder, sha256 = load_autoencoder("millivid", source)
    return Autoencoded(f"autoencoded{source.label}", autoencoder, sha256, level, device)


millivid = partial(build_rollout, "millivid")
millivid_cascaded = partial(build_rollout, "millivid-cascaded")
millivid_causal = partial(build_rollout, "millivid-causal")
framepack = partial(build_rollout, "framepack")
framepack_hierarchical = partial(build_rollout, "framepack-hierarchical")
framepack_cascaded = partial(build_rollout, "framepack-cascaded")
framepack_mirrored = partial(build_rollout, "framepack-mirrored")
full_resolution = partial(build_rollout, "full-resolution")
rollout_upscale = partial(build_rollout, "rollout-upscale")
upscale = partial(build_rollout, "upscale")


def load(name: str, *, device: str = "cpu", **options: Any) -> VideoRollout:
    """Load a reference model on `device`, ready to roll out: frames and actions in, frames out.

    `options` are those of `build_rollout`: checkpoint ("pretrained", "published", a folder or hf://ORG/NAME),
    world (the world of the data, which selects one of the sets that come with the project; worlds without a
    set get that of voxel-v1), steps, solver, precision. Raises `UserError` for an unknown name or world, and
    for a missing checkpoint or device.

    >>> model = load("millivid", world="plaza-v1")
    >>> model.frame_shape, model.max_context
    ((3, 64, 64), 64)
    """
    find_model(name)
    world = options.get("world")
    # Not checked by `build_rollout`: the benchmark passes it the data's world, which may be unknown here.
    if world is not None and world not in world_ids():
        raise UserError(f"unknown world {world!r}: choose one of {', '.join(world_ids())}")
    target = find_device(device)
    model = build_rollout(name, **options)
    model.place(target)
    return model

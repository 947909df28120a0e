"""Recording of one episode: plays a walk in a world, writes video and states, and measures both."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Integer

from loopcraft.core.files import file_sha256, whole_file
from loopcraft.core.urls import AnyPath, UrlPath
from loopcraft.core.writing import working_folder
from loopcraft.dataset.audit import FLAGS, FrameAudit, audit_path, audit_video
from loopcraft.video.h264 import video_writer
from loopcraft.walks.revisits import RevisitStatistics, revisit_statistics
from loopcraft.walks.selection import chamfer_distance, distance_walked
from loopcraft.worlds.base import World


@dataclass(frozen=True, kw_only=True)
class EpisodeRecord:
    """Checksums, statistics and audit flags of a recorded episode."""

    frames: int
    mp4_sha256: str
    npy_sha256: str
    distance_walked: float
    """Length of the path, in blocks."""
    chamfer_realised: float
    """Chamfer distance between the positions (x, z) of the context and of the rest, in blocks."""
    revisits: RevisitStatistics
    flags: tuple[str, ...]
    """Audit flags, in the order of `audit.FLAGS`."""


def record_episode(
    world: World,
    seed: int,
    actions: Integer[np.ndarray, " N"],
    path: AnyPath,
    *,
    num_context: int,
    lossless: bool = False,
) -> EpisodeRecord:
    """Play `actions` frame by frame and write `path`.mp4 and `path`.npy, each atomically.

    If the world ends early (its agent died), the episode is short and flagged as such. If `path` is an
    address, the files are made and audited locally first.
    """
    if isinstance(path, UrlPath):
        with working_folder() as folder:
            local = folder / path.name
            record = record_episode(world, seed, actions, local, num_context=num_context, lossless=lossless)
            for suffix in (".mp4", ".npy"):
                path.with_suffix(suffix).put(local.with_suffix(suffix))
        return record
    video_path, states_path = path.with_suffix(".mp4"), path.with_suffix(".npy")
    states, frame_audit = _play(world, seed, actions, video_path, lossless=lossless)
    with whole_file(states_path) as temporary, temporary.open("wb") as file:
        np.save(file, states)
    assert frame_audit.last is not None
    flags = {
        *audit_path(states[:, 1:], actions),
        *frame_audit.flags,
        *audit_video(video_path, len(states), frame_audit.last),
    }
    positions = states[:, [1, 3]].astype(np.float64)
    return EpisodeRecord(
        frames=len(states),
        mp4_sha256=file_sha256(video_path),
        npy_sha256=file_sha256(states_path),
        distance_walked=distance_walked(states[:, 1:4]),
        chamfer_realised=chamfer_distance(positions[:num_context], positions[num_context:]),
        revisits=revisit_statistics(states[:, 1:], num_context),
        flags=tuple(flag for flag in FLAGS if flag in flags),
    )


def _play(
    world: World, seed: int, actions: Integer[np.ndarray, " N"], video_path: Path, *, lossless: bool
) -> tuple[Float32[np.ndarray, "T 6"], FrameAudit]:
    """Stream the frames into the video; return the states and the frames' audit."""
    rows = []
    audit = FrameAudit()
    size = world.resolution
    with video_writer(video_path, height=size, width=size, lossless=lossless) as writer:
        for action, observation in zip(actions, world.play(seed, actions), strict=False):
            writer.write(observation.frame)
            audit.watch(observation.frame, action)
            rows.append((action, *observation.pose))
    return np.array(rows, np.float32), audit

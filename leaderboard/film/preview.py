"""Previews of runs that are not submitted: entries without a card, with videos and scenes made on the fly."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmark.results.result_file import read_result
from leaderboard.entry.folder import RESULT, VIDEOS, Entry, make_entry_id, plain_name, video_name
from leaderboard.film.clips import kept_videos, write_run_clips
from leaderboard.film.scene import scene_name, write_scene
from loopcraft.core.errors import UserError
from loopcraft.core.urls import COPY, as_given, require_folder
from loopcraft.dataset import open_dataset

MOST_VIDEOS = 2


def preview_entries(runs: Sequence[Path], work: Path, taken: set[str]) -> list[Entry]:
    """Make an entry for each run, with an id that is not in `taken`, which is extended."""
    entries = []
    for run in runs:
        require_folder(run, COPY)
        path = run / RESULT if run.is_dir() else run
        result = read_result(path)
        name, number = plain_name(result.model.name), 1
        while (entry_id := make_entry_id(result, name)) in taken:
            number += 1
            name = f"{plain_name(result.model.name)[:60]}-{number}"
        taken.add(entry_id)
        folder = work / entry_id
        folder.mkdir(parents=True)
        shutil.copyfile(path, folder / RESULT)
        keys = list(kept_videos(path.parent, result))[:MOST_VIDEOS]
        videos = write_run_clips(folder / VIDEOS, path.parent, result, keys)
        files = {RESULT: folder / RESULT, **{f"{VIDEOS}/{video_name(key)}": videos[key] for key in videos}}
        entries.append(Entry(id=entry_id, result=result, card=None, videos=videos, files=files))
    return entries


def preview_scenes(previews: Sequence[Entry], data: Path, work: Path) -> dict[str, dict[str, Path]]:
    """Make the scenes of the previews' videos; return their folders by table, then name.

    Raises `UserError` if `data` is not the previews' data set.
    """
    dataset = open_dataset(data)
    scenes: dict[str, dict[str, Path]] = {}
    for entry in previews:
        if entry.result.data.fingerprint != dataset.fingerprint:
            raise UserError(
                f"--data {as_given(data)}: not the data set of {entry.id}; give that one or leave --data out"
            )
        protocol = entry.result.protocol
        for key in entry.videos:
            folder = work / entry.table / scene_name(key)
            if not folder.exists():
                write_scene(folder, dataset, key, protocol.context, protocol.num_frames)
            scenes.setdefault(entry.table, {})[scene_name(key)] = folder
    return scenes

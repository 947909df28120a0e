"""Test sets that really come back: the rule, what it measures, and that nothing disturbs it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.memory.kinds import OLD_BINS
from loopcraft import generate
from loopcraft.generation import realised
from loopcraft.generation.plan import plan_candidate
from loopcraft.generation.realised import (
    NUM_INTERVALS,
    SIGHT_RESOLUTION,
    Sighting,
    choose_returning,
    interval_of_age,
    measure_candidate,
)
from loopcraft.generation.recall_masks import recall_masks
from loopcraft.generation.recipe import Recipe
from loopcraft.worlds import make_surface_world
from tests.fakes.folder_content import Killed, content

FRAMES = 128
CANDIDATES = 8


def recipe(**more) -> Recipe:
    fields = {"num_episodes": 2, "candidates": CANDIDATES, "num_frames": FRAMES, "resolution": 16, "seed": 4}
    return Recipe(world="plaza-v1", split="test", select="realised", **{**fields, **more})


def flags(out: Path, *more: str, select: str = "realised") -> list[str]:
    common = ["--world", "plaza-v1", "--split", "test", "--num-episodes", "2", "--num-frames", str(FRAMES)]
    size = ["--resolution", "16", "--seed", "4", "--candidates", str(CANDIDATES), "--workers", "1"]
    return ["--out", str(out), *common, *size, "--select", select, *more]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    """What an undisturbed run writes."""
    root = tmp_path_factory.mktemp("whole") / "set"
    assert generate.main(flags(root)) == 0
    return content(root)


@pytest.fixture(scope="module")
def sightings() -> list[Sighting]:
    world = make_surface_world("plaza-v1", resolution=SIGHT_RESOLUTION)
    return [measure_candidate(world, candidate, recipe()) for candidate in range(CANDIDATES)]


def test_stretches_are_those_that_scores_are_split_by() -> None:
    for place, ages in enumerate(OLD_BINS):
        assert {interval_of_age(age) for age in (ages[0], ages[-1])} == {place}
    assert len(OLD_BINS) == NUM_INTERVALS


def test_what_is_measured_is_what_the_masks_say(sightings) -> None:
    world = make_surface_world("plaza-v1", resolution=SIGHT_RESOLUTION)
    for candidate in (0, 5):
        plan = plan_candidate(recipe(), candidate)
        seen = list(world.play(plan.world_seed, plan.actions, surfaces=True))
        masks = recall_masks((one.surface for one in seen), recipe().num_context)
        age = masks["age"][recipe().num_context :]
        shares = [np.isin(age, np.array(ages)).mean() for ages in OLD_BINS]
        np.testing.assert_allclose(sightings[candidate].returned, shares, atol=1e-12)
        steps = np.diff([(one.pose.x, one.pose.z) for one in seen], axis=0)
        walked = np.hypot(*steps.T).sum()
        assert sightings[candidate].distance_walked == pytest.approx(walked)


def make_sightings(rows) -> list[Sighting]:
    padding = (0.0,) * (NUM_INTERVALS - 3)
    return [
        Sighting(is_sound=sound, distance_walked=walked, returned=(*shares, *padding))
        for sound, walked, shares in rows
    ]


some_sightings = st.lists(
    st.tuples(
        st.booleans(), st.sampled_from([0.0, 1.0, 5.0]), st.tuples(*[st.sampled_from([0, 0.1, 0.2])] * 3)
    ),
    min_size=1,
    max_size=12,
).map(make_sightings)


@settings(deadline=None)
@given(sightings=some_sightings, share=st.floats(0, 1))
def test_the_rule_is_the_one_that_is_written_down(sightings, share: float) -> None:
    """Against a second implementation, step by step, with tables."""
    keep = max(1, round(share * len(sightings)))
    table = pd.DataFrame([vars(one) for one in sightings])
    table["total"] = [sum(one.returned) for one in sightings]
    for by in (["is_sound", "distance_walked"], ["total"]):
        rows = max(keep, (len(table) + 1) // 2)
        if by[0] == "is_sound":  # of the flagged ones, the earlier
            table["distance_walked"] = table["distance_walked"].where(table["is_sound"], 0.0)
        table = table.sort_values(by, ascending=False, kind="stable").head(rows).sort_index()
    chosen = []
    reached = [place for place in range(NUM_INTERVALS) if any(one.returned[place] for one in sightings)]
    turns = reached[::-1] or [0]
    while len(chosen) < keep:
        place = turns[len(chosen) % len(turns)]
        shares = table["returned"].map(lambda returned, place=place: returned[place])
        chosen.append(int(shares.idxmax()))
        table = table.drop(index=chosen[-1])
    assert choose_returning(sightings, keep) == sorted(chosen)


def test_a_choice_that_anybody_can_check() -> None:
    found = make_sightings(
        [
            (True, 40.0, (0.3, 0.1, 0.1)),
            (True, 40.0, (0.0, 0.1, 0.4)),
            (True, 40.0, (0.1, 0.1, 0.1)),  # returns least
            (True, 1.0, (0.9, 0.0, 0.0)),  # turns round in a corner
            (False, 50.0, (0.9, 0.9, 0.9)),  # flagged
            (True, 40.0, (0.1, 0.3, 0.1)),
            (True, 40.0, (0.0, 0.2, 0.3)),  # as far as four before it
            (True, 2.0, (0.9, 0.0, 0.0)),
        ]
    )
    assert choose_returning(found, 1) == [1]  # the oldest stretch chooses first
    assert choose_returning(found, 2) == [0, 1]  # then the one before it
    assert choose_returning(found, 3) == [0, 1, 5]


def test_the_set_has_the_chosen_walks_and_says_how(whole, sightings, tmp_path) -> None:
    (tmp_path / "table").write_bytes(whole["episodes.parquet"])
    assert list(pd.read_parquet(tmp_path / "table")["draw"]) == choose_returning(sightings, 2)
    assert json.loads(whole["dataset.json"])["generator"]["select"] == "realised"
    assert {Path(name).name for name in whole if "/" not in name} == {
        "SHA256SUMS",
        "dataset.json",
        "episodes.parquet",
        "index.json",
    }


def test_workers_leave_no_trace(whole, tmp_path) -> None:
    assert generate.main(flags(tmp_path / "set", "--workers", "2")) == 0
    assert content(tmp_path / "set") == whole


def test_shards_merge_by_copying(whole, tmp_path) -> None:
    for part in ("1/2", "2/2"):
        assert generate.main(flags(tmp_path / "set", "--shard", part)) == 0
    assert generate.main(flags(tmp_path / "set")) == 0
    assert content(tmp_path / "set") == whole


def test_a_killed_run_measures_only_what_it_had_not(whole, tmp_path, monkeypatch) -> None:
    measured: list[int] = []

    def watch(world, candidate, recipe):
        measured.append(candidate)
        if len(measured) == 4:
            raise Killed
        return measure_candidate(world, candidate, recipe)

    monkeypatch.setattr(realised, "measure_candidate", watch)
    with pytest.raises(Killed):
        generate.main(flags(tmp_path / "set"))
    assert generate.main(flags(tmp_path / "set")) == 0
    assert measured == [0, 1, 2, 3, *range(3, CANDIDATES)]
    assert content(tmp_path / "set") == whole


@pytest.mark.parametrize(
    "text", ["{}", '{"is_sound": true, "distance_walked": 1.0, "returned": [0.5]}', "no"]
)
def test_a_damaged_measurement_is_a_sentence(tmp_path, text: str, capsys) -> None:
    root = tmp_path / "set"
    (root / "candidates" / "000").mkdir(parents=True)
    (root / "candidates" / "000" / "003.json").write_text(text)
    write_manifest(root)
    assert generate.main(flags(root)) == 2
    assert "candidates/000/003.json" in (said := " ".join(capsys.readouterr().err.split()))
    assert "delete it" in said or "not JSON" in said


def write_manifest(root: Path) -> None:
    from loopcraft.core.files import write_json
    from loopcraft.generation.recipe import manifest

    write_json(root / "dataset.json", manifest(recipe()))


def test_planned_sets_look_as_ever_and_go_on(tmp_path, whole, capsys) -> None:
    root = tmp_path / "set"
    assert generate.main(flags(root, select="planned")) == 0
    assert "select" not in json.loads((root / "dataset.json").read_text())["generator"]
    assert generate.main(flags(root)) == 2
    assert "was begun with select = planned, not realised" in " ".join(capsys.readouterr().err.split())
    assert content(root).keys() == whole.keys()
    assert content(root)["000/000.mp4"] != whole["000/000.mp4"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--split", "train"], "--select realised is for val and test"),
        (
            ["--world", "minerl"],
            "world 'minerl' cannot tell what a pixel shows, so what its walks see again",
        ),
    ],
)
def test_what_cannot_be_selected_is_said_before_anything_is_written(tmp_path, given, message, capsys) -> None:
    command = ["--out", str(tmp_path / "set"), "--split", "val", "--num-episodes", "1", *given]
    assert generate.main([*command, "--select", "realised"]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "set").exists()

"""The canonical test sets: every protocol has one, presets stand for flags, other sets are noticed."""

import dataclasses
import re
from pathlib import Path

import pytest

from benchmark.contract.protocol import PROTOCOLS, RECALL_PROTOCOLS, get_protocol
from benchmark.results.result_file import read_result
from leaderboard.entry.shipped import ENTRIES
from loopcraft import generate
from loopcraft.core.errors import UserError
from loopcraft.test_sets import known
from loopcraft.test_sets.known import TestSet, all_test_sets, find_test_set, get_test_set
from loopcraft.worlds.registry import BUILT_IN

RESULTS = ENTRIES / "loopcraft-mini"


def test_every_protocol_has_its_set_in_every_block_world() -> None:
    names = {test_set.name for test_set in all_test_sets()}
    for protocol in PROTOCOLS:
        assert {f"{protocol}/voxel-v1", f"{protocol}/plaza-v1"} <= names


@pytest.mark.parametrize("test_set", all_test_sets(), ids=lambda test_set: test_set.name)
def test_a_set_fits_its_protocol(test_set: TestSet) -> None:
    assert test_set.world in BUILT_IN
    assert (test_set.select == "realised") == (test_set.protocol_id in RECALL_PROTOCOLS)
    assert test_set.num_frames == get_protocol(test_set.protocol_id).num_frames
    assert test_set.fingerprint is None or re.fullmatch("[0-9a-f]{64}", test_set.fingerprint)
    assert test_set.fingerprint is None or find_test_set(test_set.fingerprint) is test_set


@pytest.mark.parametrize("world", ["plaza-v1", "voxel-v1"])
def test_the_shipped_results_are_for_the_pinned_sets(world: str) -> None:
    test_set = get_test_set(f"loopcraft-mini/{world}")
    for path in sorted((RESULTS / world).glob("*/result.json")):
        data = read_result(path).data
        assert (data.fingerprint, data.world_id) == (test_set.fingerprint, world)
        assert len(data.keys) == test_set.num_episodes


def test_a_preset_is_its_flags() -> None:
    flags = generate.Flags(out=Path("x"), preset="loopcraft-mini/plaza-v1")
    spelt = generate.Flags(
        out=Path("x"), world="plaza-v1", split="test", num_episodes=64, num_frames=256, resolution=64
    )
    assert generate.recipe_of(flags) == generate.recipe_of(spelt)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"preset": "loopcraft-v2/test"},
            "unknown preset 'loopcraft-v2/test': choose one of loopcraft-",
        ),
        (
            {"preset": "loopcraft-mini/plaza-v1", "seed": 3},
            "--seed 3: --preset loopcraft-mini/plaza-v1 already",
        ),
        ({"split": "test"}, "--num-episodes is missing: give it, or a --preset"),
        ({"num_episodes": 3}, "--split is missing"),
    ],
)
def test_flags_that_contradict_a_preset_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        generate.recipe_of(dataclasses.replace(generate.Flags(out=Path("x")), **changes))


def test_generate_reports_whether_a_preset_matches_its_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = TestSet(name="tiny/plaza-v1", num_episodes=1, num_frames=16, resolution=16)
    for pinned, words in ((None, "has no pinned fingerprint"), ("f" * 64, "does not match tiny/plaza-v1")):
        table = (dataclasses.replace(small, fingerprint=pinned),)
        monkeypatch.setattr(known, "all_test_sets", lambda table=table: table)
        assert generate.main(["--preset", "tiny/plaza-v1", "--out", str(tmp_path), "--workers", "1"]) == 0
        assert words in capsys.readouterr().out

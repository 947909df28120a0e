"""The run folder: which run owns it, and the notes kept in it."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmark.harness import run_folder
from benchmark.harness.run_folder import Workspace
from loopcraft.core.errors import UserError
from loopcraft.core.files import write_json


def test_two_shards_that_start_together_belong_to_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other shard writes run.json and a score while this one checks that the folder is empty."""

    def write_as_the_other_shard(path: Path) -> bool:
        write_json(tmp_path / "run.json", {"seed": 0})
        return False

    (tmp_path / "scores").mkdir()
    monkeypatch.setattr(run_folder, "is_passing", write_as_the_other_shard)
    Workspace(tmp_path).claim({"seed": 0}, together=True)


@pytest.mark.parametrize("found", [{}, "000/000", [1], [None, "000/000"], [["000/000"]]])
def test_a_damaged_list_of_videos_to_make_alone_is_named(tmp_path: Path, found: Any) -> None:
    (tmp_path / "alone.json").write_text(json.dumps(found))
    with pytest.raises(UserError, match=r"alone\.json: not a list of videos; delete it"):
        Workspace(tmp_path).make_alone(["000/001"])
    assert json.loads((tmp_path / "alone.json").read_text()) == found

"""The site as a static Space: sent whole, sent once, and nothing by mistake."""

from pathlib import Path

import pytest

from leaderboard import build, publish
from tests.fakes.entries import sound_result, write_entry

pytest_plugins = ["tests.fakes.hub_client"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, out = tmp_path_factory.mktemp("entries"), tmp_path_factory.mktemp("site")
    write_entry(root, sound_result(recall=False))
    assert build.main(["--entries", str(root), "--out", str(out)]) == 0
    return out


def test_a_site_arrives_whole_and_once(hub, site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert publish.main([str(site), "--repo", "lab/board"]) == 0
    assert f"{hub.url}/spaces/lab/board at " in capsys.readouterr().out
    space = hub.repositories["spaces/lab/board"]
    assert len(space.commits) == 2  # the one that created it, and one more
    sent = {path: data for path, data in space.files.items() if path not in (".gitattributes", "README.md")}
    files = [path for path in site.rglob("*") if path.is_file()]
    assert sent == {path.relative_to(site).as_posix(): path.read_bytes() for path in files}
    assert "sdk: static" in space.files["README.md"].decode()


def test_a_dry_run_and_mistakes_send_nothing(
    hub, site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish.main([str(site), "--repo", "lab/dry", "--dry-run"]) == 0
    assert "nothing was sent" in capsys.readouterr().out
    assert publish.main([str(tmp_path), "--repo", "lab/dry"]) == 2
    assert "not a site; create it with python -m leaderboard.build" in capsys.readouterr().err
    hub.add("spaces/lab/app", {"app.py": b""})
    assert publish.main([str(site), "--repo", "lab/app"]) == 2
    assert "holds 'app.py', which is not from Loopcraft" in capsys.readouterr().err
    assert hub.count("/commit/|repos/create") == 0

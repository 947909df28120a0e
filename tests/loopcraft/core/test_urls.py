"""Addresses as paths: what counts as one, what is refused, and what an error never reveals."""

import pickle
from pathlib import Path

import pytest

from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256, read_json, whole_file, write_json
from loopcraft.core.urls import (
    UrlPath,
    as_given,
    existing,
    files_below,
    is_url,
    num_bytes,
    path_at,
    read_files,
    remove_files,
    remove_tree,
)
from loopcraft.core.writing import writing_to
from tests.fakes.object_store import LeakyFiles


@pytest.fixture
def root(tmp_path: Path) -> UrlPath:
    root = path_at(f"memory:/{tmp_path}/set")
    assert isinstance(root, UrlPath)
    return root


@pytest.mark.parametrize("address", ["s3://lab/set", "s3:/lab/set", Path("s3://lab/set")])
def test_an_address_is_a_path(address: str | Path) -> None:
    root = path_at(address)
    assert isinstance(root, UrlPath)
    assert is_url(address)
    assert str(root) == "s3://lab/set"
    path = root / "000/001.mp4"
    assert (str(path), path.name, str(path.parent)) == (
        "s3://lab/set/000/001.mp4",
        "001.mp4",
        "s3://lab/set/000",
    )
    assert path.relative_to(root).as_posix() == "000/001.mp4"
    assert str(path.with_suffix(".npy")) == "s3://lab/set/000/001.npy"
    assert pickle.loads(pickle.dumps(path)) == path
    assert len({path, root / "000" / "001.mp4"}) == 1


@pytest.mark.parametrize("address", ["s3://lab/d1", "hf://lab/set@1", "/lab/d1", "lab/d1", "a:/b"])
def test_an_address_is_shown_as_given(address: str) -> None:
    assert as_given(Path(address)) == as_given(address) == address


def test_readers_of_one_file_have_separate_positions(root: UrlPath, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(range(100)))
    path = root / "a"
    path.put(tmp_path / "a")
    with path.open() as first, path.open() as second:
        assert first.read(10) == bytes(range(10))
        assert second.read(10) == bytes(range(10))
        assert first.read(1) == b"\n"


@pytest.mark.parametrize(
    "local",
    ["data/test", "/data/test", "hf://lab/set", "c:/data", "a b://x", "data:x", "run::1", "run::1/12:30"],
)
def test_anything_else_is_a_local_path(local: str) -> None:
    assert not is_url(local)
    assert path_at(local) == Path(local)


def test_file_addresses_are_local_paths(tmp_path: Path) -> None:
    assert path_at(f"file://{tmp_path}") == tmp_path


@pytest.mark.parametrize("address", ["s3://key:word@lab/set", "https://lab.org/set?token=word"])
def test_a_password_in_an_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(UserError, match="contains a password or a query") as refused:
        path_at(address)
    assert "word@" not in str(refused.value)
    assert "token" not in str(refused.value)


def test_a_missing_file_system_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="nosuch://a/b: fsspec has no file system for this scheme"):
        path_at("nosuch://a/b").exists()
    monkeypatch.setitem(__import__("sys").modules, "gcsfs", None)
    with pytest.raises(UserError, match="gs://a/b: needs a package that is not installed: pip install gcsfs"):
        path_at("gs://a/b").read_bytes()


def test_a_servers_message_is_not_repeated() -> None:
    path = path_at("leaky://lab/set")
    assert isinstance(path, UrlPath)
    for access in (path.exists, path.read_bytes, lambda: list(path.iterdir()), lambda: num_bytes(path)):
        with pytest.raises(
            UserError, match=r"leaky://lab/set: cannot be read or written \(RuntimeError\)"
        ) as caught:
            access()
        assert LeakyFiles.secret not in str(caught.value)


def test_an_unreachable_web_server_does_not_mean_a_missing_file() -> None:
    pytest.importorskip("aiohttp")
    with pytest.raises(UserError, match=r"http://127.0.0.1:1/set: cannot be read or written \(Client"):
        path_at("http://127.0.0.1:1/set").exists()


def test_files_are_written_whole_or_not_at_all(root: UrlPath) -> None:
    write_json(root / "000/a.json", {"a": 1})
    assert read_json(root / "000/a.json") == {"a": 1}
    with pytest.raises(ZeroDivisionError), whole_file(root / "000/b.json") as temporary:
        temporary.write_text(f"half{1 // 0}")
    assert [str(path) for path in files_below(root)] == [f"{root}/000/a.json"]
    assert num_bytes(root / "000/a.json") == len((root / "000/a.json").read_bytes())
    with pytest.raises(FileNotFoundError) as missing:
        (root / "000/b.json").read_bytes()
    assert missing.value.filename == f"{root}/000/b.json"


def test_a_folder_and_an_address_behave_alike(root: UrlPath, tmp_path: Path) -> None:
    names = ["000/a", "000/b", "001/a", "c"]
    for base in (root, tmp_path):
        for name in names[:3]:
            with whole_file(base / name) as temporary:
                temporary.write_text(name)
    for base in (root, tmp_path):
        assert existing(base, names) == set(names[:3])
        assert read_files(base, names[:2]) == {"000/a": b"000/a", "000/b": b"000/b"}
        assert [path.relative_to(base).as_posix() for path in files_below(base)] == names[:3]
        assert sorted(path.name for path in base.iterdir()) == ["000", "001"]
        assert file_sha256(base / "000/a") == file_sha256(tmp_path / "000/a")
    for base in (root, tmp_path):
        remove_files(base, ["000/a", "nowhere"])
        remove_tree(base / "001")
        remove_tree(base / "nowhere")
        assert [path.relative_to(base).as_posix() for path in files_below(base)] == ["000/b"]


def test_commands_that_write_to_folders_refuse_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for write in (writing_to, whole_file):
        with pytest.raises(
            UserError, match="s3://lab/run: is a URL, but this command writes to local folders"
        ):
            write(Path("s3://lab/run")).__enter__()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["run[1]", "a*b", "who?"])
def test_names_are_not_patterns(root: UrlPath, tmp_path: Path, name: str) -> None:
    (tmp_path / "a").write_bytes(b"one")
    for folder in (name, "run1", "aab", "whom"):
        (root / folder / "a").put(tmp_path / "a")
    assert read_files(root / name, ["a"]) == {"a": b"one"}
    remove_files(root / name, ["a"])
    assert not (root / name / "a").exists()
    assert all((root / folder / "a").exists() for folder in ("run1", "aab", "whom"))


def test_a_missing_file_is_named(root: UrlPath, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (root / "a").put(tmp_path / "a")
    with pytest.raises(FileNotFoundError) as caught:
        read_files(root, ["a", "b"])
    assert caught.value.filename == str(root / "b")


def test_folders_are_created_if_the_file_system_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    root = path_at("local://set")
    write_json(root / "000/001.json", 1)
    assert (tmp_path / "set/000/001.json").exists()
    assert [path.name for path in files_below(root)] == ["001.json"]


def test_the_case_of_a_scheme_does_not_matter_and_addresses_are_not_nested() -> None:
    assert path_at("S3://Lab/set") == path_at("s3://Lab/set")
    for chained in ("simplecache::s3://lab/set", Path("simplecache::s3://lab/set")):
        with pytest.raises(UserError, match=r"simplecache::\.\.\.: chained URLs are not supported"):
            path_at(chained)

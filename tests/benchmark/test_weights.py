"""Weights: fetched once and intact, recorded, and refused by name if truncated, damaged or foreign."""

import hashlib
import json
from pathlib import Path

import pytest

from benchmark import weights
from benchmark.metrics import METRICS
from benchmark.metrics.base import MetricUnavailableError, Resources
from benchmark.weight_files import bundle
from benchmark.weight_files import download as sources
from benchmark.weight_files.bundle import Bundle, Network, PublishedFile, Source, load_networks
from loopcraft.core.cli import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from loopcraft.core.errors import UserError

CONTENT = {"model.pt": b"weights" * 1000, "extra/config.json": b"{}"}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def network(files: tuple[PublishedFile, ...], *sources: Source) -> Network:
    return Network(title="", licence="MIT", files=files, sources=sources)


@pytest.fixture
def table(tmp_path: Path, monkeypatch) -> dict[str, Network]:
    """A table with a published network and one on the Hub."""
    source = tmp_path / "published"
    for path, content in CONTENT.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(content)
    files = (
        PublishedFile(path="model.pt", size=7000, sha256=digest(CONTENT["model.pt"])[:8]),
        PublishedFile(path="extra/config.json"),
    )
    networks = {
        "plain": network(files, Source(address=f"{source.as_uri()}/", revision="1")),
        "hub": network(files, Source(address="hub:some/repo", revision="main")),
    }
    monkeypatch.setattr(bundle, "load_networks", lambda: networks)
    return networks


@pytest.fixture
def weights_folder(tmp_path: Path, table: dict[str, Network]) -> Path:
    """A folder with the plain network."""
    root = tmp_path / "weights"
    assert weights.main(["fetch", "--only", "plain", "--to", str(root)]) == EXIT_OK
    return root


def test_the_table_is_sound() -> None:
    networks = load_networks()
    for network in networks.values():
        assert all(source.address.startswith(("https://", "hub:", "package:")) for source in network.sources)
        assert network.licence
        assert network.files
        assert all(set(file.sha256) <= set("0123456789abcdef") for file in network.files)
        assert all(file.tensors for file in network.files if network.sources[0].convert)
    assert {name for metric in METRICS for name in metric.networks} == {*networks} - {"vgg16"}


def test_fetching_records_the_files(weights_folder: Path) -> None:
    document = json.loads((weights_folder / "weights.json").read_text())
    assert document["networks"]["plain"]["files"] == {
        path: {"size": len(content), "sha256": digest(content), "tensors": ""}
        for path, content in CONTENT.items()
    }
    assert [file.read_bytes() for file in (weights_folder / "plain" / path for path in CONTENT)] == [
        *CONTENT.values()
    ]
    assert weights.main(["verify", "--only", "plain", "--to", str(weights_folder)]) == EXIT_OK


def test_a_sound_network_is_not_fetched_again(weights_folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(sources, "download", lambda *arguments: pytest.fail("fetched again"))
    assert weights.main(["fetch", "--only", "plain", "--to", str(weights_folder)]) == EXIT_OK


def test_a_damaged_network_is_fetched_again(weights_folder: Path) -> None:
    (weights_folder / "plain" / "model.pt").write_bytes(b"")
    assert weights.main(["fetch", "--only", "plain", "--to", str(weights_folder)]) == EXIT_OK
    assert weights.main(["verify", "--only", "plain", "--to", str(weights_folder)]) == EXIT_OK


def test_all_files_come_from_one_commit_of_the_hub(
    tmp_path: Path, table: dict[str, Network], monkeypatch
) -> None:
    requests = []

    def hub(repository: str, path: str, *, revision: str, local_files_only: bool) -> str:
        assert not local_files_only
        requests.append((repository, path, revision))
        cached = tmp_path / "cache" / "snapshots" / "c0ffee" / path
        cached.parent.mkdir(parents=True, exist_ok=True)
        cached.write_bytes(CONTENT[path])
        return str(cached)

    monkeypatch.setattr(sources, "hf_hub_download", hub)
    monkeypatch.setattr(sources, "is_reachable", lambda address: True)
    root = tmp_path / "weights"
    assert weights.main(["fetch", "--only", "hub", "--to", str(root)]) == EXIT_OK
    assert requests == [("some/repo", "model.pt", "main"), ("some/repo", "extra/config.json", "c0ffee")]
    assert Bundle(root, table).record("hub").revision == "c0ffee"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(CONTENT["model.pt"][:-1], "6999 bytes, but 7000 are published"), (b"x" * 7000, "is published")],
)
def test_a_download_that_is_not_the_published_file_is_refused(
    tmp_path: Path, table: dict[str, Network], capsys, content: bytes, reason: str
) -> None:
    (tmp_path / "published" / "model.pt").write_bytes(content)
    root = tmp_path / "weights"
    assert weights.main(["fetch", "--only", "plain", "--to", str(root)]) == EXIT_USAGE
    error = capsys.readouterr().err
    assert "model.pt" in error
    assert reason in error
    assert not (root / "plain" / "model.pt").exists()
    assert "plain" not in Bundle(root, table)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_bytes(CONTENT["model.pt"][:100]), "100 bytes, but 7000 were fetched"),
        (lambda path: path.write_bytes(b"w" + b"x" * 6999), "damaged"),
    ],
)
def test_damaged_files_are_refused_by_name(weights_folder: Path, table, capsys, harm, reason: str) -> None:
    harm(weights_folder / "plain" / "model.pt")
    with pytest.raises(UserError, match=rf"model.pt: {reason}.*fetch --only plain --to") as caught:
        Bundle(weights_folder, table).verify("plain")
    assert str(weights_folder) in str(caught.value)
    assert weights.main(["verify", "--only", "plain", "--to", str(weights_folder)]) == EXIT_FAILED
    assert reason in capsys.readouterr().out


def test_a_record_cannot_vouch_for_a_foreign_file(weights_folder: Path, table: dict[str, Network]) -> None:
    foreign = b"x" * 7000
    (weights_folder / "plain" / "model.pt").write_bytes(foreign)
    manifest = weights_folder / "weights.json"
    manifest.write_text(manifest.read_text().replace(digest(CONTENT["model.pt"]), digest(foreign)))
    with pytest.raises(UserError, match="is published"):
        Bundle(weights_folder, table).verify("plain")


def test_missing_weights_name_the_command(weights_folder: Path, table: dict[str, Network]) -> None:
    with pytest.raises(
        MetricUnavailableError, match=r"python -m benchmark.weights fetch --only hub --to DIR"
    ):
        Resources().network("hub")
    with pytest.raises(MetricUnavailableError, match=f"fetch --only hub --to {weights_folder}"):
        Resources(weights=Bundle(weights_folder, table)).network("hub")


def test_resources_give_verified_folders_and_hashes(weights_folder: Path, table: dict[str, Network]) -> None:
    resources = Resources(weights=Bundle(weights_folder, table))
    assert resources.network("plain") == weights_folder / "plain"
    assert resources.weight_checksums(["plain"]) == {
        f"plain/{path}": digest(content) for path, content in CONTENT.items()
    }


@pytest.mark.parametrize("content", ["{}x", '{"format": "other", "version": 1}'])
def test_a_broken_manifest_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "weights.json").write_text(content)
    with pytest.raises(UserError, match=r"weights.json"):
        Bundle(tmp_path)


def test_the_list_shows_licences_and_state(weights_folder: Path, table, capsys) -> None:
    assert weights.main(["list", "--to", str(weights_folder)]) == EXIT_OK
    printed = capsys.readouterr().out
    assert "licence   MIT" in printed
    assert f"{weights_folder / 'plain'}: fetched from {table['plain'].sources[0].address} at 1" in printed
    assert f"{weights_folder / 'hub'}: not fetched" in printed


def test_unknown_networks_are_refused(table, tmp_path: Path, capsys) -> None:
    assert weights.main(["fetch", "--only", "vgg19", "--to", str(tmp_path)]) == EXIT_USAGE
    assert "choose from plain, hub" in capsys.readouterr().err


def test_verify_names_what_was_never_fetched(weights_folder: Path, capsys) -> None:
    assert weights.main(["verify", "--to", str(weights_folder)]) == EXIT_FAILED
    assert "hub: not fetched" in capsys.readouterr().out

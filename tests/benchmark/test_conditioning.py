"""A model that requires poses gets them in process and over HTTP; its results and tables say so."""

import dataclasses
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from benchmark import run
from benchmark.conformance.checks import TrialSize, check_model
from benchmark.conformance.synthetic import SyntheticEpisodes
from benchmark.contract.compute import Compute
from benchmark.contract.conditioning import ACTIONS, ACTIONS_AND_POSES
from benchmark.contract.model import ContractError, check_members
from benchmark.contract.protocol import LOOPCRAFT_MINI as MINI
from benchmark.harness.rollout import rollout_blocks
from benchmark.results.result_file import read_result, write_result
from benchmark.results.tables import paired_tables, window_tables
from benchmark.sources.http_client import HttpModel
from benchmark.sources.http_protocol import (
    ModelCard,
    RequestError,
    RolloutRequest,
    decode_request,
    describe,
    encode_request,
)
from benchmark.sources.http_server import ModelServer
from loopcraft.core.decoding import decode
from loopcraft.dataset import open_dataset
from loopcraft.worlds.voxel.core.blocks import BLOCK_IDS
from loopcraft.worlds.voxel.physics import simulate
from tests.fakes.benchmark_data import make_result, write_dataset

KEYS = ("000/000", "000/002")


class Posed:
    """A model that colours each frame by its pose and records the poses."""

    name, frame_shape, max_context, conditioning = "posed", None, 10, ACTIONS_AND_POSES

    def rollout(self, context, actions, *, seeds, poses):
        self.poses = poses
        shade = (poses[:, context.shape[1] :, :3].sum(dim=2) * 0.37).sin() / 2 + 0.5
        yield shade[:, :, None, None, None].expand(-1, -1, *context.shape[2:])


class ScribblesOnPoses(Posed):
    def rollout(self, context, actions, *, seeds, poses):
        yield from super().rollout(context, actions, seeds=seeds, poses=poses.clone())
        poses += 1


class NoParameter(Posed):
    def rollout(self, context, actions, *, seeds):
        yield


class TakesAnything(Posed):
    def rollout(self, context, actions, **others):
        yield


class Silent(Posed):
    conditioning = ACTIONS


class TakesThemIfTheyCome(Silent):
    def rollout(self, context, actions, *, seeds, poses=None):
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = write_dataset(tmp_path_factory.mktemp("data"))
    for path in root.glob("*/*.npy"):
        states = np.load(path)
        states[:, 1:] = np.random.default_rng(int(path.stem)).normal(size=(len(states), 5))
        np.save(path, states)
    return root


@contextmanager
def serving(model) -> Iterator[str]:
    with ModelServer(model, Compute(), "127.0.0.1", 0, 1 << 20) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_poses_are_read_from_the_first_context_frame_on(data) -> None:
    model, episodes = Posed(), open_dataset(data)
    list(rollout_blocks(model, episodes, MINI, KEYS, seed=0, compute=Compute()))
    assert model.poses.dtype == torch.float32
    expected = np.stack([episodes.states(key)[MINI.context - 10 : MINI.num_frames, 1:] for key in KEYS])
    np.testing.assert_array_equal(model.poses.numpy(), expected)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (NoParameter(), "`conditioning` names poses, but `rollout` has no parameter `poses`"),
        (Silent(), r"`rollout` requires `poses`; set conditioning = \('actions', 'poses'\)"),
        (type("Odd", (Posed,), {"conditioning": ("poses",)})(), "`conditioning` must be .*'poses',"),
        (type("Odd", (Posed,), {"conditioning": "actions"})(), "`conditioning` must be .*not 'actions'"),
    ],
)
def test_conditioning_must_match_the_rollout_parameters(model, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        check_members(model, "it")


@pytest.mark.parametrize("model", [Posed(), TakesAnything(), TakesThemIfTheyCome()])
def test_matching_conditioning_is_accepted(model) -> None:
    check_members(model, "it")


def test_the_checker_gives_poses_and_guards_them() -> None:
    size = TrialSize(context=8, horizon=12, side=16)
    assert {status for status, _ in check_model(Posed(), size, Compute()).values()} == {"ok"}
    outcomes = check_model(ScribblesOnPoses(), size, Compute())
    assert outcomes["inputs"] == ("FAILED", "the model wrote into its poses: clone before changing")


def test_synthetic_poses_follow_the_walk() -> None:
    """The player of the block worlds, which hops and has momentum, takes the same path on flat ground."""
    episodes = SyntheticEpisodes(height=8, width=8, length=60)
    states = episodes.states(episodes.keys[0])
    ground = np.zeros((80, 80, 8), np.uint8)
    ground[..., :4] = BLOCK_IDS["stone"]
    poses, _ = simulate(ground, (0.5, 4.0, 0.5, 0.0), states[:, 0].astype(int), x0=-40, z0=-40)
    np.testing.assert_allclose(states[:, 4], poses[:, 3])
    paths = states[:, [1, 3]].ravel(), (poses[:, [0, 2]] - 0.5).ravel()
    assert np.corrcoef(*paths)[0, 1] > 0.9


def test_poses_survive_the_wire_and_the_card_requires_them(data, tmp_path) -> None:
    flags = ["--data", str(data), "--protocol", "loopcraft-mini", "--metrics", "psnr", "--batch-size", "2"]
    with serving(Posed()) as url:
        assert HttpModel(url).conditioning == ACTIONS_AND_POSES
        assert run.main(["--model", url, "--out", str(tmp_path / "far"), *flags]) == 0
    flags += ["--no-isolate", "--out", str(tmp_path / "near")]
    assert run.main(["--model", f"{__name__}:Posed", *flags]) == 0
    far, near = (read_result(tmp_path / name / "result.json") for name in ("far", "near"))
    assert far.metrics == near.metrics
    assert far.model.conditioning == near.model.conditioning == ACTIONS_AND_POSES


def test_old_servers_and_clients_keep_working() -> None:
    """A card without the field means only actions, and a model with only actions sends such a card."""
    card = describe(TakesThemIfTheyCome(), Compute())
    assert "conditioning" not in card.as_json()
    assert decode(ModelCard, json.loads(json.dumps(card.as_json()))).conditioning == ACTIONS
    posed = describe(Posed(), Compute())
    assert decode(ModelCard, json.loads(json.dumps(posed.as_json()))) == posed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("poses"), "expected the tensors context, actions, poses and seeds, got"),
        (lambda t: t.update(poses=t["poses"].double()), r"must be float32 \(2, 16, 5\), got float64"),
        (lambda t: t.update(poses=t["poses"][:, 1:]), r"poses must be float32 \(2, 16, 5\), got float32"),
    ],
)
def test_wrong_poses_are_refused(change, message: str) -> None:
    request = RolloutRequest(
        context=torch.zeros(2, 4, 3, 16, 16, dtype=torch.uint8),
        actions=torch.zeros(2, 16, dtype=torch.int64),
        poses=torch.randn(2, 16, 5),
        seeds=[1, 2],
    )
    card = describe(Posed(), Compute())
    decoded = decode_request(encode_request(request), card)
    assert torch.equal(decoded.poses, request.poses)
    tensors = load(encode_request(request))
    change(tensors)
    with pytest.raises(RequestError, match=message):
        decode_request(save({name: tensor.contiguous() for name, tensor in tensors.items()}), card)
    with pytest.raises(RequestError, match="expected the tensors context, actions and seeds, got"):
        decode_request(encode_request(request), describe(TakesThemIfTheyCome(), Compute()))


def make_posed_result(name: str = "posed"):
    result = make_result(name)
    return dataclasses.replace(
        result, model=dataclasses.replace(result.model, conditioning=ACTIONS_AND_POSES)
    )


def test_old_results_mean_actions_only(tmp_path) -> None:
    path = tmp_path / "result.json"
    write_result(path, make_posed_result())
    document = json.loads(path.read_text())
    assert document["model"]["conditioning"] == ["actions", "poses"]
    assert read_result(path).model.conditioning == ACTIONS_AND_POSES
    del document["model"]["conditioning"], document["sha256"]
    path.write_text(json.dumps(document))
    assert read_result(path).model.conditioning == ACTIONS


def test_tables_mark_poses_and_say_when_both_kinds_are_compared() -> None:
    mixed = {"a": make_result("plain"), "b": make_posed_result()}
    for table in (*window_tables(mixed), *paired_tables(mixed)):
        assert any("posed (+ poses)" in row.label for row in table.rows)
        assert table.notes[0].startswith("models marked (+ poses) were given the true camera pose")
    posed_only = {"a": make_posed_result("one"), "b": make_posed_result("two")}
    assert window_tables(posed_only)[0].notes == ()


def test_predictions_may_come_from_a_model_with_poses(data, tmp_path, capsys) -> None:
    common = ["--data", str(data), "--protocol", "loopcraft-mini", "--metrics", "psnr"]
    first = tmp_path / "first"
    assert run.main(["--model", f"{__name__}:Posed", "--no-isolate", "--out", str(first), *common]) == 0
    videos = ["--predictions", str(first / "videos"), "--name", "posed"]
    again = ["--out", str(tmp_path / "again"), *common]
    assert run.main([*videos, "--with-poses", *again]) == 0
    assert read_result(tmp_path / "again" / "result.json").model.conditioning == ACTIONS_AND_POSES
    assert run.main([*videos, *again]) == 2
    assert "conditioning is ['actions', 'poses'] there and None here" in " ".join(
        capsys.readouterr().err.split()
    )
    assert run.main(["--model", "copy-last", "--with-poses", "--out", str(tmp_path / "c"), *common]) == 2
    assert "--with-poses is for --predictions" in " ".join(capsys.readouterr().err.split())

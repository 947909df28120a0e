"""The registered models as the benchmark uses them, at a tiny size with random weights."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch

from benchmark.contract.protocol import LOOPCRAFT_MINI as MINI
from benchmark.contract.protocol import PROTOCOLS
from benchmark.results.result_file import read_result
from benchmark.run import main as benchmark
from benchmark.sources.loading import load_model as load_registered
from loopcraft.core.errors import UserError
from loopcraft.dataset import open_dataset
from loopcraft.drawing.canvas import fit
from loopcraft.drawing.grid import GAP
from loopcraft.generate import main as generate
from loopcraft.video.h264 import read_frames, video_writer
from loopcraft.views.side_by_side import HEADER, PANEL
from models.demo import main as demo
from models.encode import main as encode
from models.latents.store import open_latents
from models.networks.autoencoder import Autoencoder
from models.plans.__main__ import main as draw_plan
from models.sampling.diffusion import Sampling
from models.zoo import world_models as rollouts
from models.zoo.presets import MODELS, PRESETS
from models.zoo.world_models import autoencoded, build_rollout, extend_walk, millivid
from tests.models.sampling.test_token_sampler import randomise

ROOT = Path(__file__).resolve().parents[3]
SIZE = 16


@pytest.fixture(autouse=True)
def one_thread_and_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def make_tiny(name: str, **options):
    model = build_rollout(name, preset="trial", frame_size=SIZE, steps=2, **options)
    randomise(model._network)
    randomise(model._codec.autoencoder)
    return model


def inputs(model, horizon: int, batch: int = 2):
    generator = torch.Generator().manual_seed(9)
    shape = (batch, model.max_context, 3, SIZE, SIZE)
    context = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    return context, torch.randint(0, 3, (batch, model.max_context + horizon), generator=generator)


def generate_frames(model, context, actions, seeds) -> torch.Tensor:
    return torch.cat(list(model.rollout(context, actions, seeds=seeds)), dim=1)


@pytest.mark.parametrize("name", MODELS)
def test_any_horizon_is_filled_exactly(name):
    model = make_tiny(name)
    for horizon in (1, 5):
        context, actions = inputs(model, horizon)
        frames = generate_frames(model, context, actions, [1, 2])
        assert frames.shape == (2, horizon, 3, SIZE, SIZE)
        assert 0 <= frames.min() <= frames.max() <= 1


def test_a_video_does_not_depend_on_its_batch():
    model = make_tiny("millivid")
    context, actions = inputs(model, 4)
    both = generate_frames(model, context, actions, [1, 2])
    alone = generate_frames(model, context[1:], actions[1:], [2])
    torch.testing.assert_close(both[1:], alone, atol=1e-4, rtol=0)
    assert (generate_frames(model, context[1:], actions[1:], [3]) - alone).abs().max() > 1e-2


def test_context_and_actions_matter():
    model = make_tiny("full-resolution")
    context, actions = inputs(model, 4)
    frames = generate_frames(model, context, actions, [1, 2])
    assert (generate_frames(model, 255 - context, actions, [1, 2]) - frames).abs().max() > 1e-2
    assert (generate_frames(model, context, 2 - actions, [1, 2]) - frames).abs().max() > 1e-3


def test_bfloat16_is_close_inside_and_outside():
    def generate(precision: str, outer: bool) -> torch.Tensor:
        model = make_tiny("millivid", precision=precision)
        context, actions = inputs(model, 2)
        with torch.autocast("cpu", torch.bfloat16, enabled=outer):
            return generate_frames(model, context, actions, [1, 2])

    exact, inner, outer = generate("auto", False), generate("bfloat16", False), generate("auto", True)
    assert exact.dtype == inner.dtype == torch.float32
    assert 0 < (inner - exact).abs().mean() < 0.05
    assert (outer - exact).abs().mean() < 0.05


def test_mistakes_are_one_sentence():
    model = make_tiny("millivid")
    context, actions = inputs(model, 4)
    with pytest.raises(UserError, match="actions must be from 0 to 2, but range from 0 to 3"):
        next(model.rollout(context, actions.where(actions < 2, 3), seeds=[1, 2]))
    with pytest.raises(
        UserError, match=r"takes uint8 frames of \(3, 16, 16\), but got uint8 of \(3, 8, 16\)"
    ):
        next(model.rollout(context[:, :, :, :8], actions, seeds=[1, 2]))
    with pytest.raises(UserError, match=f"needs {model.max_context} context frames, but got"):
        next(model.rollout(context[:, 1:], actions[:, 1:], seeds=[1, 2]))


def test_random_weights_show_in_the_name():
    assert millivid(preset="trial", frame_size=SIZE).name == "millivid (trial, random weights)"
    assert autoencoded(preset="trial", frame_size=SIZE).name == "autoencoded (trial, random weights)"


def test_actions_after_the_end_depend_on_the_seed():
    walk = torch.tensor([0, 1, 1, 2])
    first, again, other = (extend_walk(walk, 200, seed) for seed in (1, 1, 2))
    assert first[:4].tolist() == walk.tolist()
    assert len(first) == 200
    assert set(first.tolist()) <= {0, 1, 2}
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert extend_walk(walk, 4, 1) is walk


def test_every_model_is_registered():
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][
        "loopcraft.models"
    ]
    registered = {name: value.split(":") for name, value in points.items() if value.startswith("models.")}
    assert set(registered) == {*MODELS, "autoencoded"}
    for module, attribute in registered.values():
        assert module == "models.zoo.world_models"
        assert callable(getattr(rollouts, attribute))
    for name in MODELS:
        module, attribute = registered[name]
        assert getattr(rollouts, attribute).args == (name,)


def num_parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_presets_match_the_paper():
    for name in MODELS:
        assert PRESETS["paper-ablation"].model(name, 256).autoencoder.cascaded == name.endswith("cascaded")
    main = {name: PRESETS["paper"].model(name, 256) for name in ("millivid", "framepack", "full-resolution")}
    grid = main["millivid"].autoencoder.grid
    assert main["millivid"].video.plan.build(grid).num_tokens(grid)[0] == 3840
    assert main["full-resolution"].video.plan.build(grid).num_tokens(grid)[0] == 3584
    assert len(main["framepack"].video.window.addresses(grid)) == 3840
    assert all(preset.video.size == "B" and preset.sampling.steps == 50 for preset in main.values())
    with torch.device("meta"):
        sizes = {name: num_parameters(preset.video.network(grid)) for name, preset in main.items()}
        assert num_parameters(Autoencoder(main["millivid"].autoencoder)) == 213_798_176
    assert sizes == {"millivid": 129_566_240, "full-resolution": 129_566_240, "framepack": 131_632_928}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Two videos of 256 frames in the paper's layout."""
    root = tmp_path_factory.mktemp("data")
    draws = np.random.default_rng(0)
    keys = ["000/000", "000/001"]
    (root / "000").mkdir()
    for key in keys:
        states = np.zeros((256, 6), np.float32)
        states[:, 0] = draws.integers(0, 3, 256)
        np.save(root / f"{key}.npy", states)
        with video_writer(root / f"{key}.mp4", height=SIZE, width=SIZE) as writer:
            for shade in range(256):
                writer.write(np.full((SIZE, SIZE, 3), shade, np.uint8))
    (root / "index.json").write_text(json.dumps(dict.fromkeys(keys, 256)))
    return root


@pytest.fixture(scope="module")
def world_data(tmp_path_factory) -> Path:
    """A walk in the voxel world, made by the command that `make demo` uses."""
    root = tmp_path_factory.mktemp("world") / "val"
    flags = "--split val --num-episodes 1 --candidates 1 --num-frames 256 --resolution 16 --workers 1"
    assert generate(["--out", str(root), *flags.split()]) == 0
    return root


@pytest.fixture
def short_protocol(monkeypatch) -> str:
    """The id of a protocol with a quarter of loopcraft-mini's horizon: two chunks of MilliVid."""
    windows = tuple(replace(each, first=each.first // 4 + 1, last=each.last // 4) for each in MINI.windows)
    protocol = replace(MINI, id="short", horizon=MINI.horizon // 4, windows=windows)
    monkeypatch.setitem(PROTOCOLS, protocol.id, protocol)
    return protocol.id


@pytest.mark.parametrize("name", [*MODELS, "autoencoded"])
def test_the_whole_benchmark_runs_with_every_registered_model(world_data, tmp_path, short_protocol, name):
    arguments = {"preset": "trial", "frame_size": SIZE} | ({} if name == "autoencoded" else {"steps": 1})
    code = benchmark([
        "--model", name, "--model-args", json.dumps(arguments), "--data", str(world_data),
        "--out", str(tmp_path / "run"), "--protocol", short_protocol, "--metrics", "psnr",
    ])  # fmt: skip
    assert code == 0
    result = read_result(tmp_path / "run" / "result.json")
    assert result.model.name == f"{name} (trial, random weights)"
    assert set(result.metrics["psnr"].windows) == {"short", "medium", "long"}
    assert not result.failed


def test_a_result_states_the_models_precision(world_data, tmp_path, short_protocol):
    for precision in ("auto", "bfloat16"):
        arguments = {"preset": "trial", "frame_size": SIZE, "steps": 1, "precision": precision}
        command = ["--model", "framepack", "--model-args", json.dumps(arguments), "--data", str(world_data)]
        out = tmp_path / precision
        command += ["--out", str(out), "--protocol", short_protocol, "--metrics", "psnr"]
        assert benchmark(command) == 0
        actual = read_result(out / "result.json").model.precision
        assert actual == {"auto": "float32", "bfloat16": "bfloat16"}[precision]
    assert make_tiny("millivid").precision_on(torch.device("cuda")) == "bfloat16"
    assert make_tiny("millivid", precision="float32").precision_on(torch.device("cuda")) is None


def test_the_contract_is_met():
    model = load_registered("models.zoo.world_models:upscale", {"preset": "trial", "frame_size": SIZE})
    assert model.frame_shape == (3, SIZE, SIZE)
    assert model.max_context == 40


def test_encoding_stores_what_the_model_sees(data, tmp_path, capsys):
    out = tmp_path / "latents"
    arguments = [str(data), "--out", str(out), "--preset", "trial", "--dtype", "float16"]
    capsys.readouterr()
    assert encode([*arguments, "--shard", "1/2"]) == 0
    assert capsys.readouterr().out.endswith(
        f"{out}: shard 1/2 has the latents of its 1 videos; once all shards have ended, run the same command "
        "without --shard to write the index\n"
    )
    assert not (out / "index.json").exists()
    assert encode(arguments) == 0
    latents = open_latents(out)
    assert latents.num_frames == {"000/000": 256, "000/001": 256}
    levels, states = latents.read("000/001", 100, 140, first_level=1)
    assert [tuple(level.shape) for level in levels] == [(40, 16, 8), (40, 4, 8)]
    assert levels[0].dtype == torch.float16
    assert np.array_equal(states, np.load(data / "000/001.npy")[100:140])
    written = (out / "000/000.safetensors").stat().st_mtime_ns
    (out / "000/001.safetensors").unlink()
    assert encode(arguments) == 0
    assert (out / "000/000.safetensors").stat().st_mtime_ns == written
    again, _ = open_latents(out).read("000/001", 100, 140, first_level=1)
    assert torch.equal(again[0], levels[0])
    assert encode([*arguments, "--max-videos", "1"]) == 0
    assert set(open_latents(out).num_frames) == {"000/000", "000/001"}  # existing latents stay listed
    for other in (["--dtype", "bfloat16"], ["--precision", "bfloat16"]):
        assert encode([*arguments, *other]) == 2
        assert "holds latents of other frames, weights or precision" in capsys.readouterr().err


def test_demo_writes_side_by_side_videos(data, tmp_path, capsys):
    arguments = [str(data), "--out", str(tmp_path), "--preset", "trial", "--steps", "1", "--num-videos", "1"]
    assert demo([*arguments, "--context", "40", "--horizon", "3", "--baselines"]) == 0
    frames = read_frames(tmp_path / "000-000.mp4", 0, 43)
    truth = open_dataset(data).frames("000/000", 42, 43)[0]
    panel = frames[42, HEADER + GAP :, GAP:][:PANEL, :PANEL]
    assert np.abs(panel - fit(truth, PANEL).astype(float)).mean() < 12  # lossy
    assert frames.shape[2] == 3 * PANEL + 4 * GAP  # truth and two models; a third and the walk below
    assert demo([*arguments, "--context", "10", "--horizon", "3"]) == 2
    assert "context frames; give --context" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "flags", "sentence"),
    [
        (encode, ["--max-videos", "0"], "--max-videos 0: choose 1 or more"),
        (encode, ["--preset", "paper"], "2 x 2 patches per frame cannot be halved 3 times"),
        (demo, ["--num-videos", "0"], "--num-videos 0: choose 1 or more"),
        (demo, ["--horizon", "0"], "--horizon 0: choose 1 or more"),
        (draw_plan, ["--steps", "0"], "--steps 0: choose 1 or more"),
    ],
)
def test_flags_out_of_range_are_refused_in_a_sentence(command, flags, sentence, world_data, tmp_path, capsys):
    first = "millivid" if command is draw_plan else str(world_data)
    if "--preset" in flags:  # frames of 32 pixels are 2 x 2 patches
        frames = "--split val --num-episodes 1 --candidates 1 --num-frames 8 --resolution 32 --workers 1"
        first = str(tmp_path / "small")
        assert generate(["--out", first, *frames.split()]) == 0
    capsys.readouterr()
    assert command([first, "--out", str(tmp_path / "out"), *flags]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c, a: (c.float() / 255, a, [1, 2]), "takes uint8 frames of (3, 16, 16), but got float32 of"),
        (lambda c, a: (c, a.float(), [1, 2]), "takes integer actions, one context and one seed per video"),
        (lambda c, a: (c, a, [1]), "2 contexts and 1 seeds"),
        (lambda c, a: (c[:1], a, [1, 2]), "actions of 2 videos, 1 contexts"),
    ],
)
def test_inputs_of_another_kind_are_refused(change, sentence):
    model = make_tiny("full-resolution")
    context, actions, seeds = change(*inputs(model, 3))
    with pytest.raises(UserError) as error:
        list(model.rollout(context, actions, seeds=seeds))
    assert sentence in str(error.value)


@pytest.mark.parametrize("command", [encode, demo])
def test_a_missing_device_is_refused_in_a_sentence(command, data, tmp_path, capsys) -> None:
    flags = [str(data), "--out", str(tmp_path / "out"), "--preset", "trial", "--device", "surprise"]
    assert command(flags) == 2
    assert "--device surprise: no such device" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"steps": 0}, "steps 0: choose a whole number of network calls, at least 1"),
        ({"steps": 2.5}, "steps 2.5: choose a whole number"),
        ({"solver": "x"}, "solver 'x': choose one of ddim, dpm++2m"),
        ({"guidance": float("nan")}, "guidance nan: choose a finite number"),
    ],
)
def test_an_invalid_sampling_is_refused(change, sentence) -> None:
    """Type checks, which tests have, are disabled so that they do not fail first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(UserError) as caught:
            Sampling().changed(**change)
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
    assert str(caught.value).startswith(sentence)


def test_every_model_has_a_tiny_and_an_ablation_setting() -> None:
    settings = [PRESETS[preset].model(name, 16) for preset in ("trial", "paper-ablation") for name in MODELS]
    assert len(settings) == 20
    with pytest.raises(UserError, match="there is no model 'surprise'"):
        PRESETS["trial"].model("surprise", 16)

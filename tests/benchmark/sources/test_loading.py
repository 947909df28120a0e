"""Loading a model by name or path, and refusing objects that are not models."""

import json
import re
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import torch

import benchmark
from benchmark.contract.compute import Compute
from benchmark.contract.model import ContractError, RecordedFrames, RolloutModel, check_members, role_of
from benchmark.sources import loading
from benchmark.sources.http_protocol import describe
from benchmark.sources.loading import factory_module, load_model, module_sha256, parse_model_args
from benchmark.sources.references import CopyLast, GroundTruth, OtherVideo
from benchmark.sources.source import SourceFlags
from loopcraft.core.errors import UserCodeError, UserError
from loopcraft.core.files import file_sha256


class Sized(CopyLast):
    role = "model"

    def __init__(self, size: int = 8) -> None:
        self.frame_shape = (3, size, size)


class WithoutShape:
    name, max_context, rollout = "shapeless", 1, CopyLast.rollout


class WithoutRollout:
    name, frame_shape, max_context = "mute", None, 1


class Undecided(CopyLast, GroundTruth):
    pass


not_callable = 3


@pytest.mark.parametrize("name", ["ground-truth", "copy-last", "other-video"])
def test_bounds_are_registered_and_marked(name: str) -> None:
    model = load_model(name)
    assert (model.name, role_of(model)) == (name, "bound")


def test_only_bounds_that_see_the_answer_are_playback() -> None:
    assert isinstance(CopyLast(), RolloutModel)
    assert not isinstance(CopyLast(), RecordedFrames)
    for seer in (GroundTruth(), OtherVideo()):
        assert isinstance(seer, RecordedFrames)
        assert not isinstance(seer, RolloutModel)


def test_a_model_by_path_with_arguments() -> None:
    model = load_model(f"{__name__}:Sized", {"size": 24})
    assert model.frame_shape == (3, 24, 24)
    assert role_of(model) == "model"


@pytest.mark.parametrize(
    ("spec", "arguments", "message"),
    [
        ("dreamer", "{}", "unknown model 'dreamer': choose one of .*copy-last.*ground-truth.*other-video"),
        ("no_such_package:Model", "{}", "no module 'no_such_package'"),
        ("benchmark.nothing:Model", "{}", "no module 'benchmark.nothing'"),
        (f"{__name__}:Missing", "{}", "no callable 'Missing'"),
        (f"{__name__}:not_callable", "{}", "no callable 'not_callable'"),
        (f"{__name__}:Sized", "{size: 3}", "is not JSON"),
        (f"{__name__}:Sized", "[3]", "must be a JSON object"),
        (f"{__name__}:Sized", '{"width": 3}', "do not fit .*width"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_refused(spec: str, arguments: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_model(spec, parse_model_args(arguments))


@pytest.mark.parametrize(
    ("mutant", "message"),
    [
        ("WithoutRollout", "one of the methods rollout and play, this has"),
        ("Undecided", "one of the methods rollout and play, this has"),
        ("WithoutShape", "the model has no `frame_shape`; it must be"),
    ],
)
def test_an_object_that_is_not_a_model_is_refused(mutant: str, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        load_model(f"{__name__}:{mutant}")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        *(("name", value) for value in (None, 3, "", "  ", "a\nb/../c")),
        *(
            ("frame_shape", value)
            for value in ((1, 8, 8), (3, 8), (3, -1, "a"), (3, 8, 0), (3, 8.0, 8), "3ab", 3)
        ),
        *(("max_context", value) for value in (None, 0, -1, 4.0, "4")),
        *(("checkpoint_sha256", value) for value in (5, b"5")),
        *(("notes", value) for value in ("one string", None, (1, 2))),
        *(("role", value) for value in ("bounds", None, ["model"])),
    ],
)
def test_a_member_that_breaks_the_contract_is_reported_in_a_sentence(member: str, value: object) -> None:
    model = type("Wrong", (CopyLast,), {member: value})()
    with pytest.raises(
        ContractError, match=rf"^it: the model's `{member}` must be .*, not {re.escape(repr(value))}$"
    ):
        check_members(model, "it")


def test_members_may_be_of_any_integer_type() -> None:
    shape = np.array([3, 8, 12])
    model = type("Numbers", (CopyLast,), {"max_context": np.int64(4), "frame_shape": shape})()
    assert check_members(model, "it") is model
    assert benchmark.check_model(model) == {}
    card = json.dumps(describe(model, Compute(device=torch.device("cpu"), precision="float32")).as_json())
    assert json.loads(card)["frame_shape"] == [3, 8, 12]


@pytest.mark.parametrize("lacking", ["a_package_it_lacks", "broken"])
def test_a_model_keeps_its_own_import_errors(tmp_path, monkeypatch, lacking: str) -> None:
    (tmp_path / "broken_model.py").write_text(f"import {lacking}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        UserCodeError, match=f"could not be loaded: it raised ModuleNotFoundError: .*{lacking}"
    ) as caught:
        load_model("broken_model:Model")
    traceback = caught.value.details.splitlines()
    assert traceback[:2] == [
        "Traceback (most recent call last):",
        f'  File "{tmp_path}/broken_model.py", line 1, in <module>',
    ]
    assert traceback[-1].startswith("ModuleNotFoundError")


def test_a_checkpoint_is_an_argument_of_the_model():
    flags = SourceFlags(model_args='{"k": 1}', checkpoint="published")
    assert flags.arguments == {"k": 1, "checkpoint": "published"}
    assert SourceFlags().arguments == {}
    with pytest.raises(UserError, match="both name a checkpoint"):
        SourceFlags(model_args='{"checkpoint": "a"}', checkpoint="b").arguments


def test_a_folder_that_shadows_a_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    entry = EntryPoint("ours", "theirs.zoo:millivid", "loopcraft.models")
    monkeypatch.setattr(loading, "entry_points", lambda group: [entry])
    with pytest.raises(UserError, match=r"theirs has the same name: run in another folder, with python -P"):
        load_model("ours")


def test_a_registered_model_that_is_missing_is_reported_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missing = EntryPoint("gone", "benchmark.no_such_module:Model", "loopcraft.models")
    monkeypatch.setattr(loading, "entry_points", lambda group: [missing])
    with pytest.raises(
        UserError, match=r"'gone' is registered as .*no_such_module.*; install its package again"
    ):
        load_model("gone")


@pytest.mark.parametrize(
    "spec", ["http://127.0.0.1:8000", "copy-last", "benchmark.conformance.synthetic:Oracle"]
)
def test_a_server_and_our_own_models_have_no_file_that_users_edit(spec: str) -> None:
    assert module_sha256(factory_module(spec)) is None


def test_the_file_of_a_users_model_is_identified_by_its_content() -> None:
    assert module_sha256(factory_module(f"{__name__}:Anything")) == file_sha256(Path(__file__))

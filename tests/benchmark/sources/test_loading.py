"""Finding a model by name and by path, and refusing what is none."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from benchmark.contract.model import ContractError, RecordedFrames, RolloutModel, role_of
from benchmark.sources import loading
from benchmark.sources.loading import load_model, parse_model_args
from benchmark.sources.references import CopyLast, GroundTruth, OtherVideo
from benchmark.sources.source import SourceFlags
from loopcraft.core.errors import UserCodeError, UserError


class Sized(CopyLast):
    role = "model"

    def __init__(self, size: int = 8) -> None:
        self.frame_shape = (3, size, size)


class WithoutRollout:
    name, frame_shape, max_context = "mute", None, 1


class WithoutName(CopyLast):
    name = None  # type: ignore[assignment]


class WithoutContext(CopyLast):
    max_context = 0


class GreyFrames(CopyLast):
    frame_shape = (1, 8, 8)  # type: ignore[assignment]


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
def test_a_model_that_cannot_be_loaded(spec: str, arguments: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_model(spec, parse_model_args(arguments))


@pytest.mark.parametrize(
    ("mutant", "message"),
    [
        ("WithoutRollout", "one of the methods rollout and play, this has"),
        ("Undecided", "one of the methods rollout and play, this has"),
        ("WithoutName", "`name` must be a string"),
        ("WithoutContext", "`max_context` must be a positive number"),
        ("GreyFrames", r"`frame_shape` must be \(3, height, width\) or None, not \(1, 8, 8\)"),
    ],
)
def test_an_object_that_is_no_model(mutant: str, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        load_model(f"{__name__}:{mutant}")


@pytest.mark.parametrize("lacking", ["a_package_it_lacks", "broken"])
def test_a_model_keeps_its_own_import_errors(tmp_path, monkeypatch, lacking: str) -> None:
    (tmp_path / "broken_model.py").write_text(f"import {lacking}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        UserCodeError, match=f"could not be loaded: it raised ModuleNotFoundError: .*{lacking}"
    ) as caught:
        load_model("broken_model:Model")
    shown = caught.value.details.splitlines()
    assert shown[:2] == [
        "Traceback (most recent call last):",
        f'  File "{tmp_path}/broken_model.py", line 1, in <module>',
    ]
    assert shown[-1].startswith("ModuleNotFoundError")


def test_a_checkpoint_is_an_argument_of_the_model():
    flags = SourceFlags(model_args='{"k": 1}', checkpoint="published")
    assert flags.arguments == {"k": 1, "checkpoint": "published"}
    assert SourceFlags().arguments == {}
    with pytest.raises(UserError, match="both name a checkpoint"):
        SourceFlags(model_args='{"checkpoint": "a"}', checkpoint="b").arguments


def test_a_folder_with_a_package_of_our_name_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    entry = EntryPoint("ours", "theirs.zoo:millivid", "loopcraft.models")
    monkeypatch.setattr(loading, "entry_points", lambda group: [entry])
    with pytest.raises(UserError, match=r"theirs has that name too: run in another folder, with python -P"):
        load_model("ours")


def test_a_registered_model_that_is_gone_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = EntryPoint("gone", "benchmark.no_such_module:Model", "loopcraft.models")
    monkeypatch.setattr(loading, "entry_points", lambda group: [gone])
    with pytest.raises(
        UserError, match=r"'gone' is registered as .*no_such_module.*; install its package again"
    ):
        load_model("gone")

"""Missing provenance (no git, no package, no read permission) never costs a result."""

import json
import subprocess
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch

from benchmark.harness import provenance

CPU = torch.device("cpu")


@pytest.fixture(params=["plain", "packed", "detached", "worktree"])
def checkout(request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def git(*words: str, at: Path) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        process = subprocess.run(
            ["git", *identity, *words], cwd=at, check=True, capture_output=True, text=True
        )
        return process.stdout.strip()

    root = tmp_path / "checkout"
    (root / "benchmark").mkdir(parents=True)
    (root / "benchmark" / "__init__.py").touch()
    git("init", "-b", "main", at=root)
    git("add", ".", at=root)
    git("commit", "-m", "first", at=root)
    if request.param == "packed":
        git("pack-refs", "--all", at=root)
    if request.param == "detached":
        git("checkout", "--detach", at=root)
    if request.param == "worktree":
        git("worktree", "add", "-b", "side", str(tmp_path / "side"), at=root)
        root = tmp_path / "side"
    monkeypatch.setattr(provenance, "CHECKOUT", root)
    monkeypatch.setattr(provenance, "_describe_commit", provenance._describe_commit.__wrapped__)
    return root


def test_the_commit_is_recorded_with_and_without_git(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = provenance.code_version().partition("+")[2]
    assert len(commit) == 40
    (checkout / "benchmark" / "__init__.py").write_text("# changed")
    assert provenance.code_version().endswith(f"+{commit}-dirty")
    monkeypatch.setenv("PATH", "")
    assert provenance.code_version().endswith(f"+{commit}-unchecked")


@pytest.mark.parametrize("checkout", ["plain"], indirect=True)
def test_an_unreadable_checkout_is_recorded_as_unknown(checkout, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    (checkout / ".git" / "HEAD").unlink()
    assert provenance.code_version().endswith("+unknown-unchecked")


def test_missing_packages_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name in ("loopcraft", "lpips"):
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(provenance, "version", version)
    monkeypatch.setattr(provenance, "_version", provenance._version.__wrapped__)  # uncached
    record = provenance.provenance(seed=0, origins=[provenance.current_origin.__wrapped__(CPU)], seconds=1.0)
    assert record.code.startswith("unknown")
    assert "lpips" not in record.packages
    assert record.packages["numpy"] == "1.0"


def origin(**others: str) -> dict[str, str]:
    return {**provenance.current_origin(CPU), **others}


def test_every_origin_of_the_videos_is_named_once() -> None:
    here = provenance.provenance(seed=0, origins=[origin()], seconds=1.0)
    others = [
        origin(hardware="A", code="0.1", sources="01"),
        origin(hardware="B", code="0.2", sources="02"),
        origin(hardware="A", code="0.3: of the docs alone", sources="02"),
        origin(hardware="A", code="0.1", sources="01"),
    ]
    record = provenance.provenance(seed=0, origins=others, seconds=1.0)
    assert (record.hardware, record.code, record.packages) == (
        "A; B",
        "0.1; 0.3: of the docs alone",
        here.packages,
    )
    older = {**here.packages, "torch": "1.0"}
    record = provenance.provenance(
        seed=0, origins=[origin(), origin(packages=json.dumps(older))], seconds=1.0
    )
    assert record.packages == {**here.packages, "torch": "; ".join(sorted(["1.0", here.packages["torch"]]))}


def test_scores_by_other_code_or_packages_are_reported() -> None:
    matching = [origin(), origin(hardware="another", code="docs changed"), {}, {"hardware": "as of old"}]
    assert provenance.describe_mixed_origins(matching, CPU) is None
    for other in ({"sources": "0123"}, {"packages": "{}"}):
        message = provenance.describe_mixed_origins([*matching, origin(code="0.0+old", **other)], CPU)
        assert message is not None
        assert message.startswith("other code or packages (0.0+old) than the current ones (")
        assert "made the scores of 1 of the videos; the result names both: " in message

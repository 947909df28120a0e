"""What a result says about its making never costs the result: no git, no package, no right to read."""

import subprocess
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from benchmark.harness import provenance


@pytest.fixture(params=["plain", "packed", "detached", "worktree"])
def checkout(request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def git(*words: str, at: Path) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        done = subprocess.run(["git", *identity, *words], cwd=at, check=True, capture_output=True, text=True)
        return done.stdout.strip()

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
    monkeypatch.setattr(provenance, "_described", provenance._described.__wrapped__)
    return root


def test_the_commit_is_told_with_git_and_without(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = provenance.code_version().partition("+")[2]
    assert len(commit) == 40
    (checkout / "benchmark" / "__init__.py").write_text("# changed")
    assert provenance.code_version().endswith(f"+{commit}-dirty")
    monkeypatch.setenv("PATH", "")
    assert provenance.code_version().endswith(f"+{commit}-unchecked")


@pytest.mark.parametrize("checkout", ["plain"], indirect=True)
def test_a_checkout_that_nobody_can_read_is_told_as_such(checkout, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    (checkout / ".git" / "HEAD").unlink()
    assert provenance.code_version().endswith("+unknown-unchecked")


def test_packages_that_are_not_there_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name in ("loopcraft", "lpips"):
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(provenance, "version", version)
    monkeypatch.setattr(provenance, "_version", provenance._version.__wrapped__)  # asks anew
    made = provenance.provenance(seed=0, hardware=["a processor"], seconds=1.0)
    assert made.code.startswith("unknown")
    assert "lpips" not in made.packages
    assert made.packages["numpy"] == "1.0"


@pytest.mark.parametrize(
    ("machines", "said"), [(["B", "A", "B"], "A; B"), (["one", "one"], "one")], ids=["several", "one"]
)
def test_every_machine_is_named_once(machines: list[str], said: str) -> None:
    assert provenance.provenance(seed=0, hardware=machines, seconds=1.0).hardware == said

"""docs/cli.md and docs/api.md match the commands and docstrings, and every flag has a description."""

import re

import pytest

from docs import reference

REMEDY = "out of date: run `python docs/reference.py`"


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", reference.WIDTH)
    monkeypatch.setattr("sys.argv", ["python"])


def test_the_page_of_commands_is_up_to_date() -> None:
    assert (reference.DOCS / "cli.md").read_text() == reference.cli(), REMEDY


def test_the_page_of_the_python_interface_is_up_to_date() -> None:
    assert (reference.DOCS / "api.md").read_text() == reference.api(), REMEDY


def test_the_page_has_what_the_docs_import_and_the_attributes_of_a_data_set() -> None:
    page = (reference.DOCS / "api.md").read_text()
    for path in (reference.DOCS.parent / "README.md", *reference.DOCS.glob("*.md")):
        for names in re.findall(
            r"^from (?:loopcraft|benchmark|models)[\w.]* import (.+)$", path.read_text(), re.M
        ):
            assert all(f"\n### {name}\n" in page for name in names.split(", ")), (path, names)
    for name in ("root", "keys", "manifest", "metadata", "fingerprint"):
        assert f"\n`LoopcraftDataset.{name}`: " in page


def test_every_command_of_the_readme_is_on_the_page() -> None:
    readme = (reference.DOCS.parent / "README.md").read_text()
    named = set(re.findall(r"python -m ((?:loopcraft|benchmark|models|leaderboard)\.\w+)", readme))
    assert len(named) > 10
    assert named <= set(reference.commands())


def test_every_flag_has_a_description() -> None:
    """A flag's type and default do not suffice, except for these self-explanatory names."""
    self_explanatory = {
        "--seed",
        "--precision",
        "--device",
        "--out",
        "--steps",
        "--resolution",
        "--model",
        "--help",
    }
    page = reference.cli()
    undescribed = re.findall(r"^ +(--[a-z][\w-]*)(?:,? \S+)?\s+\((?:default|required)", page, re.MULTILINE)
    assert set(undescribed) - self_explanatory == set()


def test_arguments_are_split_only_outside_brackets() -> None:
    assert reference.split_arguments("a: dict[str, int], *, b=(1, 2)") == [
        "a: dict[str, int]",
        "*",
        "b=(1, 2)",
    ]

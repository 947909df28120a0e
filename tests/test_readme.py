"""The README says what is there: its tree, and its table of the data set's columns."""

import subprocess

import pytest
from tree import END, ROOT, START, replace_tree, tracked_files, tree

from loopcraft.episode_table import COLUMNS

in_git = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not in_git, reason="not a git checkout")
def test_the_tree_is_that_of_git() -> None:
    readme = (ROOT / "README.md").read_text()
    assert readme == replace_tree(readme, tracked_files()), "run: python tests/tree.py"


@pytest.mark.skipif(not in_git, reason="not a git checkout")
def test_a_missing_file_shows() -> None:
    files = tracked_files()
    assert tree(files) != tree(files[:-1])
    assert START in (ROOT / "README.md").read_text()
    assert END in (ROOT / "README.md").read_text()


def test_every_column_of_the_table_is_explained() -> None:
    page = (ROOT / "docs" / "data.md").read_text()
    for name, (_, text) in COLUMNS.items():
        assert f"| `{name}` | {text} |" in page

"""The data page explains every column of the episode table."""

from pathlib import Path

from loopcraft.dataset.episode_table import COLUMNS

ROOT = Path(__file__).resolve().parents[3]


def test_every_column_of_the_table_is_explained() -> None:
    page = (ROOT / "docs" / "data.md").read_text()
    for name, (_, text) in COLUMNS.items():
        assert f"| `{name}` | {text} |" in page

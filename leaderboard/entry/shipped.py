"""Folders shipped with the project: its entries and the scenes of its canonical test sets."""

from pathlib import Path

ENTRIES = Path(__file__).resolve().parent.parent / "entries"
TRUTH = Path(__file__).resolve().parent.parent / "truth"


def scene_folders(truth: Path, table: str) -> dict[str, Path]:
    """Return the scene folders of a table PROTOCOL/DATA by name, sorted."""
    folder = truth / table
    if not folder.is_dir():
        return {}
    return {path.name: path for path in sorted(folder.iterdir()) if (path / "walk.json").is_file()}

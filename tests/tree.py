"""The README's tree: every tracked file with one line. `python tests/tree.py` writes it into README.md.

A Python file's line is the first sentence of its docstring, so the two cannot part; other files have theirs
here.
"""

import ast
import subprocess
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
START, END = "<!-- tree -->\n```text\n", "```\n<!-- /tree -->"
FOLDERS = {
    "loopcraft": "worlds, walks, episodes, the data set",
    "loopcraft/worlds": "one protocol, several engines",
    "loopcraft/worlds/minerl": "real Minecraft, in processes that may fail",
    "loopcraft/worlds/voxel": "the built-in block world",
    "loopcraft/worlds/voxel/textures": "16x16 textures, drawn by code",
    "benchmark": "any model in, scores out",
    "benchmark/metrics": "one file a metric",
    "models": "reference models",
    "docs/plans": "rollout plans, drawn",
    "models/pretrained": "the models in the box",
    "models/pretrained/results": "their scores on 64 held-out videos",
    "models/train": "training",
    "tests/golden": "reference vectors: the checker",
    "leaderboard": "comparison of results",
    "tests": "proofs",
    "perf": "speed, as ratios within one run",
    "docs": "what needs more than a line",
    ".ci": "continuous integration",
}
OTHERS = {
    ".ci/run": "What continuous integration runs: make check, make test.",
    ".gitignore": "What stays out of git.",
    "CITATION.cff": "How to cite.",
    "LICENSE": "MIT.",
    "Makefile": "make demo, make test, make check, make test-minerl; each sets up all it needs.",
    "README.md": "This page.",
    "benchmark/report.html": "The report's page, filled in by report.py.",
    "benchmark/weights.toml": "The table of pretrained networks: source, licence, revision, checksum.",
    "constraints.txt": "One tested version of every direct dependency.",
    "docs/Dockerfile.minerl": "Loopcraft with Minecraft, as an image.",
    "docs/episode.jpg": "An episode: the same places hundreds of frames apart, and the map.",
    "docs/models.jpg": "The models in the box beside the truth.",
    "docs/recall.jpg": "Frames of a horizon, and what of them the context showed.",
    "docs/reconstruction.jpg": "What each level of the autoencoder in the box gives back.",
    "docs/seeds.jpg": "Twelve worlds.",
    "tests/golden_losses.json": "50 losses of each kind of training on a CPU; training_runs.py writes them.",
    "pyproject.toml": "The distribution, its dependencies and the tools' settings.",
    "py.typed": "Marks the package as typed.",
}


def tracked_files() -> list[str]:
    """Every file in git's index, sorted."""
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(listing.stdout.split("\n"), key=lambda name: PurePosixPath(name).parts)[1:]


def describe(name: str) -> str:
    """One line about a file: its docstring's first sentence, a page's title, or a line from `OTHERS`."""
    path = ROOT / name
    if name in OTHERS or path.name in OTHERS:
        return OTHERS.get(name, OTHERS.get(path.name, ""))
    if path.suffix == ".py":
        doc = ast.get_docstring(ast.parse(path.read_text())) or ""
        return " ".join(doc.split("\n\n")[0].split()).split(". ")[0].rstrip(".") + "."
    if path.suffix == ".md":
        return path.read_text().split("\n", 1)[0].lstrip("# ") + "."
    if path.parent == ROOT / "docs" / "plans":
        return f"The plan {path.stem}, drawn by python -m models.plans."
    if path.is_relative_to(ROOT / "models" / "pretrained"):
        return {
            ".safetensors": f"Weights of {path.stem}, in float16.",
            ".jsonl": "The log of its training: every tenth step.",
            ".json": f"The result of {path.parent.name}.",
        }[path.suffix]
    raise KeyError(f"{name}: give it a line in tests/tree.py")


def tree(files: list[str]) -> str:
    """The tree as text, folders before their files, one line each."""
    lines, seen = [], set()
    for name in sorted(files, key=lambda name: (PurePosixPath(name).parts[:-1], name)):
        parents = [str(parent) for parent in reversed(PurePosixPath(name).parents) if str(parent) != "."]
        for depth, parent in enumerate(parents):
            if parent not in seen:
                seen.add(parent)
                label = f"{'  ' * depth}{PurePosixPath(parent).name}/"
                lines.append(f"{label:34} {FOLDERS.get(parent, '')}".rstrip())
        label = f"{'  ' * len(parents)}{PurePosixPath(name).name}"
        lines.append(f"{label:34} {describe(name)}")
    return "\n".join(lines) + "\n"


def replace_tree(readme: str, files: list[str]) -> str:
    """The README with a fresh tree."""
    before, rest = readme.split(START)
    after = rest.split(END, 1)[1]
    return f"{before}{START}{tree(files)}{END}{after}"


if __name__ == "__main__":
    page = ROOT / "README.md"
    page.write_text(replace_tree(page.read_text(), tracked_files()))

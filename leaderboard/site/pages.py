"""Render the pages from templates that escape all text of entries."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from benchmark.results.tables import format_estimate
from leaderboard.checks.findings import Finding
from leaderboard.entry.card import is_web_address
from leaderboard.entry.folder import Entry
from leaderboard.site.chart_library import style_guards
from leaderboard.site.columns import Column
from leaderboard.site.tables import SiteTable, slug
from loopcraft.core.cli import one_line
from loopcraft.test_sets.known import all_test_sets

TEMPLATES = Path(__file__).with_name("templates")
EMPTY_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
"""SHA-256 of the empty string: allows only the empty style sheet that Plotly creates and fills by script."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' {style}; img-src 'self'; "
    "media-src 'self'; connect-src 'none'; base-uri 'none'; form-action 'none'"
)
CITATION = """\
@article{millivid2026,
  title = {MilliVid: Hierarchical Latents for Long-Range Consistency in Video Generation},
  year  = {2026},
  url   = {https://arxiv.org/abs/2606.09056},
}"""

EXAMPLE_CARD = """\
{
 "format": "loopcraft-card",
 "version": 1,
 "name": "Rememberer",
 "model_version": "base, 400k steps",
 "authors": ["Ada Lovelace", "Charles Babbage"],
 "date": "2026-11-26",
 "licence": "Apache-2.0",
 "description": "A diffusion transformer with a memory of keyframes.",
 "training_data": "200,000 walks of voxel-v1, split train",
 "conditioning": "actions",
 "parameters": 130000000,
 "tokens_per_step": 3840,
 "links": {"paper": "https://example.org/paper", "code": "https://example.org/code"},
 "reproduce": ["python -m benchmark.run --model rememberer.eval:base --data test --out RUN"],
 "contact": null
}"""
"""Example on the page about submitting; docs/leaderboard.md explains each field."""


def make_pages(tables: Sequence[SiteTable], findings: Mapping[str, Sequence[Finding]]) -> dict[str, bytes]:
    """Render every page, by address."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = one_line
    environment.globals["policy"] = POLICY.format(style=EMPTY_STYLE)
    pages = {
        "index.html": _render(environment, "index.html", tables=tables, root="", citation=CITATION),
        "compare.html": _render(environment, "compare.html", root="", guards=style_guards()),
        "submit.html": _render(
            environment, "submit.html", root="", test_sets=all_test_sets(), example_card=EXAMPLE_CARD
        ),
    }
    for table in tables:
        for entry in table.entries:
            pages[f"models/{slug(entry.id)}.html"] = _render(
                environment,
                "model.html",
                root="../",
                **_model_values(table, entry, findings.get(entry.id, ())),
            )
    return {address: page.encode() for address, page in pages.items()}


def _render(environment: jinja2.Environment, template: str, **values: Any) -> str:
    return environment.get_template(template).render(values) + "\n"


def _model_values(table: SiteTable, entry: Entry, findings: Sequence[Finding]) -> dict[str, Any]:
    card = entry.card
    windows = table.result.protocol.windows
    return {
        "table": table,
        "entry": entry,
        "card": card,
        "slug": slug(entry.id),
        "name": card.name if card else entry.result.model.name,
        "findings": findings,
        "links": [(label, url) for label, url in card.links.items() if is_web_address(url)] if card else [],
        "facts": _facts(entry),
        "windows": [(window.name, f"frames {window.first}-{window.last}") for window in windows],
        "scores": [
            _score_row(column, entry.id, [window.name for window in windows]) for column in table.columns
        ],
        "videos": [(key, f"../files/{entry.id}/videos/{path.name}") for key, path in entry.videos.items()],
    }


def _score_row(column: Column, row: str, windows: Sequence[str]) -> tuple[str, str, list[str]]:
    """Return title, hint, and a text per window, or one text if the number does not depend on the window."""
    texts = []
    for window in [""] if "" in column.values else windows:
        estimate = column.values[window].get(row)
        text = (
            "–" if estimate is None else column.texts.get(row) or format_estimate(estimate, column.decimals)
        )
        texts.append(text)
    unit = f" ({column.unit})" if column.unit else ""
    return f"{column.title}{unit} {'↑' if column.is_higher_better else '↓'}", column.hint, texts


def _facts(entry: Entry) -> list[tuple[str, str]]:
    """Return labels and texts on the model and on how its numbers were computed."""
    result, card = entry.result, entry.card
    facts = []
    if card is not None:
        facts += [
            ("Version", card.model_version),
            ("Authors", ", ".join(card.authors)),
            ("Date", card.date),
            ("Licence", card.licence),
            ("Parameters", "–" if card.parameters is None else f"{card.parameters:,}"),
            ("Tokens per step", "–" if card.tokens_per_step is None else f"{card.tokens_per_step:,}"),
            ("Conditioning", card.conditioning),
            ("Training data", card.training_data),
        ]
        facts += [("Contact", card.contact)] if card.contact else []
    model, provenance = result.model, result.provenance
    return [
        *facts,
        ("Context read", f"{model.context_frames} of {result.protocol.context} frames"),
        ("Frames", "rolled out by the benchmark" if model.source == "rollout" else "submitted as files"),
        ("Weights (SHA-256)", model.checkpoint_sha256 or "–"),
        ("Arguments", model.arguments),
        ("Precision", model.precision),
        ("Seed", str(provenance.seed)),
        ("Code", provenance.code),
        ("Hardware", f"{provenance.hardware}, {provenance.seconds:.0f} s"),
        ("Packages", ", ".join(f"{name} {version}" for name, version in provenance.packages.items())),
        ("Videos scored", str(len(result.data.keys))),
        ("Data", result.data.fingerprint),
        ("Protocol", f"{result.protocol.id} {result.protocol_hash}"),
    ]

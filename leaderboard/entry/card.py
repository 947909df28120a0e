"""The model card: a JSON file on who made a model, from what, and how to reproduce its row.

Every field is checked. Text is shown as plain text, links are http(s) only, and nothing is executed.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from leaderboard.entry import limits
from loopcraft.core.decoding import SchemaError, decode
from loopcraft.core.errors import UserError
from loopcraft.core.files import parse_json
from loopcraft.core.urls import content_of

FORMAT = "loopcraft-card"
VERSION = 1
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, kw_only=True)
class Card:
    """Facts about a model beside its scores; None if unknown."""

    format: Literal["loopcraft-card"] = "loopcraft-card"
    version: Literal[1] = 1
    name: str
    """Name shown in the table."""
    model_version: str
    """Distinguishes models of the same name."""
    authors: tuple[str, ...]
    date: str
    """Date of the model, like 2026-11-26."""
    licence: str
    """Licence of the weights, like MIT, or "not released"."""
    description: str
    """One or two sentences."""
    training_data: str
    conditioning: str
    """What the model is given about future frames, like "actions"."""
    parameters: int | None
    """Number of trainable parameters of all networks that run."""
    tokens_per_step: int | None
    """Tokens that one call of the network reads and writes."""
    links: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """URLs by label, such as paper, code and weights."""
    reproduce: tuple[str, ...] = ()
    """Commands that reproduce the row."""
    contact: str | None = None


def read_card(path: Path) -> Card:
    """Read a card; raise `UserError` with the first wrong field and what is expected there."""
    if path.stat().st_size > limits.MOST_CARD_BYTES:
        raise UserError(f"{path}: is larger than {limits.MOST_CARD_BYTES} bytes; shorten it")
    document = parse_json(content_of(path), path, "a model card is JSON: docs/leaderboard.md shows one")
    try:
        return decode_card(document)
    except SchemaError as error:
        message = f"{path}: not a model card: {error}; docs/leaderboard.md explains each field"
        raise UserError(message) from error


def decode_card(document: Any) -> Card:
    """Decode a card from a JSON value; raise `SchemaError` with the first problem."""
    card = decode(Card, document)
    for problem in _problems(card):
        raise SchemaError(problem)
    return card


def _problems(card: Card) -> Iterator[str]:
    for name in ("name", "model_version", "licence", "conditioning"):
        yield from _text_problems(name, getattr(card, name), limits.LONGEST_LINE)
    for name in ("description", "training_data"):
        yield from _text_problems(name, getattr(card, name), limits.LONGEST_TEXT)
    for name in ("authors", "reproduce", "links"):
        if len(getattr(card, name)) > limits.MOST_ITEMS:
            yield f"{name}: has more than {limits.MOST_ITEMS} items"
    if not card.authors:
        yield "authors: expected at least one"
    for index, author in enumerate(card.authors):
        yield from _text_problems(f"authors[{index}]", author, limits.LONGEST_LINE)
    for index, command in enumerate(card.reproduce):
        yield from _text_problems(f"reproduce[{index}]", command, limits.LONGEST_TEXT)
    for label, address in card.links.items():
        yield from _text_problems("links", label, limits.LONGEST_LINE)
        if not is_web_address(address):
            yield f"links.{label}: expected an address like https://example.org, found {address[:60]!r}"
    if card.contact is not None:
        yield from _text_problems("contact", card.contact, limits.LONGEST_LINE)
    for name in ("parameters", "tokens_per_step"):
        count = getattr(card, name)
        if count is not None and not 1 <= count <= 10**15:
            yield f"{name}: expected a positive count, or null if unknown, found {count}"
    if not _is_date(card.date):
        yield f"date: expected a day like 2026-11-26, found {card.date[:60]!r}"


def _text_problems(field: str, text: str, longest: int) -> Iterator[str]:
    if not text.strip():
        yield f"{field}: is empty"
    if len(text) > longest:
        yield f"{field}: has {len(text)} characters, more than {longest}"
    if not all(char.isprintable() for char in text):
        yield f"{field}: has line breaks or unprintable characters"


def is_web_address(text: str) -> bool:
    """Return whether `text` is a safe link: http(s), a host, no user name and no unusual characters."""
    if len(text) > limits.LONGEST_LINK or not re.fullmatch(r"[!-~]+", text) or re.search(r"[\"'<>\\`]", text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
    except ValueError:
        return False


def _is_date(text: str) -> bool:
    if not _DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True

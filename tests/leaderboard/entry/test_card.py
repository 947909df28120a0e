"""Model cards: they read back, and each wrong field is named with what was expected."""

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.entry.card import Card, decode_card, is_web_address, read_card
from leaderboard.site.pages import EXAMPLE_CARD
from loopcraft.core.decoding import SchemaError
from loopcraft.core.errors import UserError
from tests.fakes.entries import make_card, write_card
from tests.fakes.json_mutants import mutants


def document(card: Card | None = None) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(card or make_card())))
    return fields


def test_a_card_reads_back(tmp_path: Path) -> None:
    write_card(tmp_path / "card.json", make_card())
    assert read_card(tmp_path / "card.json") == make_card()


def test_the_example_on_the_page_is_a_card() -> None:
    assert decode_card(json.loads(EXAMPLE_CARD)).name == "Rememberer"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "", "name: is empty"),
        ("name", "x" * 1_000_000, "name: has 1000000 characters"),
        ("name", "a\nb", "name: has line breaks"),
        ("name", "\u202ename", "name: has line breaks or unprintable characters"),
        ("authors", [], "authors: expected at least one"),
        ("authors", ["x"] * 41, "authors: has more than 40"),
        ("date", "26.11.2026", "date: expected a day like 2026-11-26"),
        ("date", "2026-02-30", "date: expected a day"),
        ("parameters", -1, "parameters: expected a positive count"),
        ("parameters", "4M", "parameters: expected an integer"),
        ("links", {"paper": "javascript:alert(1)"}, "links.paper: expected an address like https://"),
        ("links", {"paper": "https://user@evil.example/"}, "links.paper"),
        ("links", {"paper": "data:text/html,x"}, "links.paper"),
        ("links", {"paper": "//evil.example"}, "links.paper"),
        ("links", {"paper": 'https://a.example/"onmouseover="x'}, "links.paper"),
        ("reproduce", ["a\nb"], "reproduce[0]: has line breaks"),
        ("secret", 1, "secret: unknown field"),
    ],
)
def test_a_wrong_field_is_named(field: str, value: Any, message: str) -> None:
    with pytest.raises(SchemaError) as raised:
        decode_card({**document(), field: value})
    assert message in str(raised.value)


def test_a_file_that_is_too_large_or_no_card_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text(json.dumps({**document(), "description": "x" * 100_000}))
    with pytest.raises(UserError, match="larger than 20000 bytes"):
        read_card(path)
    path.write_text("name: yaml")
    with pytest.raises(UserError, match=r"a model card is JSON: docs/leaderboard.md"):
        read_card(path)


def test_a_damaged_card_raises_only_user_errors(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    for content in mutants(document(), num_bytes=100):
        path.write_bytes(content)
        with contextlib.suppress(UserError):
            read_card(path)


@given(st.text(max_size=60))
def test_only_web_addresses_are_linked(text: str) -> None:
    if is_web_address(text):
        assert text.startswith(("http://", "https://", "HTTP", "Http", "hTTP"))
        assert not set(text) & set("\"'<> \n\t`\\")


@pytest.mark.parametrize("text", ["https://arxiv.org/abs/2606.09056", "http://example.org:8080/a?b=c&d#e"])
def test_usual_addresses_are_links(text: str) -> None:
    assert is_web_address(text)

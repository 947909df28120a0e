"""The leaderboard's page in the docs agrees with the code."""

import re
from pathlib import Path

from leaderboard.entry.card import decode_card
from leaderboard.site.pages import EXAMPLE_CARD
from loopcraft.core.files import parse_json
from loopcraft.test_sets.known import all_test_sets

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "leaderboard.md").read_text()


def test_its_card_matches_the_sites() -> None:
    match = re.search(r"<!-- card -->\n```json\n(.*?)\n```", PAGE, re.DOTALL)
    assert match is not None
    assert match[1] == EXAMPLE_CARD
    assert decode_card(parse_json(match[1].encode(), "the page")).name == "Rememberer"


def test_its_table_has_every_test_set() -> None:
    for test_set in all_test_sets():
        lines = [line for line in PAGE.splitlines() if line.startswith("|")]
        (line,) = [line for line in lines if f"`{test_set.name}`" in line]
        words = "not pinned yet" if test_set.fingerprint is None else test_set.fingerprint[:12]
        assert words in line
        assert f"{test_set.num_episodes} of {test_set.num_frames} frames" in line

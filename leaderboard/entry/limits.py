"""Size limits of an entry and its parts, generous enough for any honest entry."""

MOST_RESULT_BYTES = 8_000_000
"""1000 videos with a dozen metrics take 2 MB."""
MOST_CARD_BYTES = 20_000
MOST_VIDEO_BYTES = 150_000
MOST_VIDEOS = 4
LONGEST_LINE = 200
"""Characters in a card's short texts, such as names and licences."""
LONGEST_TEXT = 2_000
"""Characters in a card's longer texts: description, training data, commands."""
LONGEST_LINK = 500
MOST_ITEMS = 40
"""Largest number of authors, links or commands in a card."""

"""How large an entry and its parts may be: limits that no honest entry meets."""

MOST_RESULT_BYTES = 8_000_000
"""1000 videos with a dozen metrics take two."""
MOST_CARD_BYTES = 20_000
MOST_VIDEO_BYTES = 150_000
MOST_VIDEOS = 4
LONGEST_LINE = 200
"""Characters of a card's short texts: names, commands, licences."""
LONGEST_TEXT = 2_000
LONGEST_LINK = 500
MOST_ITEMS = 40
"""Authors, links and commands of a card."""

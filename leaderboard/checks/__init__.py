"""Checks of an entry's numbers: recomputed from its per-video values and compared with references."""

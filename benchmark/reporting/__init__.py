"""Results to look at: curves, videos, strips, tables of recall."""

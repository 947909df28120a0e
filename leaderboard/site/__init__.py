"""The static site: a pure function of entries and scenes that needs no server."""

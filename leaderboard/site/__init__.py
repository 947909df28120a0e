"""The static site: a pure function of entries and scenes, which asks nothing of any server."""

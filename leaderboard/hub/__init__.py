"""Proposing entries to a Hub repository and publishing the site as a static Space."""

"""Entries proposed to a repository at the Hub, and the site as a static Space there."""

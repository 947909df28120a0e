"""The checker of golden vectors: `python -m tests.golden DIR [--fast]`."""

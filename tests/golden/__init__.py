"""Check the models against golden vectors: `python -m tests.golden DIR [--fast]`."""

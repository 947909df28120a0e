"""What outsiders' models and damaged files do to the product, tried many times: `python -m tests.drills`."""

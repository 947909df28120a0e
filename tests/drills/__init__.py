"""Drills with outsiders' models, damaged files and faults: `python -m tests.drills.NAME`."""

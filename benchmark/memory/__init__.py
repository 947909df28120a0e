"""Measures of memory in frames: pixels by what the context showed, loops, faces seen again, steering."""

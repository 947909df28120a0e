"""Drawing primitives: a canvas with one font and palette, grids of frames, walks seen from above."""

"""What pictures share: a canvas with one font and one set of colours, grids of frames, walks from above."""

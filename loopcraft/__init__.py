"""Loopcraft: videos whose agent keeps coming back, to test the memory of video world models."""

from loopcraft.environments import make_known

make_known()

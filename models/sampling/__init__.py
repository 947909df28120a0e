"""Sampling: the noise schedule, the solvers and the rollout of a plan."""

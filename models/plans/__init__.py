"""Rollout plans: the tokens that a network reads and denoises in every step."""

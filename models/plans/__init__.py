"""Rollout plans: which tokens a network reads and which it denoises in every step."""

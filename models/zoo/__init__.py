"""The model registry: presets, weights, and models that implement the benchmark's RolloutModel."""

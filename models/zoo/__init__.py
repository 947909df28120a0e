"""The models by name: presets, their weights, and all of it as the benchmark's RolloutModel."""

"""From noise to latents: the noise schedule, solvers, and rollout of a plan."""

"""A run: rollouts, scores of every video, aggregation, one result."""

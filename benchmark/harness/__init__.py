"""One run: rollouts, scores per video, aggregation, the result."""

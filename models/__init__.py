"""Reference models: MilliVid, its baselines and its ablations."""

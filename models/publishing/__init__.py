"""Publishing of checkpoints with a model card on the Hub."""

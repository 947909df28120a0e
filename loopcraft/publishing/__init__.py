"""Publishing of a data set on the Hub: shards, commits and the card."""

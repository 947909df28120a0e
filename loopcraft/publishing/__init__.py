"""A data set as shards, commits and a card on the Hub."""

"""Whether an entry's numbers can be true: made again from its videos' values, and held against references."""

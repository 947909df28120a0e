"""What the site's player shows: clips of runs, and of a test set the truth, its recall masks and maps."""

"""Content of the site's player: clips of runs, and a test set's true frames, recall masks and maps."""

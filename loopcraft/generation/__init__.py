"""Generation of a data set: from a recipe to finished episodes, in parallel workers."""

"""What is asked of a model and of a data set: protocols, interfaces, precision."""

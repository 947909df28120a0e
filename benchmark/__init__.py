"""The benchmark: a data set and a model in, one result file and a report out."""

"""The pretrained networks of the metrics as files: fetched once, checked, offline."""

"""The metrics' pretrained networks as files: fetched once, verified, usable offline."""

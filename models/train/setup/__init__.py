"""From flags to all that a run needs, with every mistake found before it starts."""

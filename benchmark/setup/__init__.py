"""From the flags of a run to an evaluation made ready, with every mistake found before it starts."""

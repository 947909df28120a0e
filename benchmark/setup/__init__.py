"""From the flags of a run to an evaluation made ready, here and in every worker, and to its result."""

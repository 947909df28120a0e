"""From the flags of a run to its evaluation, in this process or in workers, and its result."""

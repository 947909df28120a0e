"""The clauses of the model contract, tried on made-up videos, and models of known memory."""

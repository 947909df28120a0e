"""Processes of their own for code that is not trusted to end well, and the messages to and fro."""

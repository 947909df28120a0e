"""Separate processes for code that may crash, hang or exhaust memory, and the messages between them."""

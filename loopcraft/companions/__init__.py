"""Processes of their own for code that may crash, hang or fill the memory, and the messages between them."""

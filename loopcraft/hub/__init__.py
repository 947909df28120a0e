"""The Hugging Face Hub through its own client, and what it raises as sentences."""

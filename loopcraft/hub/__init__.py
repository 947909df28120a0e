"""Access to the Hugging Face Hub through its own client, with errors of one sentence."""

"""Frame-exact H.264 encoding and decoding."""

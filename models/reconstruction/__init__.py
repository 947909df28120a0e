"""What autoencoders give back of frames: scores and pictures."""

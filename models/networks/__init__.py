"""The networks: tokens, layers, autoencoder and video denoisers."""

"""The networks: tokens, layers, autoencoder, video denoisers."""

"""Scores and pictures of autoencoder reconstructions."""

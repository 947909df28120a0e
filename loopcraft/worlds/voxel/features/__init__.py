"""Features of the ground: trees, plants, landmarks, ponds."""

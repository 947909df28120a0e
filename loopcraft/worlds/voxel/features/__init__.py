"""What grows and stands on the ground: trees, plants, landmarks, ponds."""

"""The block worlds as Gymnasium environments."""

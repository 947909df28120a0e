"""The ground: biomes as data, columns of the world, the volume they fill."""

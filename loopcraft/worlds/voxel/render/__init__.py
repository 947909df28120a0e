"""Rendering of a region to a frame: fields, light, scene, tracing, shading, sky."""

"""An entry: the folder of a result, its model card and a few short videos, read without trusting any of it."""

"""An entry: the folder of a result, its model card and a few short videos, not trusted."""

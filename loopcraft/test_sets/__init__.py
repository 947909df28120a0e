"""The canonical test sets: named recipes and the fingerprints of the data sets they make."""

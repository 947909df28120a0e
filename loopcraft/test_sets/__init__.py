"""The canonical test sets: recipes by name, and the fingerprint of what each makes."""

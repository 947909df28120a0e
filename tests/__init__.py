"""The tests, in a folder per package; fakes/, references/ and golden/ support them."""

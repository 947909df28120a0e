"""The tests, in the rooms' own folders; fakes/, references/ and golden/ are what they lean on."""

"""Entries: untrusted folders with a result, its model card and a few short videos."""

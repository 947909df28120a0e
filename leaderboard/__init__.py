"""Comparison of benchmark results."""

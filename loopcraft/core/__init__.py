"""Shared foundations: errors, command line, atomic file writes, URLs, seeding, devices, kernels."""

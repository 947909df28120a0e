"""What every room stands on: errors, commands, whole files, seeds, devices, kernels."""

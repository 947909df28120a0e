"""What every room stands on: errors, commands, whole files, addresses, seeds, devices, kernels."""

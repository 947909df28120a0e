"""What every room stands on: errors, commands, whole files, addresses of object stores, seeds, devices, kernels."""

"""Setup of a training run from its flags; all mistakes are found before the run starts."""

"""What frames tell of memory: kinds of pixels by what was shown, loops, faces seen again, steering."""

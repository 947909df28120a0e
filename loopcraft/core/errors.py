"""The error that a user can mend."""


class UserError(ValueError):
    """A mistake that the user can mend: the message names the path, the value and the remedy."""

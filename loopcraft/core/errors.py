"""The errors that a user can mend."""


class UserError(ValueError):
    """A mistake that the user can mend: the message names the path, the value and the remedy."""


class UserCodeError(UserError):
    """The user's own code failed: a command shows `details`, its traceback, above the message."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message, details)  # both: so it pickles
        self.details = details

    def __str__(self) -> str:
        return str(self.args[0])

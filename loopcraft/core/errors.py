"""Errors that the user can fix."""


class UserError(ValueError):
    """An error that the user can fix: the message gives the path, the value and the remedy."""


class UserCodeError(UserError):
    """Raised when the user's own code fails; commands print `details`, its traceback, above the message."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message, details)  # both, so that it pickles
        self.details = details

    def __str__(self) -> str:
        return str(self.args[0])

"""The one error that a user is meant to read: what was expected, what was got, and the remedy, in one line."""


class UserError(Exception):
    """Wrong input, settings or files. Entry points print the message alone and leave with exit code 2."""

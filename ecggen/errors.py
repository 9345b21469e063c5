"""What a user is meant to read: faults in one line (expected, got, remedy), and the news of an interruption."""


class UserError(Exception):
    """Wrong input, settings or files. Entry points print the message alone and leave with exit code 2."""


class OutOfReach(UserError):  # noqa: N818  as it is said
    """A place cannot be read or written just now: a full disk, a lost share. What was to be kept there is sound."""


class Interrupted(Exception):  # noqa: N818  an order to stop is not an error
    """Training was asked to stop from outside (Ctrl-C); its state is saved if it has a folder."""

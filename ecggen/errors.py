"""What a user is meant to read: faults in one line (expected, got, remedy), and the news of an interruption."""

MOST_SHOWN = 1000  # characters


def one_line(text: str) -> str:
    """Text of strangers (names, cells, paths) as one line that a terminal shows and does not obey.

    What cannot be printed is written as an escape, and the middle of a very long text is left out.
    """
    line = " ".join(text.split())
    if not line.isprintable():
        line = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line)
    return line if len(line) <= MOST_SHOWN else f"{line[: MOST_SHOWN // 2]} ... {line[-MOST_SHOWN // 2 + 5 :]}"


class UserError(Exception):
    """Wrong input, settings or files. Entry points print the message alone and leave with exit code 2."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class OutOfReach(UserError):  # noqa: N818  as it is said
    """A place cannot be read or written just now: a full disk, a lost share. What was to be kept there is sound."""


class Interrupted(Exception):  # noqa: N818  an order to stop is not an error
    """Training was asked to stop from outside (Ctrl-C); its state is saved if it has a folder."""

"""The command line's own faults in the words of all others: one line with expected, got, remedy, and exit code 2."""

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from ecggen.errors import one_line

EXIT_FAULT, EXIT_INTERRUPTED = 2, 130
_CHOICE = re.compile(r"argument (?P<name>\S+?): invalid choice: (?P<got>.+?) \(choose from (?P<allowed>.+)\)")
_KIND = re.compile(r"argument (?P<name>\S+?): invalid (?P<kind>\w+) value: (?P<got>.+)")
_NONE = re.compile(r"argument (?P<name>\S+?): expected (?P<count>.+?) arguments?$")
_UNKNOWN = re.compile(r"unrecognized arguments: (?P<got>.+)")
_KINDS = {"int": "a whole number", "float": "a number"}


def fault_line(fault: Exception) -> str:
    """A fault that ends a command, in one line; one of the system's gets its place and a remedy."""
    if not isinstance(fault, OSError):
        return f"error: {fault}"
    if isinstance(fault, BrokenPipeError):  # `| head` has seen enough
        return "error: expected a reader of all that is printed, got one that left; write it to a file instead"
    place = f"{fault.filename}: " if fault.filename else ""
    reason = fault.strerror or str(fault)
    return one_line(f"error: {place}expected to read and write, got: {reason}; free space or check the place's rights")


class Parser(argparse.ArgumentParser):
    """argparse, whose faults are one line; help keeps the examples' layout."""

    def __init__(self, description: str, usage: str, epilog: str) -> None:
        super().__init__(
            description=description, usage=usage, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
        )

    def error(self, message: str) -> NoReturn:
        """Leave with one line."""
        options = [name for action in self._actions for name in action.option_strings if name.startswith("--")]
        self.exit(EXIT_FAULT, f"error: {one_line(in_our_words(message, options))}\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse has it; but before Python 3.13 it loses a value that is `--` itself, and goes on without."""
        for word in sys.argv[1:] if args is None else args:
            if re.fullmatch(r"--[\w-]+=--", word):
                self.error(f"argument {word[:-3]}: expected one argument")
        return super().parse_known_args(args, namespace)


def in_our_words(message: str, options: Iterable[str]) -> str:
    """What argparse has to say, with what was expected, what was got, and the remedy.

    Args:
        message: argparse's.
        options: all there are, for the nearest one.
    """
    if found := _CHOICE.match(message):
        allowed = [word.strip().strip("'") for word in found["allowed"].split(",")]
        got = found["got"].strip("'")
        near = nearest(got, allowed)
        return f"{found['name']}: expected one of {', '.join(allowed)}, got {got!r}; {near or 'choose one of them'}"
    if found := _KIND.match(message):
        return f"{found['name']}: expected {_KINDS.get(found['kind'], found['kind'])}, got {found['got']}; correct it"
    if found := _NONE.match(message):
        return f"{found['name']}: expected {found['count']} value after it, got none; --help shows what it takes"
    if found := _UNKNOWN.match(message):
        word = found["got"].split()[0]
        near = nearest(word.partition("=")[0], options)
        return f"{word}: expected an option, got an unknown one; {near or '--help shows all'}"
    return f"{message.removeprefix('argument ')}; --help shows all options"


def nearest(word: str, allowed: Iterable[str]) -> str:
    """`did you mean x?` with the nearest allowed word, or nothing where none is near."""
    near = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else ""


def whole_number(least: int) -> Callable[[str], int]:
    """For argparse: text -> a whole number from `least` on."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[+-]?\d{1,18}", text.strip()) or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} on, got {text!r}")
        return int(text)

    return read


def number(least: float, above: bool = False) -> Callable[[str], float]:
    """For argparse: text -> a finite number from `least` on, or above it."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not (least < value < float("inf") or (value == least and not above)):
            raise argparse.ArgumentTypeError(
                f"expected a number {'above' if above else 'from'} {least:g}{'' if above else ' on'}, got {text!r}"
            )
        return value

    return read

"""Faults on the command line are one line with the nearest right word, and exit code 2."""

import argparse

import pytest

from ecggen.commandline import Parser, fault_line, number, whole_number


def parser():
    p = Parser("what it does", "prog [options]", "examples:\n  prog --mode train   train")
    p.add_argument("--mode", choices=("train", "eval"))
    p.add_argument("--steps", type=int)
    p.add_argument("--trials", type=whole_number(1))
    p.add_argument("--share", type=number(0.0))
    p.add_argument("--limit", type=number(0.0, above=True))
    return p


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--mode", "trian"], "--mode: expected one of train, eval, got 'trian'; did you mean train?"),
        (["--mode", "zzz"], "--mode: expected one of train, eval, got 'zzz'; choose one of them"),
        (["--steps", "ten"], "--steps: expected a whole number, got 'ten'; correct it"),
        (["--trials", "0"], "--trials: expected a whole number from 1 on, got '0'; --help shows all options"),
        (["--trials", "2.5"], "--trials: expected a whole number from 1 on, got '2.5'; --help shows all options"),
        (["--share", "nan"], "--share: expected a number from 0 on, got 'nan'; --help shows all options"),
        (["--limit", "0"], "--limit: expected a number above 0, got '0'; --help shows all options"),
        (["--mode"], "--mode: expected one value after it, got none; --help shows what it takes"),
        (["--stepps", "5"], "--stepps: expected an option, got an unknown one; did you mean --steps?"),
        (["--stepps=5"], "--stepps=5: expected an option, got an unknown one; did you mean --steps?"),
        (["somewhere"], "somewhere: expected an option, got an unknown one; --help shows all"),
    ],
)
def test_a_fault_is_one_line(capsys, words, said):
    with pytest.raises(SystemExit) as stopped:
        parser().parse_args(words)
    assert stopped.value.code == 2
    assert capsys.readouterr() == ("", f"error: {said}\n")


def test_good_words_are_read():
    read = parser().parse_args(["--trials", "3", "--share", "0", "--limit", "0.5", "--mode", "eval"])
    assert read == argparse.Namespace(mode="eval", steps=None, trials=3, share=0.0, limit=0.5)


def test_help_keeps_the_examples_as_they_are_written(capsys):
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"])
    assert "\nexamples:\n  prog --mode train   train\n" in capsys.readouterr().out


def test_a_reader_that_leaves_is_not_a_disk_that_is_full():
    assert "got one that left" in fault_line(BrokenPipeError(32, "Broken pipe"))
    assert "free space" in fault_line(OSError(28, "No space left on device", "results/a"))

"""`train(run, report)`: settings in, a trained model and numbers out. Knows data and models together.

What a step sees (its records, the leads it shows, the shift of the beat windows, dropout) is a function of the seed and
the step alone. A run that is stopped and resumed therefore needs no state of any random generator to go on as if
nothing had happened.
"""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ecggen.acceleration import (
    compile_model,
    half_precision,
    keep_signals_near,
    resolve_device,
    resolve_threads,
)
from ecggen.checkpoint import load_training, save_training
from ecggen.config import RunConfig
from ecggen.curriculum import records_of_step, shown_leads
from ecggen.data.beats import Span
from ecggen.data.pipeline import ECGDataset
from ecggen.errors import Interrupted, UserError
from ecggen.eval import validate
from ecggen.losses import loss_terms, total_loss
from ecggen.memory import lacks_memory, room_for
from ecggen.models.ecggen import ECGGenModel
from ecggen.optimizer import learning_rate, make_optimizer, running_mean
from ecggen.progress import TrainingBar

Report = Callable[[int, dict[str, float]], bool | None]

CHOOSES = "val_hidden_r"  # the metric of the best checkpoint; `val_r` stands in where no precordial is hidden
# Streams of random numbers that must not be one another's.
SHOW, DROPOUT = 1, 2  # `curriculum` has the one of the order of records


@dataclass
class RunResult:
    """What a training gives back.

    Attributes:
        model: with the weights of the best validation.
        history: one row a report: step, seconds, train_loss, val_*.
        best: the row of the best validation, empty where nothing could be validated.
        step: optimizer steps done.
        stopped: True where `report` asked for it.
    """

    model: ECGGenModel
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, float] = field(default_factory=dict)
    step: int = 0
    stopped: bool = False


def train(
    run: RunConfig, report: Report | None = None, folder: Path | None = None, resume: bool = False, quiet: bool = False
) -> RunResult:
    """Train one model.

    Args:
        run: all settings.
        report: called after each validation with the step and its metrics; True stops the training.
        folder: where the state of the unfinished training is kept; None keeps none.
        resume: go on from the state in `folder`, if there is one.
        quiet: no progress bar.

    Returns:
        the model with the weights of its best validation, and the learning curve.

    Raises:
        UserError: for a missing source, an empty training split, too little memory, or a loss or gradient that is not
            finite.
        Interrupted: after Ctrl-C, once the running step is done and saved.
    """
    torch.set_num_threads(resolve_threads(run.train.threads))
    what = f"steps of {run.train.batch_size} records on {resolve_device(run.train.device).type}"
    with room_for(what, "lower train.batch_size, or free memory and carry on"):
        trainer = Trainer(run, folder)
        if resume and folder is not None:
            trainer.restore(load_training(folder))
        with TrainingBar(run.train.steps, trainer.step, CHOOSES, quiet) as bar, _interrupt_flag() as interrupted:
            stopped = trainer.loop(report, bar, interrupted)
    return trainer.result(stopped)


class Trainer:
    """A training under way: model, optimizer, learning curve and the best weights so far."""

    def __init__(self, run: RunConfig, folder: Path | None) -> None:
        self.run, self.cfg, self.folder = run, run.train, folder
        self.device = resolve_device(run.train.device)
        self.train_set, self.val_set = ECGDataset(run, "train"), ECGDataset(run, "val")
        if len(self.train_set) == 0:
            raise UserError(
                f"split train: expected records, got none of {len(self.train_set.store)}; "
                "add records or set data.train_folds"
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.train.seed)
            self.model = ECGGenModel(run.model).to(self.device)
        self.optimizer = make_optimizer(self.model, run.train)
        self.mean = None
        if run.train.average > 0:
            self.mean = AveragedModel(self.model, avg_fn=running_mean(run.train.average))
        if run.train.compile:
            compile_model(self.model)
        keep_signals_near(self.train_set, self.device)
        self.step, self.seconds = 0, 0.0
        self.losses: list[float] = []  # since the last validation
        self.history: list[dict[str, float]] = []
        self.best: dict[str, float] = {}
        self.best_weights: dict[str, Tensor] = {}

    def loop(self, report: Report | None, bar: TrainingBar, interrupted: threading.Event) -> bool:
        """Steps until the budget is spent, or `report` asks to stop (then True)."""
        while self.step < self.cfg.steps:
            started = time.monotonic()
            self.losses.append(self.train_step())
            self.step += 1
            bar.advance(self.losses[-1], self.history[-1] if self.history else {}, self.best)
            due = self.step % self.cfg.validate_every == 0 or self.step == self.cfg.steps
            row = self.judge() if due else {}
            self.seconds += time.monotonic() - started
            if due or interrupted.is_set():
                self.save()
                if interrupted.is_set():
                    raise Interrupted(f"interrupted at step {self.step} of {self.cfg.steps}")
                if row and report is not None and report(self.step, row):
                    return True
        return False

    def train_step(self) -> float:
        """One optimizer step; the loss. Raises UserError where it or its gradient is not finite."""
        cfg = self.cfg
        batch = self.train_set.batch(records_of_step(cfg, self.step, len(self.train_set)))
        rng = np.random.default_rng((cfg.seed, SHOW, self.step))
        lead_present = batch["lead_mask"]
        shown = shown_leads(cfg, rng, lead_present).to(self.device)
        boundaries = self._boundaries(batch, rng)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(cfg, self.step)
        torch.manual_seed(int(np.random.SeedSequence((cfg.seed, DROPOUT, self.step)).generate_state(1)[0]))
        self.model.train()
        with half_precision(self.device, cfg.precision):
            out = self.model.forward_gen(batch["ecg"].to(self.device), shown, boundaries)
        state = self.model.ttt.state
        terms = loss_terms(
            out,
            lead_present.to(self.device),
            self.model.projection,
            state.prior,
            self.run.model.ttt.chunk_size,
            cfg.robust,
        )
        loss = total_loss(terms, cfg.loss)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise UserError(
                f"loss: expected a finite number, got {value} at step {self.step + 1}; lower train.lr or train.clip"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), cfg.clip))
        # A norm that overflows clips everything to zero; a number that is none would stay in the weights for ever.
        if not math.isfinite(norm) and not all(_is_finite(weight.grad) for weight in self.model.parameters()):
            raise UserError(
                f"gradient: expected finite numbers, got others at step {self.step + 1}; lower train.lr or train.clip"
            )
        self.optimizer.step()
        if self.mean is not None:
            self.mean.update_parameters(self.model)
        return value

    def _boundaries(self, batch: dict[str, Any], rng: np.random.Generator) -> list[list[Span]]:
        """Beat windows from the cached R peaks: some neighbouring beats of each record, shifted a little.

        At test time the beats are found on the shown leads alone and lie a few milliseconds elsewhere. Few beats are
        enough to learn how one is read, and a step costs as much as its record with most beats.
        """
        tokenizer, samples = self.model.tokenizer, batch["ecg"].shape[-1]
        shift = np.rint(rng.normal(0, self.cfg.boundary_jitter * tokenizer.fs, len(batch["r_peaks"]))).astype(int)
        peaks = [p + int(s) for p, s in zip(batch["r_peaks"], shift, strict=True)]
        return [
            _neighbours(spans, self.cfg.max_beats, rng) for spans in tokenizer.boundaries_from_peaks(peaks, samples)
        ]

    def judge(self) -> dict[str, float]:
        """Validate, keep the weights if they are the best so far, and write the row of the learning curve."""
        judged = self.model if self.mean is None else cast(ECGGenModel, self.mean.module)
        metrics = validate(judged, self.val_set, self.cfg.validate_records, self.device)
        loss = float(np.mean(self.losses))
        row = {"step": float(self.step), "seconds": round(self.seconds, 3), "train_loss": loss, **metrics}
        self.losses = []
        self.history.append(row)
        if not self.best or score(row) > score(self.best) or not math.isfinite(score(self.best)):
            self.best = row
            self.best_weights = {name: value.detach().cpu().clone() for name, value in judged.state_dict().items()}
        return row

    def save(self) -> None:
        """Keep the state of the unfinished training, if there is a folder for it."""
        if self.folder is None:
            return
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "mean": None if self.mean is None else self.mean.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "losses": self.losses,
            "history": self.history,
            "best": self.best,
            "best_weights": self.best_weights,
        }
        save_training(self.folder, state)

    def restore(self, state: dict[str, Any] | None) -> None:
        """Go on from a saved state; nothing where there is none. Raises UserError where it is of another model."""
        if state is None:
            return
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.mean is not None:
                self.mean.load_state_dict(state["mean"])
            self.step, self.seconds = int(state["step"]), float(state["seconds"])
            self.losses, self.history = state["losses"], state["history"]
            self.best, self.best_weights = state["best"], state["best_weights"]
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            if lacks_memory(error):
                raise
            reason = str(error).splitlines()[0]
            raise UserError(
                f"training state in {self.folder}: expected one of this model, got another "
                f"({reason}); use --force to train anew"
            ) from None

    def result(self, stopped: bool) -> RunResult:
        """The model with its best weights, and the learning curve."""
        if self.best_weights:
            self.model.load_state_dict(self.best_weights)
        return RunResult(self.model.eval(), self.history, self.best, self.step, stopped)


def _is_finite(gradient: Tensor | None) -> bool:
    return gradient is None or bool(gradient.isfinite().all())


def score(row: dict[str, float]) -> float:
    """What the best checkpoint is chosen by."""
    value = row.get(CHOOSES, math.nan)
    return value if math.isfinite(value) else row.get("val_r", math.nan)


def _neighbours(spans: list[Span], most: int, rng: np.random.Generator) -> list[Span]:
    """At most `most` neighbouring windows, the first one drawn; all of them with 0."""
    first = int(rng.integers(0, max(1, len(spans) - most + 1)))
    return spans[first : first + most] if most else spans


@contextmanager
def _interrupt_flag() -> Iterator[threading.Event]:
    """The first Ctrl-C lets the running step finish, a second one ends the process at once."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    before = signal.getsignal(signal.SIGINT)

    def ask_to_stop(*_: object) -> None:
        flag.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask_to_stop)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, before)

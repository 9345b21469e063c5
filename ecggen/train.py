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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ecggen.acceleration import (
    compiled,
    half_precision,
    keep_signals_near,
    resolve_device,
    resolve_threads,
)
from ecggen.checkpoint import load_training, save_training
from ecggen.config import RunConfig
from ecggen.curriculum import DROPOUT, Scene, scene_of_step
from ecggen.data.beats import BeatWindows
from ecggen.data.pipeline import ECGDataset
from ecggen.errors import Interrupted, UserError
from ecggen.eval import validate
from ecggen.losses import loss_terms, total_loss
from ecggen.memory import lacks_memory, room_for
from ecggen.models.ecggen import ECGGenModel
from ecggen.optimizer import RunningMean, learning_rate, make_optimizer
from ecggen.progress import TrainingBar

Report = Callable[[int, dict[str, float]], bool | None]

CHOOSES = "val_hidden_r"  # the metric of the best checkpoint; `val_r` stands in where no precordial is hidden
SIZES = 8  # beats: a compiled step has a multiple of these, or as many as it may see at most


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
            self.mean = RunningMean(self.model, run.train.average)
        self.loss_of: Callable[..., Tensor] = compiled(self._loss, self.device) if run.train.compile else self._loss
        self.ahead: Scene | None = None
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
        scene = self._scene(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(cfg, self.step)
        torch.manual_seed(int(np.random.SeedSequence((cfg.seed, DROPOUT, self.step)).generate_state(1)[0]))
        self.model.train()
        loss, norm = self._gradients(scene)
        self.ahead = self._scene(self.step + 1) if self.step + 1 < cfg.steps else None  # while a GPU computes
        value, length = torch.stack([loss, norm]).cpu().tolist()  # the one time that a step waits for it
        if not math.isfinite(value):
            raise UserError(
                f"loss: expected a finite number, got {value} at step {self.step + 1}; lower train.lr or train.clip"
            )
        # A norm that overflows clips everything to zero; a number that is none would stay in the weights for ever.
        if not math.isfinite(length) and not all(_is_finite(weight.grad) for weight in self.model.parameters()):
            raise UserError(
                f"gradient: expected finite numbers, got others at step {self.step + 1}; lower train.lr or train.clip"
            )
        self.optimizer.step()
        if self.mean is not None:
            self.mean.update(self.model)
        return value

    def _scene(self, step: int) -> Scene:
        """What a step sees, where it was not laid out ahead."""
        if self.ahead is not None and self.ahead.step == step:
            return self.ahead
        return scene_of_step(self.cfg, step, self.train_set, self.model.tokenizer)

    def _gradients(self, scene: Scene) -> tuple[Tensor, Tensor]:
        """The loss, and the norm of its gradient, which is clipped and left with the weights. No GPU is waited for."""
        if self.cfg.compile:
            scene = replace(scene, windows=self._one_of_few_sizes(scene.windows))
        scene = scene.to(self.device)
        self.optimizer.zero_grad(set_to_none=True)  # before all else: a CUDA graph that is replayed writes over them
        loss = self.loss_of(scene.ecg, scene.lead_present, scene.shown, scene.windows)
        loss.backward()
        return loss.detach(), nn.utils.clip_grad_norm_(self.model.parameters(), self.cfg.clip)

    def _one_of_few_sizes(self, windows: BeatWindows) -> BeatWindows:
        """Padded, so that few shapes are compiled, each by itself."""
        beats = -(-windows.mask.shape[1] // SIZES) * SIZES
        return windows.padded(min(beats, self.cfg.max_beats or beats))

    def _loss(self, ecg: Tensor, lead_present: Tensor, shown: Tensor, windows: BeatWindows) -> Tensor:
        """The outer loss of what a step sees, see `Scene`."""
        cfg, model = self.cfg, self.model
        with half_precision(self.device, cfg.precision):
            out = model.forward_gen(ecg, shown, windows)
        prior, chunk = model.ttt.state.prior, self.run.model.ttt.chunk_size
        return total_loss(loss_terms(out, lead_present, model.projection, prior, chunk, cfg.robust), cfg.loss)

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

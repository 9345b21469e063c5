"""`ECGGenModel`: the only file that assembles its siblings.

    ecg -> ECGTokenizer -> TokenEncoder -> TTTUpdater -> W -> VCGGenerator -> V -> LeadProjection (+ ResidualHead)
           |________ estimation __________________|        |______________ rendering ________________________|

Letters: see `shapes`: B records, L leads, T samples, N beats, C chunks, D state size, K basis curves, T' = beat_len.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ecggen.config import ModelConfig
from ecggen.data.tokenizer import Boundaries, ECGTokenizer
from ecggen.models.blocks import LeadProjection, ResidualHead, TokenEncoder
from ecggen.models.estimators import build_estimator
from ecggen.models.heads import HEAD_KINDS
from ecggen.models.states import build_fast_state
from ecggen.models.vcg import VCGGenerator


def full_precision(like: Tensor) -> torch.autocast:
    """Where a caller computes in half precision, estimation and rendering do not: they live on small differences."""
    return torch.autocast(like.device.type, enabled=False)


class ECGGenModel(nn.Module):
    """From a record to the state of its heart, and back to the twelve leads.

    Role: assembles tokenizer, encoder, estimation and rendering. Holds no loss and no paths.
    Input: `ecg` [B, L, T] mV, preprocessed as `cfg.signal` says; `lead_mask` [B, L] bool, True = shown; optional
        `boundaries` of the beats, else they are found on the shown leads.
    Output: a dict of all intermediate results, see `forward_gen`; `forward_cls` gives logits read from W alone.
    """

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.tokenizer = ECGTokenizer(cfg.tokenizer, cfg.signal.fs)
        self.encoder = TokenEncoder(cfg.encoder, cfg.tokenizer.width, cfg.ttt.chunk_size)
        width = cfg.encoder.d_model
        self.ttt = build_estimator(cfg.ttt, build_fast_state(cfg.fast_state, width), width)
        peak = cfg.tokenizer.before if cfg.tokenizer.segmentation == "rr" else 0.5
        self.vcg = VCGGenerator(cfg.vcg, self.state_size, cfg.tokenizer.beat_len, peak)
        self.projection = LeadProjection(cfg.projection, self.state_size)
        self.residual = ResidualHead(cfg.projection) if cfg.projection.residual else None
        self.head: nn.Module | None = None
        self.classes: tuple[str, ...] = ()
        self.multi_label = False

    @property
    def state_size(self) -> int:
        """D."""
        return self.ttt.state.size

    def attach_head(self, kind: str, classes: Sequence[str], multi_label: bool) -> nn.Module:
        """Give the model a head of one of HEAD_KINDS for these classes; its weights are fitted by the caller."""
        self.head = HEAD_KINDS[kind](self.state_size, len(classes)).to(self.projection.bias.device)
        self.classes, self.multi_label = tuple(classes), multi_label
        return self.head

    def render(self, w: Tensor) -> dict[str, Tensor]:
        """Draw the leads of a state.

        Args:
            w: [..., D].

        Returns:
            `A` [..., 3, K], `V` [..., 3, T'] mV, `E_base`, `residual`, `E_hat` [..., L, T'] mV.
        """
        with full_precision(w):
            a, v = self.vcg(w)
            base = self.projection(v, w)
            if self.residual is None:
                residual = torch.zeros_like(base)
            else:
                residual = self.residual(base.reshape(-1, *base.shape[-2:])).reshape(base.shape)
        return {"A": a, "V": v, "E_base": base, "residual": residual, "E_hat": base + residual}

    def estimate(
        self, ecg: Tensor, lead_mask: Tensor | None = None, boundaries: Boundaries | None = None
    ) -> dict[str, Any]:
        """Find W: the tokens, what the encoder made of them, and the state after each chunk.

        Returns:
            `X` [B, L, N, d], `meta` (see ECGTokenizer), `H` [B, L*N, d_model], `W` [B, D], `W_seq` [B, C, D],
            `proxy` [B, C], `chunk_mask` [B, C] bool, True = the chunk has a real beat.
        """
        x, meta = self.tokenizer(ecg, lead_mask, boundaries)
        h = self.encoder(x, meta["lead_mask"], meta["beat_mask"])
        with full_precision(ecg):
            found = self.ttt(h.to(ecg.dtype), meta["lead_mask"], meta["beat_mask"])
        return {"X": x, "meta": meta, "H": h, **found, "chunk_mask": self._chunk_mask(meta["beat_mask"])}

    def _chunk_mask(self, beat_mask: Tensor) -> Tensor:
        return beat_mask[:, :: self.cfg.ttt.chunk_size]  # beats are packed to the front, so the first one decides

    def forward_gen(
        self, ecg: Tensor, lead_mask: Tensor | None = None, boundaries: Boundaries | None = None
    ) -> dict[str, Any]:
        """Estimate and render.

        Returns:
            All of `estimate`; the rendering of the last W: `A` [B, 3, K], `V` [B, 3, T'], `E_base`, `residual`,
            `E_hat` [B, L, T']; the same of every chunk's W under `<name>_seq` [B, C, ...], zero for chunks of padding;
            `basis` [K, T'].
        """
        out = self.estimate(ecg, lead_mask, boundaries)
        real = out["chunk_mask"]
        drawn = self.render(out["W_seq"])
        # Chunks of padding are drawn too and struck out: that is sooner than to pick the real ones.
        path = {name: value * real[..., None, None] for name, value in drawn.items()}
        every, ends = torch.arange(len(real), device=real.device), real.sum(1) - 1
        last = {name: value[every, ends] for name, value in path.items()}
        path = {f"{name}_seq": value for name, value in path.items()}
        return {**out, **last, **path, "basis": self.vcg.basis}

    def forward_cls(self, ecg: Tensor, lead_mask: Tensor | None = None, boundaries: Boundaries | None = None) -> Tensor:
        """logits [B, Y] from W alone.

        Raises:
            RuntimeError: if no head was fitted; untrained logits would be noise.
        """
        if self.head is None:
            raise RuntimeError(
                "forward_cls: expected a model with a fitted head, got one without; train with train.head=linear on "
                "labelled data, or fit one with ecggen.probe.fit_head"
            )
        logits: Tensor = self.head(self.estimate(ecg, lead_mask, boundaries)["W"])
        return logits

    def forward(
        self, ecg: Tensor, lead_mask: Tensor | None = None, boundaries: Boundaries | None = None
    ) -> dict[str, Any]:
        """`forward_gen`, with `logits` [B, Y] added where a head was fitted."""
        out = self.forward_gen(ecg, lead_mask, boundaries)
        if self.head is not None:
            out["logits"] = self.head(out["W"])
        return out

"""The parts around the state: the encoder that reads tokens, the projection that draws leads, and rotations.

Three words are kept apart: W is the *representation*; finding it is *estimation* (`TokenEncoder` prepares the evidence,
`ttt` does it); drawing leads from it is *rendering* (`LeadProjection`, `ResidualHead`).

Letters: B records, L leads, N beats, d token width, d_model encoder width, T' samples of a rendered beat.
"""

import torch
from torch import Tensor, nn

from ecggen.config import EncoderConfig, ProjectionConfig
from ecggen.leads import LEADS, nominal_directions
from ecggen.models.layers import Depthwise, EncoderLayer

N_LEADS = len(LEADS)


class TokenEncoder(nn.Module):
    """TransformerEncoder over all tokens of a record.

    Role: lets the pictures of one heart speak to each other before they serve as evidence for W. It knows which lead a
        token shows (lead identity) and nothing of when: no position over beats, no modelling of time.
    Input: X [B, L, N, d] tokens; lead_mask [B, L] and beat_mask [B, N] bool, True = token present.
    Output: H [B, L*N, d_model], lead-major (index l*N + n), zero where a token is absent.
    """

    def __init__(self, cfg: EncoderConfig, token_width: int, chunk_size: int) -> None:
        super().__init__()
        self.cfg = cfg
        self.token_width = token_width
        self.chunk_size = chunk_size
        self.inlet = nn.Linear(token_width, cfg.d_model)
        self.lead_identity = nn.Parameter(torch.randn(N_LEADS, cfg.d_model) * 0.1)
        layer = EncoderLayer(cfg)
        # No normalisation at the end: the residual path then carries a token's amplitude, in proportion, into the
        # evidence for W. A normalised token has a direction only, and the millivolts of a tall heart would be lost.
        self.body = nn.TransformerEncoder(layer, cfg.layers, norm=None, enable_nested_tensor=False)

    def forward(self, x: Tensor, lead_mask: Tensor, beat_mask: Tensor) -> Tensor:
        """X [B, L, N, d] -> H [B, L*N, d_model]."""
        b, leads, n, d = x.shape
        assert (leads, d) == (N_LEADS, self.token_width), (
            f"X: expected [B, {N_LEADS}, N, {self.token_width}], got {tuple(x.shape)}"
        )
        assert lead_mask.shape == (b, leads), f"lead_mask: expected [{b}, {leads}], got {tuple(lead_mask.shape)}"
        assert beat_mask.shape == (b, n), f"beat_mask: expected [{b}, {n}], got {tuple(beat_mask.shape)}"
        present = (lead_mask[:, :, None] & beat_mask[:, None, :]).reshape(b, leads * n)
        tokens = (self.inlet(x) + self.lead_identity[:, None]).reshape(b, leads * n, -1)
        beat = torch.arange(leads * n, device=x.device).expand(b, -1) % n
        # How many tokens there are is a question that a GPU would have to be waited for, and a compiler cannot foresee.
        asked = x.device.type == "cpu" and not torch.compiler.is_compiling()
        return self._attend_packed(tokens, present, beat) if asked else self._attend(tokens, present, beat, False)

    def _attend_packed(self, tokens: Tensor, present: Tensor, beat: Tensor) -> Tensor:
        """`_attend` with absent tokens left out of the computation.

        Present ones are packed to the front, which changes nothing (attention knows no order) and costs a third when
        few leads are shown.
        """
        assert bool(present.any(1).all()), "tokens: expected at least one shown lead and one beat in every record"
        b, m, width = tokens.shape
        most = int(present.sum(1).max())
        order = torch.argsort(present.to(torch.uint8), dim=1, descending=True, stable=True)[:, :most]
        index = order[..., None].expand(-1, -1, width)
        kept = present.gather(1, order)
        packed = self._attend(tokens.gather(1, index), kept, beat.gather(1, order), bool(kept.all()))
        return torch.zeros(b, m, width, device=tokens.device, dtype=packed.dtype).scatter(1, index, packed)

    def _attend(self, tokens: Tensor, present: Tensor, beat: Tensor, whole: bool) -> Tensor:
        """Attention over the present tokens; absent ones come out as zero.

        Args:
            tokens: [B, M, d_model].
            present, beat: [B, M] bool, and the index of each token's beat.
            whole: all are known to be present.
        """
        seen = self._seen(present, beat, whole)
        for layer in self.body.layers:
            tokens = layer(tokens, seen)
        return tokens * present[..., None]

    def _seen(self, present: Tensor, beat: Tensor, whole: bool) -> Tensor | None:
        """Which tokens [B, M] of which beats a token sees: those present; for `causal` of its own chunk and earlier.

        Returns:
            bool [B, 1, 1 or M, M], True = seen, or None where that is all of them.
        """
        if self.cfg.attention == "full":
            return None if whole else present[:, None, None]
        chunk = beat // self.chunk_size
        return ((chunk[:, None, :] <= chunk[:, :, None]) & present[:, None])[:, None]


class LeadProjection(nn.Module):
    """A lead is a linear look at the source: E_l = gain_l * <u_l, V> + bias_l with ||u_l|| = 1.

    Role: rendering, last linear step. u_l is a direction in space, not an embedding; gain is the scale of the
        observation (distance, tissue), bias its offset. Geometry is a nuisance: it starts at Dower's lead vectors, and
        leaving them is paid for (`deviation`), so that morphology has to live in V.
        With view `own`, W bends the lead vectors a little. A heart is not a point: a chest electrode sees the wall next
        to it larger than a dipole would show it, and chests differ. One shared geometry makes all hearts rank 3 in the
        same way; a bend leaves every beat rank 3, but lets each heart have its own three. It starts at none, is linear
        in W, and is paid for (`bending`), since bend and V could else trade places.
    Input: V [..., 3, T'] mV; W [..., D] for the view `own`.
    Output: E_base [..., L, T'] mV.
    """

    nominal: Tensor

    def __init__(self, cfg: ProjectionConfig, state_size: int = 0) -> None:
        super().__init__()
        rows = torch.tensor(nominal_directions(), dtype=torch.float32)
        self.register_buffer("nominal", rows)
        learned = cfg.geometry == "free"
        self.lead_vectors = nn.Parameter(rows / rows.norm(dim=1, keepdim=True), requires_grad=learned)
        self.gain = nn.Parameter(rows.norm(dim=1), requires_grad=learned)
        self.bias = nn.Parameter(torch.zeros(len(rows)))
        self.bend: nn.Linear | None = None
        if cfg.view == "own":
            assert state_size > 0, "state_size: expected the size of W for the view `own`, got 0; give it"
            self.bend = nn.Linear(state_size, rows.numel())
            nn.init.zeros_(self.bend.weight)
            nn.init.zeros_(self.bend.bias)

    def matrix(self) -> Tensor:
        """The whole look that all hearts share, gain times direction: [L, 3]."""
        return self.gain[:, None] * nn.functional.normalize(self.lead_vectors, dim=1)

    def bends(self, w: Tensor) -> Tensor:
        """What each heart adds to the shared look: W [..., D] -> [..., L, 3], zero for a shared view."""
        if self.bend is None:
            return torch.zeros(*w.shape[:-1], *self.nominal.shape, dtype=w.dtype, device=w.device)
        added: Tensor = self.bend(w)
        return added.reshape(*w.shape[:-1], *self.nominal.shape)

    def deviation(self) -> Tensor:
        """Squared distance from Dower's lead vectors relative to their size, averaged over leads: a number."""
        return self._relative(self.matrix() - self.nominal).mean()

    def bending(self, w: Tensor, real: Tensor) -> Tensor:
        """Squared bends relative to the size of Dower's lead vectors, averaged over states and leads: a number.

        Args:
            w: [..., D].
            real: [...] bool, True = the state counts.
        """
        return torch.where(real, self._relative(self.bends(w)).mean(-1), 0.0).sum() / real.sum()

    def _relative(self, change: Tensor) -> Tensor:
        """[..., L, 3] -> [..., L]."""
        return change.square().sum(-1) / self.nominal.square().sum(-1)

    def forward(self, v: Tensor, w: Tensor | None = None) -> Tensor:
        """V [..., 3, T'], and W [..., D] for the view `own`, -> E_base [..., L, T']."""
        assert v.shape[-2] == 3, f"V: expected [..., 3, T'], got {tuple(v.shape)}"
        matrix = self.matrix()
        if self.bend is not None:
            assert w is not None, "W: expected a state for the view `own`, got none; give it"
            matrix = matrix + self.bends(w)
        return matrix @ v + self.bias[:, None]


class ResidualHead(nn.Module):
    """A small correction to the projected leads.

    Role: rendering; makes up only for what a rank-3 linear look cannot do. It sees nothing but the projected leads, so
        it cannot carry around the source what the source should say. It starts at zero and its energy is paid for.
    Input: base ECG [M, L, T'] mV.
    Output: residual [M, L, T'] mV, to be added.
    """

    def __init__(self, cfg: ProjectionConfig) -> None:
        super().__init__()
        kernel = cfg.residual_kernel
        self.depthwise = nn.Conv1d(N_LEADS, N_LEADS, kernel, padding=kernel // 2, groups=N_LEADS)
        self.pointwise = nn.Conv1d(N_LEADS, N_LEADS, 1)
        nn.init.zeros_(self.pointwise.weight)
        self.pointwise.bias = nn.Parameter(torch.zeros(N_LEADS))

    def forward(self, base: Tensor) -> Tensor:
        """base [M, L, T'] -> residual [M, L, T']."""
        assert base.ndim == 3 and base.shape[1] == N_LEADS, (
            f"base: expected [M, {N_LEADS}, T'], got {tuple(base.shape)}"
        )
        mixed = nn.functional.gelu(Depthwise.apply(base, self.depthwise.weight, self.depthwise.bias))
        weight, bias = self.pointwise.weight[:, :, 0], self.pointwise.bias
        assert bias is not None
        return torch.baddbmm(bias[:, None], weight.expand(len(mixed), -1, -1), mixed)


class AngleCalib(nn.Module):
    """Skeleton of the angle calibration: one small rotation a record. Not computed yet, by decision.

    Role: rendering, between source and projection. The same heart lies a little differently in every chest, and
        electrodes are never twice in the same place. Seen from the leads, both turn the source as a rigid body.

        *Prefix beats.* The rotation is estimated from the first one or two beats of a record only. They are set apart
        as a calibration look, as one aligns a camera before taking the picture: few enough that they cannot describe
        the disease, enough to fix three numbers (axis times angle).

        *Why the angle is a nuisance.* It changes what every lead shows and says nothing about the heart: the same
        patient, re-cabled, has another angle and the same diagnosis. It is a property of the observation, like gain
        and bias, to be removed and not to be learned from.

        *Why it must not touch W.* If the rotation took part in estimating W, it would be the cheapest way to lower the
        proxy: turning the source explains a change of axis, part of a bundle branch block and part of an infarct at
        once. The rotation would start to explain morphology, W would stop doing so, and what is read from W downstream
        would be poorer and depend on the cabling. So: three numbers, small (`rotation_magnitude` is paid for), rigid
        (a rotation, never a free matrix), one a record, estimated apart, gradient stopped towards W.

    Input: V_prefix [B, P, 3, T'] mV, the source of P = 1 or 2 prefix beats, and their measured leads [B, L, P, T'] mV.
    Output: r [B, 3], axis times angle in radians, to be used as apply_rotation(axis_angle_to_matrix(r), V).
    """

    def forward(self, v_prefix: Tensor, beats_prefix: Tensor) -> Tensor:
        """Not computed, by decision of the design.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("AngleCalib: the rotation is not estimated in this version; render without it")


def axis_angle_to_matrix(r: Tensor) -> Tensor:
    """Rotation matrix of an axis-angle vector by Rodrigues' formula, R = I + a [r]x + b [r]x^2.

    Rotations correct directions only: small, rigid, they never change an amplitude and are no state of the heart.
    a = sin(t)/t and b = (1 - cos(t))/t^2 are replaced by their series for small angles t = |r|, so that value and
    gradient are finite at zero.

    Args:
        r: [..., 3] axis times angle, radians.

    Returns:
        R [..., 3, 3] with R^T R = I, det R = 1.
    """
    assert r.shape[-1] == 3, f"r: expected [..., 3], got {tuple(r.shape)}"
    square = r.square().sum(-1)[..., None, None]
    small = square < 1e-6
    # `where` on the input as well as on the result: the gradient of the branch not taken must be finite too.
    safe = torch.where(small, torch.ones_like(square), square)
    angle = safe.sqrt()
    a = torch.where(small, 1 - square / 6, angle.sin() / angle)
    b = torch.where(small, 0.5 - square / 24, (1 - angle.cos()) / safe)
    x, y, z = r.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(*r.shape[:-1], 3, 3)
    return torch.eye(3, dtype=r.dtype, device=r.device) + a * cross + b * cross @ cross


def apply_rotation(rotation: Tensor, v: Tensor) -> Tensor:
    """Turn vectors; their lengths stay.

    Args:
        rotation: [..., 3, 3].
        v: [..., 3] vectors, or [..., 3, T] curves.

    Returns:
        The turned vectors, shaped as `v`.
    """
    assert rotation.shape[-2:] == (3, 3), f"rotation: expected [..., 3, 3], got {tuple(rotation.shape)}"
    if v.ndim == rotation.ndim:
        assert v.shape[-2] == 3, f"v: expected [..., 3, T], got {tuple(v.shape)}"
        return rotation @ v
    assert v.ndim == rotation.ndim - 1 and v.shape[-1] == 3, f"v: expected [..., 3], got {tuple(v.shape)}"
    return (rotation @ v[..., None]).squeeze(-1)


def rotation_magnitude(rotation: Tensor) -> Tensor:
    """How far a rotation turns: its angle in radians, 0..pi, for regularisation. [..., 3, 3] -> [...].

    atan2(|sin|, cos) with the sine from the antisymmetric part; near zero the sine's norm takes a smooth form so that
    the gradient stays finite.
    """
    assert rotation.shape[-2:] == (3, 3), f"rotation: expected [..., 3, 3], got {tuple(rotation.shape)}"
    twice_sine = torch.stack(
        [
            rotation[..., 2, 1] - rotation[..., 1, 2],
            rotation[..., 0, 2] - rotation[..., 2, 0],
            rotation[..., 1, 0] - rotation[..., 0, 1],
        ],
        dim=-1,
    )
    cosine = (rotation.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    square = (twice_sine / 2).square().sum(-1)
    tiny = torch.finfo(rotation.dtype).tiny
    sine = torch.where(square > tiny, square.clamp(min=tiny).sqrt(), torch.zeros_like(square))
    return torch.atan2(sine, cosine)

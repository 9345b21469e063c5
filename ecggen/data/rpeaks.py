"""R peaks of a batch of ECG records, found on all leads that are shown.

Three steps, the same for ten seconds of twelve leads and for half an hour of two:
1. Activity: each lead's QRS-band energy in units of that lead's own typical QRS, squashed so that no artefact can
   outweigh a beat, and averaged over leads with more weight on leads quiet between beats and steady from beat to beat.
2. Choice: local maxima of the activity are candidates. Which of them are beats is one optimisation over the record:
   the sum of each candidate's evidence (log of its height over a local threshold of signal and noise level) minus the
   implausibility of the RR intervals. Refractory period, search-back and rhythm-adaptive thresholds of on-line
   detectors (Pan & Tompkins, IEEE Trans. Biomed. Eng. 32:230, 1985) are costs in that sum; past and future count alike.
3. Place: the centre of gravity of the QRS energy, not the extremum of one lead: beats are cut at the fiducial, and the
   centre hardly depends on which leads are shown.

Constants without a source were set on the MIT-BIH records of `benchmarks/rpeaks.py`; each may be a fifth larger or
smaller and both bounds asked for there still hold.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

# Band of the activity. QRS energy stands out most near 17 Hz (Thakor et al., IEEE Trans. Biomed. Eng. 31:702, 1984);
# somewhat lower, so that wide ectopic beats still count, and well above T and P waves.
QRS_CENTRE = 13.0  # Hz
QRS_SPREAD = 0.040  # s, standard deviation of the Gaussian window: about one QRS long
ENVELOPE_RATE = 50.0  # Hz; an energy envelope of a band 10 Hz wide needs no finer grid, and a beat is placed afterwards

FLAT = 5e-3  # mV in the QRS band; a lead that never exceeds it holds no heartbeat
FLAT_SHARE = 0.03  # of the lead's highest level: where a lead falls silent, its noise is not blown up to a signal
BLOCK = 0.5  # s, grid of all running statistics
BEAT_BLOCKS = 4  # blocks: 2 s, the shortest stretch sure to hold a beat at 30 beats/min
LEVEL_BLOCKS = 25  # blocks: 12.5 s over which the QRS level and its steadiness are taken
NOISE_BLOCKS = 9  # blocks: 4.5 s over which the noise is taken; bursts are short
LEVEL_CAP = 1.5  # of the lead's median level: a long artefact does not pass for the QRS level
QUIET_POWER = 2.0  # weight of a lead = mean activity to the power -2, as noise variance weighs a mean
STEADY_COST = 2.0  # and exp(-2 x mean absolute deviation of its log beat energy)

# Threshold = share of the signal level + share of the noise level, the form of Pan & Tompkins 1985.
SIGNAL_SHARE = 0.35
NOISE_SHARE = 1.0
CANDIDATE = 0.2  # of the signal level; lower maxima are never beats
APART = 0.10  # s, a candidate is the highest point within this distance
EDGE = 0.05  # s; a QRS cut by the record's end (half of a QRS's 100 ms) can be neither judged nor placed

REFRACTORY = 0.20  # s, no two beats are closer (Pan & Tompkins 1985)
LONG_RR = 1.4  # of the upper quartile of local RR; beyond it a beat is probably missing
SHORT_RR = 0.6  # of the lower quartile of local RR; below it a beat is probably too many
PAUSE_RR = 5.0  # of the upper quartile; a longer pause costs no more, as it is asystole or a lost signal
RR_COST = 2.0  # cost per log of the ratio beyond these limits
RR_SPAN = 21  # intervals that make the local rhythm
QUARTILE = 0.25  # alternating rhythms (bigeminy, fibrillation) widen their own limits
DEFAULT_RR = 0.8  # s, where no rhythm is known yet (75 beats/min)
RR_LIMITS = (0.3, 1.5)  # s, 200 to 40 beats/min
REACH = 16  # candidates back that may be the beat before: at least 1.6 s

CENTRE_BAND = 20.0  # Hz, narrow in time so that P and T waves stay outside the centre's window
CENTRE_SPREAD = 0.012  # s
CENTRE_HALF = 0.08  # s, half of the window whose centre of gravity is taken: a wide QRS lasts 160 ms
CENTRE_SHIFT = 0.06  # s that the centre may lie from the maximum of the activity
CENTRE_STEPS = 5  # the window is moved to the centre so often
TINY = 1e-9  # keeps divisions by an all-zero sum finite
CHUNK = 400_000  # numbers of ECG worked on at once, small enough for the processor's cache

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class _Activity(NamedTuple):
    """`value` [B, N] in 0..1 on the envelope grid; `level` (typical QRS energy), `weight` [B, L, blocks]."""

    value: Tensor
    level: Tensor
    weight: Tensor


def _gabor_pair(centre: float, spread: float, fs: float) -> Tensor:
    """Even and odd Gabor kernels of unit norm, [2, 1, taps]; the sum of their squared outputs has no polarity."""
    half = math.ceil(3 * spread * fs)
    time = torch.arange(-half, half + 1, dtype=torch.float64) / fs
    window = torch.exp(-0.5 * (time / spread) ** 2)
    even = window * torch.cos(2 * math.pi * centre * time)
    even = even - window * even.sum() / window.sum()  # no answer to a constant
    odd = window * torch.sin(2 * math.pi * centre * time)
    return torch.stack([even / even.norm(), odd / odd.norm()])[:, None].float()


def _energy(ecg: Tensor, kernel: Tensor, stride: int = 1) -> Tensor:
    """Energy in the kernels' band in mV^2, [B, L, T] -> [B, L, (T - taps) // stride + 1]."""
    parts = F.conv1d(ecg.flatten(0, 1)[:, None], kernel, stride=stride)
    return (parts[:, 0].square() + parts[:, 1].square()).unflatten(0, ecg.shape[:2])


def _replicate(ecg: Tensor, margin: int) -> Tensor:
    """The outermost values repeated `margin` times at both ends, as a step to zero would look like a QRS."""
    return F.pad(ecg, (margin, margin), mode="replicate")


def _blocks(signal: Tensor, size: int) -> Tensor:
    """[..., N] -> [..., blocks, size], zeros behind the end."""
    return F.pad(signal, (0, -signal.shape[-1] % size)).unflatten(-1, (-1, size))


def _running(blocks: Tensor, span: int, statistic: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Statistic of the `span` blocks around each block, [..., n] -> [..., n]; at the ends of the first or last span."""
    span = min(span, blocks.shape[-1])
    values = statistic(blocks.unfold(-1, span, 1), -1)
    at = (torch.arange(blocks.shape[-1]) - span // 2).clamp(0, values.shape[-1] - 1)
    return values[..., at]


def _median(values: Tensor, dim: int) -> Tensor:
    return values.median(dim).values


def _deviation(values: Tensor, dim: int) -> Tensor:
    return (values - values.median(dim, keepdim=True).values).abs().mean(dim)


def _squashed(energy: Tensor, level: Tensor) -> Tensor:
    """Amplitude in units of its level, squashed into 0..1: x / sqrt(1 + x^2)."""
    return (energy / (energy + level)).sqrt_()


def _fuse(energy: Tensor, size: int) -> _Activity:
    """One activity from all leads; `size` = envelope samples a block. Flat leads weigh nothing."""
    pieces = _blocks(energy, size)
    maxima = _running(pieces.amax(-1), BEAT_BLOCKS, torch.amax)
    level = _running(maxima, LEVEL_BLOCKS, _median)
    level = torch.minimum(level, LEVEL_CAP**2 * level.median(-1, keepdim=True).values)
    floor = FLAT**2 + FLAT_SHARE**2 * level.amax(-1, keepdim=True)
    ratio = _squashed(pieces, torch.maximum(level, floor)[..., None])
    busy = _running(ratio.mean(-1), NOISE_BLOCKS, torch.mean)
    unsteady = _running(maxima.clamp(min=FLAT**2).log(), LEVEL_BLOCKS, _deviation)
    weight = torch.exp(-STEADY_COST * unsteady) / (busy + TINY) ** QUIET_POWER
    weight = torch.where(level > FLAT**2, weight, 0)
    weight = weight / weight.sum(1, keepdim=True).clamp(min=TINY)
    value = (ratio * weight[..., None]).sum(1).flatten(-2)[..., : energy.shape[-1]]
    return _Activity(value, level, weight)


def _candidates(activity: Tensor, rate: float, size: int) -> tuple[Ints, Floats]:
    """Envelope index and evidence of each local maximum, both [B, C]; -inf where a record has fewer."""
    pieces = _blocks(activity, size)
    signal = _running(_running(pieces.amax(-1), BEAT_BLOCKS, torch.amax), LEVEL_BLOCKS, _median)
    noise = _running(_median(pieces, -1), NOISE_BLOCKS, torch.mean)
    threshold = (SIGNAL_SHARE * signal + NOISE_SHARE * noise).repeat_interleave(size, -1)
    signal = signal.repeat_interleave(size, -1)[..., : activity.shape[-1]]
    radius, edge = round(APART * rate), round(EDGE * rate)
    highest = F.max_pool1d(activity[:, None], 2 * radius + 1, 1, radius)[:, 0]
    chosen = (activity == highest) & (activity > CANDIDATE * signal) & (activity > 0)
    chosen[:, :edge] = False
    chosen[:, activity.shape[-1] - edge :] = False
    record, at = torch.nonzero(chosen, as_tuple=True)
    count = torch.bincount(record, minlength=len(activity))
    slot = torch.arange(len(record)) - (count.cumsum(0) - count)[record]
    index = np.zeros((len(activity), int(count.max())), dtype=np.int64)
    evidence = np.full(index.shape, -np.inf)
    index[record.numpy(), slot.numpy()] = at.numpy()
    # A height above the level is no better evidence than the level: artefacts are high, too.
    height = torch.minimum(activity[record, at], signal[record, at])
    height, least = height.clamp(min=TINY), threshold[record, at].clamp(min=TINY)
    evidence[record.numpy(), slot.numpy()] = (height / least).log().numpy()
    return index, evidence


def _local_rr(time: Floats, evidence: Floats) -> tuple[Floats, Floats]:
    """Lower and upper quartile, in seconds, of RR intervals around each candidate; beats = all above threshold."""
    sure = evidence > 0
    order = np.argsort(~sure, axis=1, kind="stable")
    beats = np.where(np.take_along_axis(sure, order, 1), np.take_along_axis(time, order, 1), np.nan)
    rr = np.diff(beats, axis=1, prepend=np.nan)
    half = RR_SPAN // 2
    rr = np.pad(rr, ((0, 0), (half, half)), constant_values=np.nan)
    spans = np.sort(np.lib.stride_tricks.sliding_window_view(rr, RR_SPAN, axis=1), axis=-1)  # NaN last
    last = np.maximum(np.isfinite(spans).sum(-1, keepdims=True) - 1, 0)
    nearest = np.minimum(sure.cumsum(1), np.maximum(sure.sum(1, keepdims=True) - 1, 0))

    def at_rank(rank: Floats) -> Floats:
        value = np.take_along_axis(spans, rank.astype(np.int64), -1)[..., 0]
        value = np.where(np.isnan(value), DEFAULT_RR, value).clip(*RR_LIMITS)
        return np.take_along_axis(value, nearest, 1)

    return at_rank(np.floor(QUARTILE * last)), at_rank(np.ceil((1 - QUARTILE) * last))


def _interval_cost(time: Floats, evidence: Floats) -> Floats:
    """Cost of each of the `REACH` candidates before as the previous beat, [B, C, REACH], nearest last."""
    low, high = _local_rr(time, evidence)
    padded = np.pad(time, ((0, 0), (REACH, 0)), constant_values=-np.inf)
    gap = time[..., None] - np.lib.stride_tricks.sliding_window_view(padded, REACH, axis=1)[:, :-1]
    too_long = np.log(np.clip(gap / (LONG_RR * high[..., None]), 1, PAUSE_RR / LONG_RR))
    too_short = np.log(np.maximum(SHORT_RR * low[..., None] / np.maximum(gap, REFRACTORY), 1))
    return np.where(gap < REFRACTORY, np.inf, RR_COST * (too_long + too_short))


def _best_sequence(evidence: Floats, cost: Floats) -> Bools:
    """The candidates whose summed evidence less interval costs is greatest (dynamic programming), bool [B, C]."""
    rows, width = evidence.shape
    every = np.arange(rows)
    score = np.full((rows, REACH + width), -np.inf)  # of the best sequence that ends at a candidate
    back = np.full((rows, width), -1)
    # Best sequence that ended before the reach, a pause ago; a sequence may also start anew, at no cost.
    far, far_at = np.zeros(rows), np.full(rows, -1)
    pause = RR_COST * math.log(PAUSE_RR / LONG_RR)
    for j in range(width):
        near = score[:, j : j + REACH] - cost[:, j]
        nearest = near.argmax(1)
        value = near[every, nearest]
        back[:, j] = np.where(value > far, j - REACH + nearest, far_at)
        score[:, REACH + j] = evidence[:, j] + np.maximum(value, far)
        left = score[:, j] - pause
        far_at = np.where(left > far, j - REACH, far_at)
        far = np.maximum(left, far)
    score = score[:, REACH:]
    chosen = np.zeros((rows, width), dtype=bool)
    at = np.where(score.max(1) > 0, score.argmax(1), -1)
    while (at >= 0).any():
        chosen[every, at] |= at >= 0
        at = np.where(at >= 0, back[every, at], -1)
    return chosen


def _centre(ecg: Tensor, record: Tensor, at: Tensor, activity: _Activity, size: int, fs: float) -> Tensor:
    """Centre of gravity of the QRS energy of all leads near sample `at` of `record`, both [n]; int64 [n]."""
    half, shift = round(CENTRE_HALF * fs), round(CENTRE_SHIFT * fs)
    offset = torch.arange(-half - shift, half + shift + 1)
    kernel = _gabor_pair(CENTRE_BAND, CENTRE_SPREAD, fs)
    reach = len(offset) // 2 + kernel.shape[-1] // 2
    windows = _replicate(ecg, reach).unfold(-1, 2 * reach + 1, 1)[record, :, at]
    energy = _energy(windows, kernel)
    block = at // size
    level, weight = activity.level[record, :, block, None], activity.weight[record, :, block, None]
    energy = (_squashed(energy, level.clamp(min=FLAT**2)) * weight).sum(1)
    centre = torch.zeros(len(at))
    for _ in range(CENTRE_STEPS):
        distance = offset - centre[:, None]
        window = energy * (half + 0.5 - distance.abs()).clamp(0, 1)  # soft ends, so that the centre moves smoothly
        centre = centre + (window * distance).sum(1) / window.sum(1).clamp(min=TINY)
        centre = centre.clamp(-shift, shift)
    return (at + centre.round().long()).clamp(0, ecg.shape[-1] - 1)


def _detect(ecg: Tensor, fs: float) -> list[Tensor]:
    """`detect_r_peaks` for finite float32 records that fit in memory together."""
    stride = max(1, int(fs // ENVELOPE_RATE))
    rate = fs / stride
    size = round(BLOCK * rate)
    kernel = _gabor_pair(QRS_CENTRE, QRS_SPREAD, fs)
    activity = _fuse(_energy(_replicate(ecg, kernel.shape[-1] // 2), kernel, stride), size)
    index, evidence = _candidates(activity.value, rate, size)
    if index.size == 0:
        return [torch.zeros(0, dtype=torch.int64) for _ in ecg]
    chosen = _best_sequence(evidence, _interval_cost(index / rate, evidence))
    record = torch.from_numpy(np.nonzero(chosen)[0])
    at = torch.from_numpy(index[chosen]) * stride
    peaks = _centre(ecg, record, at, activity, size * stride, fs)
    return list(peaks.split(chosen.sum(1).tolist()))


@torch.no_grad()
def detect_r_peaks(ecg: Tensor, lead_mask: Tensor | None = None, fs: float = 100.0) -> list[Tensor]:
    """Sample indices of the heartbeats of each record, the same for a record alone and in any batch.

    Args:
        ecg: [B, L, T] in mV, band-passed 0.67-40 Hz. Values that are not finite count as zero.
        lead_mask: [B, L] bool, True = lead is shown, None = all. A lead that is not shown may hold anything.
        fs: sampling rate in Hz.

    Returns:
        B ascending int64 tensors on the device of `ecg`; empty for a record without a beat (flat leads).
        The index is the centre of the QRS complex, within a few samples of the R peak.
    """
    assert ecg.dim() == 3, f"ecg: expected [B, L, T], got {list(ecg.shape)}; a single record needs ecg[None]"
    batch, leads, samples = ecg.shape
    assert lead_mask is None or lead_mask.shape == (batch, leads), (
        f"lead_mask: expected [{batch}, {leads}] because ecg is {list(ecg.shape)}, "
        f"got {list(lead_mask.shape)}; give one flag for each record and lead"
    )
    assert fs >= 80, f"fs: expected at least 80 Hz, twice the 40 Hz of the band, got {fs}; resample to 100 Hz"
    if ecg.numel() == 0:
        return [torch.zeros(0, dtype=torch.int64, device=ecg.device) for _ in range(batch)]
    peaks: list[Tensor] = []
    step = max(1, CHUNK // (leads * samples))
    for start in range(0, batch, step):
        part = ecg[start : start + step].nan_to_num(0.0, 0.0, 0.0)
        if lead_mask is not None:
            part = torch.where(lead_mask[start : start + step, :, None].to(part.device, torch.bool), part, 0)
        found = _detect(part.to("cpu", torch.float32), fs)
        peaks += [indices.to(ecg.device) for indices in found]
    return peaks

"""Settings of one run as frozen dataclasses, model, data and training strictly apart.

A field belongs to the model block only if a saved model still needs it to read a recording: the checkpoint stores
exactly that block. Standard library only; YAML and command-line overrides are read in `configfile`.
"""

from dataclasses import dataclass, field

SOURCES = ("simulator", "ptbxl", "mimic", "wfdb", "arrays")
PTBXL_TASKS = ("superdiagnostic", "subdiagnostic", "all", "form", "rhythm")
SEGMENTATIONS = ("rr", "equal")
TOKENS = ("linear", "conv")
ATTENTIONS = ("full", "causal")
MODES = ("vector", "mlp")
GEOMETRIES = ("free", "fixed")
INNER_GRADIENTS = ("analytic", "autograd")
ESTIMATORS = ("gradient", "ridge", "amortised", "prior")
VIEWS = ("shared", "own")
HEADS = ("none", "linear", "mlp")
SPLITS = ("train", "val", "test")
DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class SimulatorConfig:
    """How many hearts are simulated and how unlike they are."""

    records: int = 1280  # number of records over all splits
    seed: int = 0  # of the population, apart from the training seed
    noise: float = 1.0  # scale of all noises, 0 = clean
    drift: float = 1.0  # scale of the slow ST and T drift, 0 = none
    ectopic: float = 0.05  # probability that a beat is ectopic
    lost_leads: float = 0.02  # probability that a lead is lost


@dataclass(frozen=True)
class DataConfig:
    """Which recordings are read, and how they are split."""

    source: str = "simulator"  # one of SOURCES
    root: str | None = None  # folder of the recordings; the simulator needs none
    task: str = "superdiagnostic"  # PTB-XL only, one of PTBXL_TASKS
    ptbxl_rate: int = 100  # Hz, 100 or 500: which of PTB-XL's two copies is read
    seconds: float = 10.0  # length of a window; longer records are cut, shorter ones left out
    train_folds: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    val_folds: tuple[int, ...] = (9,)
    test_folds: tuple[int, ...] = (10,)
    max_amplitude: float = 20.0  # mV; a record beyond it after filtering is left out
    limit: int | None = None  # read at most so many records, None = all
    cache: str | None = None  # folder of preprocessed records; None = $ECGGEN_CACHE, else the user's cache folder
    workers: int = 0  # processes that preprocess, 0 = one a core
    simulator: SimulatorConfig = field(default_factory=SimulatorConfig)


@dataclass(frozen=True)
class SignalConfig:
    """The preprocessing that a model was trained on, and so needs for ever."""

    fs: float = 100.0  # Hz after resampling
    band_low: float = 0.67  # Hz, zero-phase high-pass corner
    band_high: float = 40.0  # Hz, zero-phase low-pass corner


@dataclass(frozen=True)
class TokenizerConfig:
    """How beats become tokens."""

    segmentation: str = "rr"  # one of SEGMENTATIONS
    beat_len: int = 100  # samples of a beat after interpolation, T'
    before: float = 0.35  # share of the median RR in front of the R peak
    token: str = "linear"  # one of TOKENS
    width: int = 64  # d, numbers a token
    pace: bool = False  # a token also says how long its beat's window is, which interpolation takes from it


@dataclass(frozen=True)
class EncoderConfig:
    """TransformerEncoder over the tokens of one record."""

    d_model: int = 64
    layers: int = 2
    heads: int = 2
    feedforward: int = 128
    dropout: float = 0.0
    attention: str = "full"  # one of ATTENTIONS


@dataclass(frozen=True)
class FastStateConfig:
    """What W is."""

    mode: str = "vector"  # one of MODES
    size: int = 128  # D in `vector` mode
    key_width: int = 8  # inputs of the state's MLP in `mlp` mode
    hidden: int = 16  # hidden units of the state's MLP in `mlp` mode
    value_width: int = 16  # outputs of the state's MLP in `mlp` mode


@dataclass(frozen=True)
class TTTConfig:
    """How W is estimated."""

    estimator: str = "gradient"  # one of ESTIMATORS: test-time training, or what it is compared with
    chunk_size: int = 1  # beats a chunk
    inner_steps: int = 2  # gradient steps a chunk
    state_smoothness: float = 0.1  # lambda of ||W_c - W_{c-1}||^2
    step_size: float = 0.5  # initial step size, learned from there
    inner_gradient: str = "analytic"  # one of INNER_GRADIENTS: derived by hand, or by autograd; equal to rounding


@dataclass(frozen=True)
class VCGConfig:
    """The source: A(W) @ basis."""

    basis_k: int = 24  # K basis curves
    hidden: int = 0  # hidden units of A(W), 0 = linear


@dataclass(frozen=True)
class ProjectionConfig:
    """From the source to the leads."""

    geometry: str = "free"  # one of GEOMETRIES: lead vectors learned from Dower's, or kept there
    view: str = "shared"  # one of VIEWS: lead vectors are the same for all hearts, or bent a little by each one's W
    residual: bool = True  # whether ResidualHead is used
    residual_kernel: int = 9  # samples of ResidualHead's depthwise kernel, odd


@dataclass(frozen=True)
class ModelConfig:
    """All that a saved model needs to read a recording; stored in its checkpoint."""

    signal: SignalConfig = field(default_factory=SignalConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    fast_state: FastStateConfig = field(default_factory=FastStateConfig)
    ttt: TTTConfig = field(default_factory=TTTConfig)
    vcg: VCGConfig = field(default_factory=VCGConfig)
    projection: ProjectionConfig = field(default_factory=ProjectionConfig)


@dataclass(frozen=True)
class LossConfig:
    """Weights of the terms beside the reconstruction."""

    smoothness: float = 0.0  # of V along the beat
    energy: float = 0.0  # of V
    loop_closure: float = 0.0  # distance between V's two ends
    state_path: float = 0.0  # outer penalty on the path of W
    residual: float = 0.3  # residual's share of the rendered energy
    geometry: float = 0.01  # distance of lead vectors and gains from their nominal values, and their bend by W


@dataclass(frozen=True)
class TrainConfig:
    """How a model is trained."""

    seed: int = 0
    steps: int = 600  # optimizer steps, the budget N of the run's folder
    batch_size: int = 48  # records a step
    lr: float = 2e-3
    weight_decay: float = 0.01
    warmup: float = 0.05  # share of the steps
    average: float = 0.0  # decay a step of a running mean of the weights, judged and kept in their place; 0 = none
    clip: float = 1.0  # norm of the gradient
    all_leads: float = 0.2  # share of steps in which every lead is shown
    reduced_sets: float = 0.0  # share of the steps that show I, II and one chest lead drawn for each record
    robust: float = 0.0  # a beat's error, in variances of its lead, beyond which it counts by its root; 0 = never
    min_leads: int = 1  # leads shown in the other steps, at least
    max_leads: int = 8  # and at most
    max_beats: int = 8  # neighbouring beats of a record that a step sees, drawn anew each time; 0 = all
    boundary_jitter: float = 0.005  # s, standard deviation of a shift of a record's beat windows
    validate_every: int = 200  # steps
    validate_records: int = 512  # records of the validation split that choose the checkpoint
    threads: int = 0  # torch threads, 0 = one a core
    device: str = "auto"  # one of DEVICES
    precision: str = "fp32"  # one of PRECISIONS: with bf16 tokenizer and encoder compute in half, W and leads do not
    compile: bool = False  # torch.compile of the whole step, for GPUs: minutes at first; needs a C++ compiler
    head: str = "linear"  # one of HEADS: fitted on frozen W after training
    loss: LossConfig = field(default_factory=LossConfig)


@dataclass(frozen=True)
class EvalConfig:
    """How a run is judged."""

    split: str = "auto"  # one of SPLITS; all = every record; auto = test where it has records, else val
    bootstrap: int = 1000  # resamples for the 95 % intervals
    limit: int | None = None  # judge at most so many records, None = all
    baseline_records: int = 4096  # training records that the baselines are fitted on, at most


@dataclass(frozen=True)
class RunConfig:
    """One run."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)

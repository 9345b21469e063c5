"""ecggen: the heart as an object. A latent state W is estimated from beats and rendered as source and leads."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ecggen.models.ecggen import ECGGenModel

__version__ = "0.1.0"


def load(folder: str | Path, device: str = "cpu") -> "ECGGenModel":
    """The model of a run's folder, ready to encode.

    Args:
        folder: `results/<runid>_step<N>`, or the model file itself.
        device: where the weights go.

    Raises:
        ecggen.errors.UserError: where there is no whole model.
    """
    from ecggen.checkpoint import MODEL_FILE, load_model

    path = Path(folder)
    return load_model(path / MODEL_FILE if path.is_dir() or not path.suffix else path, device)

"""Checkpoints: safetensors files that say what they are, and the separate state for resuming a training."""

from __future__ import annotations

import io
import os
import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ..errors import SemihandError
from ..provenance import date, versions
from .joints import PRIOR_BONE_LENGTHS
from .model_file import METADATA_KEY, ModelInfo
from .network import Hourglass, NetworkConfig

LICENCE = "Apache-2.0"
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16}


@dataclass(frozen=True)
class Checkpoint:
    """A network's weights (its state_dict, float32) and what the file says about them."""

    info: ModelInfo
    weights: dict[str, Tensor]

    @property
    def config(self) -> NetworkConfig:
        """Configuration of the network that the weights belong to."""
        return NetworkConfig.from_dict(self.info.config)

    def build(self) -> Hourglass:
        """The network with these weights, in eval mode on the CPU."""
        network = Hourglass(self.config)
        network.load_state_dict(self.weights)
        return network.eval()


def describe(
    config: NetworkConfig,
    provenance: dict[str, Any],
    bone_lengths: tuple[float, ...] = PRIOR_BONE_LENGTHS,
    licence: str = LICENCE,
) -> ModelInfo:
    """The description that a checkpoint and the model exported from it carry."""
    return ModelInfo(
        config.name, config.input_size, config.crop_factor, config.to_dict(), bone_lengths, provenance, licence
    )


def provenance(command: str, seed: int, samples_seen: int, **more: Any) -> dict[str, Any]:
    """How weights came to be: command, seed, samples seen, the date (UTC) and versions; `more` is added."""
    made = {"command": command, "seed": seed, "samples_seen": samples_seen, "date": date(), "versions": versions()}
    return made | more


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it when the block ends well.

    A crash, a full disk or an exception leaves the old file as it was.
    Raises SemihandError where it cannot write.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise SemihandError(
            f"{path} could not be written: {error.strerror or error}. Check the space and permissions there."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def save_checkpoint(path: str | Path, weights: dict[str, Tensor], info: ModelInfo, precision: str = "fp32") -> None:
    """Write a state_dict and its description. precision "fp16" halves the file and rounds the weights.

    Raises SemihandError where the file cannot be written or a weight is no finite number.
    """
    dtype = PRECISIONS[precision]
    stored = {name: _stored(name, tensor, dtype) for name, tensor in weights.items()}
    content = safetensors.torch.save(stored, metadata={METADATA_KEY: info.to_json()})
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def _stored(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    if not tensor.is_floating_point():
        return tensor
    if not torch.isfinite(tensor.to(dtype)).all():
        raise SemihandError(
            f"The weights {name} are not finite in {dtype}; this training went wrong, nothing was saved."
        )
    return tensor.to(dtype)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint; half-precision weights come back as float32.

    Raises SemihandError where the file is missing, truncated, of another kind, or does not fit its network.
    """
    path = Path(path)
    if not path.is_file():
        raise SemihandError(f"Checkpoint {path} does not exist. Give a .safetensors file of `semihand pretrain`.")
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}
    except (safetensors.SafetensorError, OSError) as error:
        raise SemihandError(f"{path} is no readable checkpoint ({error}); it may be truncated, get it anew.") from error
    if METADATA_KEY not in metadata:
        raise SemihandError(f"{path} holds weights of another program; give a checkpoint of semihand.")
    info = ModelInfo.from_json(metadata[METADATA_KEY], path)
    weights = {name: t.float() if t.is_floating_point() else t for name, t in weights.items()}
    return _fitting(Checkpoint(info, weights), path)


def _fitting(checkpoint: Checkpoint, path: Path) -> Checkpoint:
    """The checkpoint itself, refused where its tensors are not those of its network."""
    with torch.device("meta"):
        expected = {name: t.shape for name, t in Hourglass(checkpoint.config).state_dict().items()}
    found = {name: t.shape for name, t in checkpoint.weights.items()}
    odd = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if odd:
        raise SemihandError(
            f"{path} does not fit its own network: {len(odd)} tensors are unknown, missing or misshapen "
            f"({', '.join(odd[:3])}). Get the file anew."
        )
    return checkpoint


@dataclass(frozen=True)
class TrainingState:
    """All that a training needs to go on where it stopped, beside its data.

    network, ema, optimizer: state_dicts. rng: from `rng_state`. extra: the caller's own plain values.
    """

    config: NetworkConfig
    step: int
    samples_seen: int
    network: dict[str, Any]
    ema: dict[str, Any]
    optimizer: dict[str, Any]
    rng: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


_STATE_KIND = "semihand training state 1"


def save_training_state(path: str | Path, state: TrainingState) -> None:
    """Write a state, which replaces the previous one only when complete. Raises SemihandError."""
    values = {f: getattr(state, f) for f in TrainingState.__dataclass_fields__}
    content = io.BytesIO()  # torch.save to a full disk would raise a RuntimeError without a reason
    torch.save({"kind": _STATE_KIND, **values, "config": state.config.to_dict()}, content)
    with atomic_file(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def load_training_state(path: str | Path) -> TrainingState:
    """Read a training state, tensors on the CPU. Raises SemihandError where there is none or it is broken."""
    path = Path(path)
    if not path.is_file():
        raise SemihandError(f"There is no training to resume: {path} does not exist. Start without --resume.")
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError, LookupError, TypeError,
            AttributeError, ArithmeticError) as error:  # fmt: skip
        raise SemihandError(f"{path} is no readable training state; delete it and start without --resume.") from error
    if not isinstance(values, dict) or values.pop("kind", None) != _STATE_KIND:
        raise SemihandError(f"{path} is no training state of semihand; give the run's own file.")
    try:
        return TrainingState(**{**values, "config": NetworkConfig.from_dict(values["config"])})
    except (TypeError, KeyError, ValueError) as error:
        raise SemihandError(f"{path} is a broken training state ({error}); start without --resume.") from error


def rng_state() -> dict[str, Any]:
    """States of Python's, NumPy's global and Torch's generators, for `TrainingState.rng`."""
    state: Any = np.random.get_state()
    kind, keys, *rest = state
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "python": random.getstate(),
        "numpy": (kind, keys.tolist(), *rest),
        "torch": torch.get_rng_state(),
        "cuda": cuda,
    }


def restore_rng(state: dict[str, Any]) -> None:
    """Inverse of `rng_state`; CUDA's part is skipped where the number of GPUs has changed."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])

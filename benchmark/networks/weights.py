"""Pretrained weights: known by the digest of their file, and fitted to a network whose head is its own."""

import hashlib
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from reweightbench.benchmark.contracts.errors import UsageError

ADDRESS = "https://download.pytorch.org/models/"
WEIGHTS = r"none|imagenet|sha256:[0-9a-f]{16}"


def identify(path: Path, checkpoint: str) -> str:
    """`imagenet` if the file's digest is the one in torchvision's file name, else `sha256:<16 digits>`."""
    if not path.is_file():
        raise UsageError(f"no weights file '{path}'; --weights takes the path of a checkpoint or 'none'")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return "imagenet" if digest.startswith(_published_digest(checkpoint)) else f"sha256:{digest[:16]}"


def download(checkpoint: str) -> Path:
    """The published checkpoint in torch's own cache, fetched and verified if it is not there yet."""
    address = urllib.parse.urljoin(ADDRESS, checkpoint)
    path = Path(torch.hub.get_dir()) / "checkpoints" / checkpoint
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(address, str(path), _published_digest(checkpoint), progress=False)
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError for a wrong digest
        reason = " ".join(str(error).split())
        raise UsageError(
            f"no '{path}', and fetching {address} failed ({reason}); "
            "name the file with --weights PATH or train from scratch with --weights none"
        ) from None
    return path


def fit(body: nn.Module, path: Path) -> None:
    """Copy the checkpoint into the body, its classifier `fc` left out; raises UsageError if it does not fit."""
    state = {name: value for name, value in _read(path).items() if not str(name).startswith("fc.")}
    fault = _find_misfit(body.state_dict(), state)
    if fault is not None:
        raise UsageError(
            f"weights '{path}' do not fit the model: {fault}; save the state_dict of torchvision's network"
        )
    body.load_state_dict(state, strict=False)


def _published_digest(checkpoint: str) -> str:
    """The digits that torchvision writes into a file name: `resnet18-<digits>.pth`."""
    return Path(checkpoint).stem.rpartition("-")[2]


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint. Code in a pickle is refused, and no fallback would run it."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # Damaged bytes make the unpickler raise nearly anything.
        raise UsageError(
            f"'{path}' is no checkpoint that torch.load(weights_only=True) reads; save a plain state_dict"
        ) from error
    if not isinstance(state, dict):
        raise UsageError(
            f"'{path}' holds a {type(state).__name__}, not a state_dict; save model.state_dict()"
        )
    return state


def _find_misfit(expected: Mapping[str, Tensor], state: Mapping[str, object]) -> str | None:
    """The first difference in names or shapes. Old checkpoints do not count batches, and need not."""
    for name, value in expected.items():
        found = state.get(name)
        if found is None:
            if not name.endswith("num_batches_tracked"):
                return f"'{name}' is missing"
        elif not isinstance(found, Tensor):
            return f"'{name}' is no tensor"
        elif found.shape != value.shape:
            return f"'{name}' has shape {tuple(found.shape)}, not {tuple(value.shape)}"
    unknown = [name for name in state if name not in expected]
    return f"'{unknown[0]}' is unknown" if unknown else None

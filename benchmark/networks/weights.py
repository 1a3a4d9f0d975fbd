"""Pretrained weights: known by the digest of their file, and fitted to a network whose head is its own."""

import hashlib
import urllib.parse
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.foreign import open_foreign, open_foreign_zip

ADDRESS = "https://download.pytorch.org/models/"
WEIGHTS = r"none|imagenet|sha256:[0-9a-f]{16}"
LARGEST_CHECKPOINT = 4 * 2**30
REMEDY = "--weights takes the path of a checkpoint or 'none'"
CONVERTIBLE = frozenset((torch.float16, torch.bfloat16, torch.float32, torch.float64))


def identify(path: Path, checkpoint: str) -> str:
    """`imagenet` if the file's digest is the one in torchvision's file name, else `sha256:<16 digits>`."""
    with open_foreign(path, LARGEST_CHECKPOINT, remedy=REMEDY) as file:
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
    """Copy the checkpoint into the body, its classifier `fc` left out.

    Floating-point numbers of another width are converted. Raises UsageError, which names the tensor, for what does
    not fit the body or is no finite dense number.
    """
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
    with open_foreign(path, LARGEST_CHECKPOINT, remedy=REMEDY) as file:
        if zipfile.is_zipfile(file):
            with open_foreign_zip(path, LARGEST_CHECKPOINT, LARGEST_CHECKPOINT, remedy=REMEDY):
                pass  # its members are within reason
        file.seek(0)
        try:
            # What torch warns of, such as sparse tensors, is refused by name afterwards.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                state = torch.load(file, map_location="cpu", weights_only=True)
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
    """The first tensor that does not fit. Old checkpoints do not count batches, and need not."""
    for name, value in expected.items():
        found = state.get(name)
        if found is None:
            if not name.endswith("num_batches_tracked"):
                return f"'{name}' is missing"
        elif not isinstance(found, Tensor):
            return f"'{name}' is no tensor"
        elif found.shape != value.shape:
            return f"'{name}' has shape {tuple(found.shape)}, not {tuple(value.shape)}"
        else:
            fault = _find_fault(found, value.dtype, name)
            if fault is not None:
                return f"'{name}' {fault}"
    unknown = [name for name in state if name not in expected]
    return f"'{unknown[0]}' is unknown" if unknown else None


def _find_fault(found: Tensor, dtype: torch.dtype, name: str) -> str | None:
    """Why a tensor of the right shape cannot be copied into one of `dtype`."""
    if found.is_meta:
        return "is on the meta device, without values"
    if found.is_quantized or found.layout != torch.strided:
        return f"is {'quantised' if found.is_quantized else found.layout}, not dense"
    if dtype.is_floating_point:
        return _find_number_fault(found, dtype, name)
    is_count = found.dtype in {torch.int64, torch.int32} and bool((found >= 0).all())
    return None if is_count else f"is {found.dtype}, not a count of type {dtype}"


def _find_number_fault(found: Tensor, dtype: torch.dtype, name: str) -> str | None:
    if found.dtype not in CONVERTIBLE:
        return f"is {found.dtype}, not {dtype}"
    if not found.to(dtype).isfinite().all():
        return f"holds NaN or infinite values in {dtype}"
    is_negative = name.endswith("running_var") and bool((found < 0).any())
    return "holds negative variances" if is_negative else None

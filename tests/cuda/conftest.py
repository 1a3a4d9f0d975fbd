"""The device that these tests run on, and the file into which they write what they measured."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from reweightbench.benchmark.records.environment import describe_environment


@pytest.fixture(name="device", scope="session")
def choose_device() -> str:
    """`cuda`, or what REWEIGHTBENCH_CUDA_TRY says: `cpu` tries the tests themselves where there is no GPU."""
    if os.environ.get("REWEIGHTBENCH_CUDA_TRY") == "cpu":
        return "cpu"
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device is available to torch")
    return "cuda"


@pytest.fixture(scope="session")
def measured(device: str) -> Iterator[dict[str, Any]]:
    """What a test adds by its name is written to `measured.json` in the folder REWEIGHTBENCH_CUDA_OUT."""
    found: dict[str, Any] = {"device": device, "environment": describe_environment().model_dump()}
    yield found
    folder = Path(os.environ.get("REWEIGHTBENCH_CUDA_OUT", "cuda-results"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "measured.json").write_text(json.dumps(found, indent=1) + "\n")

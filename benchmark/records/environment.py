"""Where a run takes place: versions, hardware, memory."""

import platform
import re
import subprocess
from functools import cache
from pathlib import Path

import torch

from reweightbench import __version__
from reweightbench.benchmark.records.record import Environment


@cache
def describe_environment() -> Environment:
    """The environment of this process."""
    return Environment(
        suite_version=__version__,
        git_commit=git_commit(),
        python=platform.python_version(),
        torch=torch.__version__,
        platform=platform.system(),
        processor=_processor(),
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    )


def describe_hardware(device: str, threads: int) -> str:
    """What a measurement ran on: the GPU, or the processor and the threads used of it."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"{_processor()}, {threads} thread{'s' if threads > 1 else ''}"


def peak_memory(device: str) -> int:
    """Peak bytes: of the device's allocator on CUDA, of this process's resident memory on CPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    # The kernel's own counter of this process: getrusage would inherit the parent's peak.
    return status_bytes("VmHWM")


def status_bytes(field: str) -> int:
    """A field of this process's status in bytes, 0 where there is none."""
    status = Path("/proc/self/status")
    match = re.search(rf"{field}:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(match[1]) * 1024 if match else 0


@cache
def git_commit() -> str | None:
    """The commit of the checkout this code runs from, `+` behind it if files differ; None outside one."""
    file = Path(__file__).resolve()
    git = ["git", "-C", str(file.parent)]
    try:
        # An installation inside some other project's checkout is not at that project's commit.
        subprocess.run(
            [*git, "ls-files", "--error-unmatch", file.name], capture_output=True, check=True, timeout=10
        )
        command = [*git, "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    match = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return match[1].strip() if match else platform.processor() or platform.machine()

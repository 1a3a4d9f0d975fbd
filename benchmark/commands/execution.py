"""How cells are run: what the options for the device, pretrained weights and workers stand for."""

import dataclasses
import os
import sys
from pathlib import Path

import torch

from reweightbench.benchmark.cells.suite import Device, Suite
from reweightbench.benchmark.commands.console import warn
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.registry import NETWORKS
from reweightbench.benchmark.grid.local import Workers, choose_gpus
from reweightbench.benchmark.networks.imagenet import choose_weights

GIBIBYTE = 2**30


def resolve_device(name: str, engine: str = "local") -> Device:
    """`cpu` or `cuda` for what was asked; raises UsageError where there is no such device.

    The nodes of a cluster may have GPUs where the driver has none.
    """
    if name == "cuda" and engine == "ray":
        return "cuda"
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device is available to torch; use --device cpu")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def with_weights(suite: Suite, sources: Sources, weights: str | None) -> tuple[Suite, Sources]:
    """The suite and sources for `--weights`."""
    if weights is None:
        return suite, sources
    network = choose_weights(NETWORKS.create(suite.model), weights)
    label = NETWORKS.label(NETWORKS.spec(network))
    path = None if weights == "none" else Path(weights).resolve()
    return suite.model_copy(update={"model": label}), dataclasses.replace(sources, weights=path)


def choose_workers(
    suite: Suite,
    device: str,
    *,
    engine: str,
    address: str | None,
    jobs: int | None,
    timeout: float | None,
    memory_gib: float | None,
    gpus: str | None,
    per_gpu: int | None,
) -> Workers:
    """What the options say about running cells; raises UsageError where they do not fit."""
    if address is not None and engine != "ray":
        raise UsageError(f"--address {address} is of use with --engine ray only; add that or leave it out")
    if gpus is not None and engine == "ray":
        raise UsageError(f"--gpus {gpus}: Ray assigns the GPUs; leave it out, --per-gpu and --jobs remain")
    names = choose_gpus(gpus, device) if gpus is not None else ()
    if names and jobs:
        raise UsageError("--gpus says how many cells run at a time; leave --jobs out, or use --per-gpu")
    if per_gpu is not None and engine == "ray" and device != "cuda":
        raise UsageError(
            f"--per-gpu {per_gpu} is of no use on the device {device}; leave it out or use --device cuda"
        )
    if per_gpu is not None and not names and engine != "ray":
        raise UsageError(f"--per-gpu {per_gpu} is of use with --gpus only; name the GPUs, or use --jobs")
    if memory_gib and not Path("/proc/self/status").exists():
        raise UsageError("--memory-per-cell needs Linux; leave it out")
    threads = suite.numerics.threads
    if names:
        count = len(names) * (per_gpu or 1)
    elif engine == "ray":
        # The cluster says how many it can take.
        count = jobs or sys.maxsize
    else:
        count = count_jobs(jobs, device, threads)
    return Workers(
        jobs=count,
        threads=threads,
        timeout=timeout,
        memory=int(memory_gib * GIBIBYTE) if memory_gib else None,
        gpus=names,
    )


def count_jobs(wanted: int | None, device: str, threads: int) -> int:
    """Cells at a time: those that fit the cores, or one on a GPU, which does not grow with the cores."""
    most = max(1, (os.cpu_count() or 1) // threads)
    if wanted is None:
        return most if device == "cpu" else 1
    if device == "cpu" and wanted > most:
        warn(f"--jobs {wanted} is more than the cores can take; running {most}")
        return most
    return wanted

"""What the fork server loads once, so that every worker starts with it and a cell costs no start-up."""

import gc

# What is imported here stays; looking through it for garbage would take a seventh of the time.
gc.disable()

import atexit
import contextlib
import warnings

import numpy as np
import sklearn.datasets
import torch

from reweightbench.benchmark.cells.catalogue import find_digest, find_engine_digest
from reweightbench.benchmark.data.preloaded import load_announced
from reweightbench.benchmark.records.code_list import REGISTRIES
from reweightbench.benchmark.records.environment import git_commit
from reweightbench.benchmark.training import run
from reweightbench.benchmark.training.metrics import compute_metrics

__all__ = ["run", "sklearn"]

# Discovery imports every method and dataset. Their digests are of the code that is loaded here, whatever becomes
# of the files while a grid runs.
find_engine_digest()
for registry in REGISTRIES.values():
    for name in registry.classes:
        find_digest(registry, name)

# Both are lazy in torch and take seconds in a process that pays for them alone: optimizers import the
# compiler, and the first forward-mode pass compiles its rules. No backward pass here: it must not start
# threads before the fork.
torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message=".*jit.script.*")
    torch.func.jvp(lambda value: torch.log_softmax(value, 0), (torch.ones(2),), (torch.ones(2),))

# scikit-learn looks for plugins at its first metric.
compute_metrics(np.eye(2), np.arange(2))
git_commit()
# The command itself says what is wrong with the data.
with contextlib.suppress(Exception):
    load_announced()

# A collection in a worker would write to every object here, and so copy the memory that workers share. At the
# end of this process everything is collected after all, or libraries would complain of leaks.
gc.freeze()
gc.enable()
atexit.register(gc.unfreeze)

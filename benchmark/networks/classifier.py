"""A classifier's body and head, drawn from separate random streams so that all methods share them."""

from torch import nn

from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.network import Classifier, Network
from reweightbench.benchmark.contracts.seeding import seeded
from reweightbench.benchmark.networks.weights import fit


def build_classifier(
    network: Network,
    *,
    channels: int,
    classes: int,
    body_seed: int,
    head_seed: int,
    sources: Sources,
) -> Classifier:
    """A classifier whose body and head each depend on their own seed only, or the body on its weights."""
    body, width = seeded(body_seed, lambda: network.build_body(channels))
    weights = network.find_weights(sources)
    if weights is not None:
        fit(body, weights)
    return Classifier(body, seeded(head_seed, lambda: nn.Linear(width, classes)))

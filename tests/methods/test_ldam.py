"""The label-distribution-aware margin loss: known values, a loop over examples, the cosine head, deferral."""

import math
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from torch import Tensor, nn

from made_up import prepare_with_counts
from reweightbench.benchmark.contracts.problem import Batch
from reweightbench.methods.ldam import CosineHead, Ldam
from reweightbench.methods.sgd import Sgd

GOLDEN = {
    1.0: ([0.398248, 2.210561, 1.367950], 1.325586),
    30.0: ([0.000000, 53.435120, 18.000000], 23.811707),
}
IF100 = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
IF100_MARGINS = [0.1581, 0.1797, 0.2042, 0.2321, 0.2638, 0.2998, 0.3407, 0.3872, 0.4405, 0.5]

quick = settings(max_examples=50, deadline=None, derandomize=True)
class_counts = st.lists(st.integers(1, 300), min_size=3, max_size=3)
cosine_rows = st.lists(st.lists(st.floats(-1, 1, width=32), min_size=3, max_size=3), min_size=1, max_size=6)


def prepared(counts: list[int], **options: Any) -> Ldam:
    return prepare_with_counts(Ldam(**options), counts)


def make_batch(size: int, classes: int = 3) -> Batch:
    return Batch(torch.arange(size), torch.zeros(size, 1, 1, 1), torch.arange(size) % classes)


def cosine_head() -> tuple[CosineHead, Tensor]:
    """A head of three classes and features `(5, 8)`."""
    stream = torch.Generator().manual_seed(0)
    head = CosineHead(nn.Linear(8, 3))
    head.weight.data = torch.randn(3, 8, generator=stream)
    return head, torch.randn(5, 8, generator=stream)


def loop(logits: list[float], target: int, margins: list[float], scale: float) -> float:
    """CE(scale * (z - m_y)) of one example, in python's floats."""
    moved = [scale * value for value in logits]
    moved[target] -= scale * margins[target]
    highest = max(moved)
    total = sum(math.exp(value - highest) for value in moved)
    return highest + math.log(total) - moved[target]


@pytest.mark.parametrize("scale", GOLDEN)
def test_known_values(scale: float, golden_batch: Any) -> None:
    losses = prepared([500, 50, 5], scale=scale).example_losses(*golden_batch)
    values, mean = GOLDEN[scale]
    assert losses.tolist() == pytest.approx(values, abs=5e-7)
    assert losses.mean().item() == pytest.approx(mean, abs=5e-7)


def test_known_margins() -> None:
    """At equal logits the loss is log(1 + 9 exp(margin)) at scale 1."""
    method = prepared(IF100, scale=1.0)
    losses = method.example_losses(torch.zeros(10, 10, dtype=torch.float64), make_batch(10, 10))
    assert ((losses.expm1() / 9).log()).tolist() == pytest.approx(IF100_MARGINS, abs=5e-5)


def test_the_default_is_the_authors() -> None:
    assert Ldam() == Ldam(beta=0.9999, start=0.8, max_margin=0.5, scale=30.0)


@quick
@given(cosine_rows, class_counts, st.sampled_from([0.1, 0.5, 1.0]), st.sampled_from([1.0, 10.0, 30.0]))
def test_equals_a_loop(rows: list[list[float]], counts: list[int], max_margin: float, scale: float) -> None:
    method = prepared(counts, max_margin=max_margin, scale=scale)
    logits = torch.tensor(rows, dtype=torch.float64)
    margins = [max_margin * (min(counts) / count) ** 0.25 for count in counts]
    expected = [loop(row, index % 3, margins, scale) for index, row in enumerate(rows)]
    losses = method.example_losses(logits, make_batch(len(rows)))
    assert losses.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_logits_are_cosines() -> None:
    head, features = cosine_head()
    for example, found in zip(features.tolist(), head(features).tolist(), strict=True):
        for vector, cosine in zip(head.weight.tolist(), found, strict=True):
            product = sum(map(math.prod, zip(vector, example, strict=True)))
            assert cosine == pytest.approx(product / math.hypot(*vector) / math.hypot(*example), abs=1e-6)
    torch.testing.assert_close(head(head.weight).diagonal(), torch.ones(3))
    assert (head(-1e3 * features).abs() <= 1 + 1e-6).all()


@pytest.mark.parametrize("factor", [1e-3, 7.0, 1e4])
def test_lengths_do_not_matter(factor: float) -> None:
    head, features = cosine_head()
    before = head(features)
    torch.testing.assert_close(head(factor * features), before)
    head.weight.data[1] *= factor
    torch.testing.assert_close(head(features), before)


def test_features_of_zero_are_no_obstacle() -> None:
    head, _ = cosine_head()
    features = torch.zeros(2, 8, requires_grad=True)
    logits = head(features)
    logits.sum().backward()
    assert not logits.any()
    assert features.grad is not None
    assert features.grad.isfinite().all()


def test_the_model_starts_as_the_suites(workbench: Any) -> None:
    plain, model = workbench.problem(Sgd()).model, workbench.problem(Ldam()).model
    ours = model.state_dict()
    for name, value in plain.body.state_dict(prefix="body.").items():
        assert torch.equal(ours[name], value), name
    torch.testing.assert_close(F.normalize(model.head.weight), F.normalize(plain.head.weight))
    assert [name for name, _ in model.head.named_parameters()] == ["weight"]


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_evaluation_takes_scaled_cosines_without_margins(scale: float, golden_batch: Any) -> None:
    logits, _ = golden_batch
    adjusted = prepared([500, 50, 5], scale=scale).adjust_logits(logits)
    torch.testing.assert_close(adjusted, scale * logits)


@pytest.mark.parametrize(("start", "first"), [(0.8, 8), (1.0, 10)])
def test_weights_are_deferred(start: float, first: int, workbench: Any) -> None:
    method = Ldam(start=start)
    problem = workbench.problem(method)
    method.prepare(problem)
    weights = [method.example_weights(workbench.step(problem, epoch=epoch)) for epoch in range(10)]
    is_plain = [bool((epoch_weights == 1).all()) for epoch_weights in weights]
    assert is_plain == [True] * first + [False] * (10 - first)


def test_a_class_without_examples_is_no_obstacle(golden_batch: Any) -> None:
    """Label noise can empty a class."""
    logits, batch = golden_batch
    assert prepared([500, 50, 0]).example_losses(logits, batch).isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_margin": 0.0}, "max_margin is 0; it must be positive"),
        ({"max_margin": math.nan}, "max_margin is nan"),
        ({"scale": -1.0}, "scale is -1; it must be positive"),
        ({"beta": 1.0}, "beta is 1; it must be at least 0 and below 1"),
        ({"start": 1.5}, "start is 1.5; it must lie between 0 and 1"),
    ],
)
def test_impossible_options_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Ldam(**options)

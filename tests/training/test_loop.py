"""The training loop: schedules, stages, batch order, and its arithmetic against a loop written by hand."""

import copy
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, ClassVar

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from torch import Tensor, nn

from reweightbench.benchmark.cells.cell import Budget
from reweightbench.benchmark.contracts.errors import NonFiniteLossError, UsageError
from reweightbench.benchmark.contracts.method import Method, Stage, Step, divide_epochs
from reweightbench.benchmark.contracts.network import Classifier, Twin
from reweightbench.benchmark.contracts.problem import Batch, Knowledge, Problem
from reweightbench.benchmark.contracts.seeding import seeded
from reweightbench.benchmark.data.augmentation import normalise
from reweightbench.benchmark.training.epoch import Epoch
from reweightbench.benchmark.training.examples import Examples, Inputs, Order
from reweightbench.benchmark.training.loop import Training, learning_rate

TRAINING_EXAMPLES, CLEAN_EXAMPLES, CLASSES = 25, 6, 3
MEAN, STD = 0.4, 0.3
STREAM_SEED = 11

quick = settings(max_examples=50, deadline=None, derandomize=True)


@dataclass
class Probe(Method):
    """A method made of functions, which notes what the loop shows it."""

    paper: ClassVar[str] = "none"

    weigh: Callable[[Tensor], Tensor] = torch.ones_like
    parts: tuple[Stage, ...] = (Stage(),)
    sample: Tensor | None = None
    steps: list[Step] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)

    def stages(self) -> tuple[Stage, ...]:
        return self.parts

    def start_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)

    def sampling_weights(self, epoch: int) -> Tensor | None:
        return self.sample

    def example_weights(self, step: Step) -> Tensor:
        self.steps.append(step)
        return self.weigh(step.losses)


def build_model(seed: int = 0) -> Classifier:
    def build() -> Classifier:
        body = nn.Sequential(nn.Flatten(), nn.Linear(16, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU())
        return Classifier(body, nn.Linear(8, CLASSES))

    return seeded(seed, build)


def make_examples() -> Examples:
    stream = torch.Generator().manual_seed(5)
    total = TRAINING_EXAMPLES + CLEAN_EXAMPLES
    return Examples(
        images=torch.randint(256, (total, 1, 4, 4), generator=stream).to(torch.uint8),
        targets=torch.randint(CLASSES, (total,), generator=stream),
        is_mislabelled=torch.arange(TRAINING_EXAMPLES) < 8,
    )


def make_training(method: Method, model: Classifier, head_seed: int = 3, **budget: Any) -> Training:
    examples = make_examples()
    defaults = {"epochs": 2, "batch_size": 10, "learning_rate": 0.1, "schedule": "cosine"}
    return Training(
        method=method,
        problem=Problem(
            size=TRAINING_EXAMPLES,
            classes=CLASSES,
            epochs=2,
            model=model,
            generator=torch.Generator(),
            needs=method.needs,
            knowledge=Knowledge(),
            example_losses=method.example_losses,
        ),
        examples=examples,
        inputs=Inputs(torch.tensor([MEAN]), torch.tensor([STD]), "none", torch.contiguous_format),
        budget=Budget(**defaults | budget),
        streams={
            "order": torch.Generator().manual_seed(STREAM_SEED),
            "augmentation": torch.Generator().manual_seed(STREAM_SEED + 1),
        },
        head_seed=head_seed,
    )


def train(method: Method, model: Classifier, **settings: Any) -> list[Epoch]:
    return list(make_training(method, model, **settings).run())


def train_by_hand(model: Classifier, weigh: Callable[[Tensor], Tensor], budget: Budget) -> None:
    """Momentum SGD on mean(weights * losses), tensor by tensor; batches from permutations of the examples."""
    examples = make_examples()
    stream = torch.Generator().manual_seed(STREAM_SEED)
    steps = math.ceil(TRAINING_EXAMPLES / budget.batch_size)
    needed = steps * budget.epochs * budget.batch_size
    order: list[int] = []
    while len(order) < needed:
        order += torch.randperm(TRAINING_EXAMPLES, generator=stream).tolist()
    velocity: dict[str, Tensor] = {}
    model.train()
    for number in range(steps * budget.epochs):
        rate = budget.learning_rate * (1 + math.cos(math.pi * number / (steps * budget.epochs))) / 2
        places = order[number * budget.batch_size : (number + 1) * budget.batch_size]
        images = normalise(examples.images[places], torch.tensor([MEAN]), torch.tensor([STD]))
        losses = F.cross_entropy(model(images), examples.targets[places], reduction="none")
        (weigh(losses.detach()) * losses).mean().backward()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                gradient = parameter.grad.add(parameter, alpha=budget.weight_decay)
                parameter.grad = None
                if name in velocity:
                    velocity[name].mul_(budget.momentum).add_(gradient)
                else:
                    velocity[name] = gradient.clone()
                ahead = gradient.add(velocity[name], alpha=budget.momentum)
                parameter.add_(ahead if budget.nesterov else velocity[name], alpha=-rate)


def states_equal(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize(
    "weigh",
    [
        torch.ones_like,
        # Neither of mean 1 nor bounded by 1: a rescaling would show.
        lambda losses: 3 * losses.sigmoid(),
        lambda losses: 0.01 * losses.square(),
    ],
    ids=["ones", "large", "small"],
)
def test_equals_a_loop_written_by_hand(weigh: Callable[[Tensor], Tensor], nesterov: bool) -> None:
    model, by_hand = build_model(), build_model()
    train(Probe(weigh), model, nesterov=nesterov, weight_decay=0.01)
    train_by_hand(
        by_hand,
        weigh,
        Budget(epochs=2, batch_size=10, learning_rate=0.1, nesterov=nesterov, weight_decay=0.01),
    )
    assert not states_equal(model, build_model())
    assert states_equal(model, by_hand)


def test_repeats_exactly() -> None:
    first, second = build_model(), build_model()
    train(Probe(), first)
    train(Probe(), second)
    assert states_equal(first, second)


def test_methods_see_the_step_before_its_update() -> None:
    method, model = Probe(), build_model()
    before = copy.deepcopy(model).train()
    examples = make_examples()
    train(method, model)
    step = method.steps[0]
    images = (examples.images[step.batch.index].float() / 255 - MEAN) / STD
    features = before.features(images)
    torch.testing.assert_close(step.batch.inputs, images)
    torch.testing.assert_close(step.features, features)
    torch.testing.assert_close(step.logits, before.head(features))
    torch.testing.assert_close(
        step.losses, F.cross_entropy(step.logits, step.batch.targets, reduction="none")
    )
    assert step.batch.targets.tolist() == examples.targets[step.batch.index].tolist()
    assert not any(value.requires_grad for value in (step.features, step.logits, step.losses))
    assert [step.epoch for step in method.steps] == [0, 0, 0, 1, 1, 1]
    rates = [0.1 * (1 + math.cos(math.pi * number / 6)) / 2 for number in range(6)]
    assert [step.learning_rate for step in method.steps] == pytest.approx(rates)


def test_all_zero_weights_still_take_the_step() -> None:
    """Weight decay moves the parameters, and the steps are counted."""
    model, before = build_model(), build_model()
    epochs = train(Probe(torch.zeros_like), model, schedule="constant", momentum=0, weight_decay=0.5)
    assert [epoch.zero_weight_steps for epoch in epochs] == [3, 3]
    shrinkage = (1 - 0.1 * 0.5) ** 6
    for parameter, start in zip(model.parameters(), before.parameters(), strict=True):
        torch.testing.assert_close(parameter, start * shrinkage)


def test_zero_weight_steps_are_counted_one_by_one() -> None:
    calls: list[int] = []

    def zero_every_second(losses: Tensor) -> Tensor:
        calls.append(1)
        return torch.full_like(losses, len(calls) % 2)

    epochs = train(Probe(zero_every_second), build_model())
    assert [epoch.zero_weight_steps for epoch in epochs] == [1, 2]


def test_weights_of_some_examples_may_be_zero() -> None:
    epochs = train(Probe(lambda losses: (losses > losses.median()).float()), build_model())
    assert [epoch.zero_weight_steps for epoch in epochs] == [0, 0]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_end_the_run(value: float) -> None:
    with pytest.raises(NonFiniteLossError, match="epoch 0"):
        train(Probe(lambda losses: torch.full_like(losses, value)), build_model())


def test_a_last_weight_that_is_not_finite_ends_the_run() -> None:
    """No later loss would tell."""
    calls: list[int] = []

    def spoil_the_third(losses: Tensor) -> Tensor:
        calls.append(1)
        return torch.full_like(losses, math.nan if len(calls) == 3 else 1.0)

    with pytest.raises(NonFiniteLossError, match="epoch 0"):
        train(Probe(spoil_the_third), build_model(), epochs=1)


def test_losses_that_are_not_finite_end_the_run() -> None:
    """A rate this high overflows within the first epochs."""
    with pytest.raises(NonFiniteLossError, match="non-finite in epoch"):
        train(Probe(lambda losses: losses.square()), build_model(), learning_rate=1e6, epochs=5)


def test_epoch_figures() -> None:
    method = Probe(lambda losses: losses)
    first, _ = train(method, build_model())
    steps = method.steps[:3]
    losses, index, logits, targets = (
        torch.cat(part)
        for part in zip(
            *((step.losses, step.batch.index, step.logits, step.batch.targets) for step in steps),
            strict=True,
        )
    )
    hits = logits.argmax(1) == targets
    wrong = index < 8
    by_example: dict[int, list[float]] = {}
    for place, loss in zip(index.tolist(), losses.tolist(), strict=True):
        by_example.setdefault(place, []).append(loss)
    means = {place: sum(values) / len(values) for place, values in by_example.items()}
    clean = [mean for place, mean in means.items() if place >= 8]
    mislabelled = [mean for place, mean in means.items() if place < 8]
    pairs = [(one > other) + 0.5 * (one == other) for one in clean for other in mislabelled]
    assert first.number == 0
    assert first.steps == 3
    assert first.train_loss == pytest.approx(losses.mean().item())
    assert first.train_accuracy == pytest.approx(hits.float().mean().item())
    assert first.memorised == pytest.approx(hits[wrong].float().mean().item())
    assert first.weight_clean == pytest.approx(sum(clean) / len(clean), rel=1e-5)
    assert first.weight_mislabelled == pytest.approx(sum(mislabelled) / len(mislabelled), rel=1e-5)
    assert first.weight_auroc == pytest.approx(sum(pairs) / len(pairs))
    assert first.learning_rate == method.steps[2].learning_rate


def test_methods_without_weights_have_no_weight_figures() -> None:
    first, _ = train(Sampled(), build_model())
    assert first.weight_clean is first.weight_mislabelled is first.weight_auroc is None
    assert first.memorised is not None


@pytest.mark.parametrize(
    ("weigh", "message"),
    [
        (lambda losses: -losses, "a weight was -.* in epoch 0; weights are at least 0"),
        (lambda losses: losses[:, None], r"\(10, 1\) weights for \(10,\) losses"),
        (lambda losses: losses.clone().requires_grad_(), "weights carry a gradient; detach them"),
    ],
    ids=["negative", "column", "gradient"],
)
def test_weights_that_break_the_contract_end_the_run(weigh: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train(Probe(weigh), build_model())


@dataclass
class Hooked(Method):
    """A method that trains on negatives, evaluates reversed logits and notes its ended steps."""

    paper: ClassVar[str] = "none"

    model: Classifier = field(default_factory=build_model)
    before: list[Tensor] = field(default_factory=list)
    after: list[Tensor] = field(default_factory=list)
    inputs: list[Tensor] = field(default_factory=list)
    ended: list[Step] = field(default_factory=list)

    def augment_batch(self, batch: Batch) -> Batch:
        self.inputs.append(batch.inputs)
        return Batch(batch.index, -batch.inputs, batch.targets)

    def example_weights(self, step: Step) -> Tensor:
        self.before.append(self.model.head.weight.detach().clone())
        return super().example_weights(step)

    def end_step(self, step: Step) -> None:
        self.after.append(self.model.head.weight.detach().clone())
        self.ended.append(step)

    def adjust_logits(self, logits: Tensor) -> Tensor:
        return -logits


def test_a_method_may_change_the_batch() -> None:
    method = Hooked()
    train(method, method.model)
    assert len(method.inputs) == len(method.ended)
    for inputs, step in zip(method.inputs, method.ended, strict=True):
        assert torch.equal(step.batch.inputs, -inputs)


def test_a_step_ends_after_its_update() -> None:
    method = Hooked()
    train(method, method.model)
    assert not any(map(torch.equal, method.before, method.after))
    assert all(map(torch.equal, method.before[1:], method.after))


def test_predictions_are_those_of_evaluation() -> None:
    method = Hooked()
    first, _ = train(method, method.model)
    steps = method.ended[:3]
    hits = torch.cat([step.logits.argmin(1) == step.batch.targets for step in steps])
    wrong = torch.cat([step.batch.index for step in steps]) < 8
    assert first.train_accuracy == pytest.approx(hits.float().mean().item())
    assert first.memorised == pytest.approx(hits[wrong].float().mean().item())


@dataclass
class Paired(Method):
    """Two networks that each learn from every example, evaluated by the first."""

    paper: ClassVar[str] = "none"

    steps: list[Step] = field(default_factory=list)

    def example_losses(self, logits: Tensor, batch: Batch) -> Tensor:
        targets = batch.targets[:, None].expand(-1, 2)
        return F.cross_entropy(logits.transpose(1, 2), targets, reduction="none").sum(1)

    def end_step(self, step: Step) -> None:
        self.steps.append(step)

    def adjust_logits(self, logits: Tensor) -> Tensor:
        return logits[:, 0]


def test_a_twin_is_two_networks_trained_side_by_side() -> None:
    first, second = build_model(0), build_model(1)
    apart = [copy.deepcopy(first), copy.deepcopy(second)]
    method, twin = Paired(), Twin(first, second)
    epochs = train(method, twin)
    alone = [train(Probe(), model) for model in apart]
    assert method.steps[0].logits.shape == (10, 2, CLASSES)
    assert method.steps[0].features.shape == (10, 2, 8)
    for together, by_itself in zip((first, second), apart, strict=True):
        for value, expected in zip(
            together.state_dict().values(), by_itself.state_dict().values(), strict=True
        ):
            torch.testing.assert_close(value, expected)
    assert [epoch.train_accuracy for epoch in epochs] == [epoch.train_accuracy for epoch in alone[0]]


@dataclass
class Sampled(Method):
    """A method without weights of its own, which notes its examples and can draw one class only."""

    paper: ClassVar[str] = "none"

    sample: Tensor | None = None
    pool: Any = "train"
    places: list[int] = field(default_factory=list)

    def stages(self) -> tuple[Stage, ...]:
        return (Stage(pool=self.pool),)

    def sampling_weights(self, epoch: int) -> Tensor | None:
        return self.sample

    def example_losses(self, logits: Tensor, batch: Batch) -> Tensor:
        self.places += batch.index.tolist()
        return super().example_losses(logits, batch)


@pytest.mark.parametrize("pool", ["train", "clean", "train+clean"])
def test_every_pool_gets_the_same_number_of_steps(pool: Any) -> None:
    method = Sampled(pool=pool)
    epochs = train(method, build_model())
    assert [epoch.steps for epoch in epochs] == [3, 3]
    first = TRAINING_EXAMPLES if pool == "clean" else 0
    last = TRAINING_EXAMPLES if pool == "train" else TRAINING_EXAMPLES + CLEAN_EXAMPLES
    counts = Counter(method.places)
    assert set(counts) == set(range(first, last))
    assert sum(counts.values()) == 60
    assert max(counts.values()) - min(counts.values()) <= 1


def test_sampling_weights_choose_the_examples() -> None:
    sample = torch.zeros(TRAINING_EXAMPLES)
    sample[[3, 9]] = torch.tensor([1.0, 2.0])
    method = Sampled(sample=sample)
    train(method, build_model(), epochs=40)
    counts = Counter(method.places)
    assert set(counts) == {3, 9}
    assert counts[9] / sum(counts.values()) == pytest.approx(2 / 3, abs=0.06)


def test_sampling_weights_of_the_wrong_length_are_refused() -> None:
    with pytest.raises(ValueError, match="26 sampling weights for a pool of 25 examples"):
        train(Sampled(sample=torch.ones(TRAINING_EXAMPLES + 1)), build_model())


@quick
@given(st.integers(1, 30), st.integers(1, 12), st.integers(1, 12))
def test_order_uses_every_example_equally_often(size: int, batch_size: int, batches: int) -> None:
    pool = torch.arange(100, 100 + size)
    order = Order(pool, torch.Generator().manual_seed(0))
    taken = [order.take(batch_size).tolist() for _ in range(batches)]
    assert all(len(batch) == batch_size for batch in taken)
    sequence = list(chain.from_iterable(taken))
    for start in range(0, len(sequence), size):
        part = sequence[start : start + size]
        assert len(set(part)) == len(part)
        assert set(part) <= set(pool.tolist())


def test_order_is_a_new_permutation_every_time() -> None:
    order = Order(torch.arange(20), torch.Generator().manual_seed(0))
    first, second = order.take(20).tolist(), order.take(20).tolist()
    assert first != second
    assert sorted(first) == sorted(second) == list(range(20))


def test_weighted_order_draws_in_proportion() -> None:
    order = Order(torch.tensor([7, 8, 9]), torch.Generator().manual_seed(0))
    drawn = order.take(20_000, torch.tensor([1.0, 0.0, 3.0]))
    assert (drawn == 8).sum() == 0
    assert (drawn == 9).float().mean().item() == pytest.approx(0.75, abs=0.015)


def test_weighted_order_refuses_weights_of_another_length() -> None:
    order = Order(torch.arange(20), torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="3 sampling weights for a pool of 20"):
        order.take(5, torch.ones(3))


@pytest.mark.parametrize(
    ("schedule", "progress", "expected"),
    [
        ("constant", 0.0, 0.2),
        ("constant", 0.99, 0.2),
        ("cosine", 0.0, 0.2),
        ("cosine", 1 / 3, 0.15),
        ("cosine", 0.5, 0.1),
        ("cosine", 1.0, 0.0),
        ("step", 0.0, 0.2),
        ("step", 0.499, 0.2),
        ("step", 0.5, 0.02),
        ("step", 0.749, 0.02),
        ("step", 0.75, 0.002),
        ("step", 0.999, 0.002),
    ],
)
def test_learning_rate_schedules(schedule: Any, progress: float, expected: float) -> None:
    budget = Budget(epochs=1, learning_rate=0.2, schedule=schedule)
    assert learning_rate(budget, progress) == pytest.approx(expected, abs=1e-12)


def test_the_schedule_restarts_with_each_stage() -> None:
    method = Probe(parts=(Stage(share=0.5), Stage(share=0.5, pool="clean")))
    train(method, build_model(), epochs=4)
    rates = [step.learning_rate for step in method.steps]
    assert rates[:6] == rates[6:]
    assert rates[0] == 0.1
    assert rates[5] < 0.01
    assert method.epochs == [0, 1, 2, 3]
    assert [step.epoch for step in method.steps] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_momentum_restarts_with_each_stage() -> None:
    """Two stages of one epoch are two runs of one epoch, each with a new optimizer."""
    staged, apart = build_model(), build_model()
    train(Probe(parts=(Stage(share=0.5), Stage(share=0.5))), staged, schedule="constant")
    training = make_training(Probe(), apart, epochs=1, schedule="constant")
    for _ in range(2):
        training.epochs_done = 0
        list(training.run())
    assert states_equal(staged, apart)
    continued = build_model()
    train(Probe(), continued, schedule="constant")
    assert not states_equal(staged, continued)


def test_training_the_head_leaves_the_body() -> None:
    model = build_model()
    start = copy.deepcopy(model)
    train(Probe(parts=(Stage(trainable="head"),)), model)
    assert states_equal(model.body, start.body)
    assert any("running_mean" in name for name in model.body.state_dict())
    assert not torch.equal(model.head.weight, start.head.weight)
    assert not torch.equal(model.head.bias, start.head.bias)


def test_the_body_is_trained_again_after_a_stage_of_the_head() -> None:
    model = build_model()
    start = copy.deepcopy(model)
    run = make_training(
        Probe(parts=(Stage(share=0.5, trainable="head"), Stage(share=0.5, trainable="all"))), model
    ).run()
    next(run)
    assert states_equal(model.body, start.body)
    next(run)
    pairs = zip(model.body.state_dict().values(), start.body.state_dict().values(), strict=True)
    assert not any(torch.equal(one, other) for one, other in pairs)


def test_resetting_the_head_changes_the_head_only() -> None:
    """With a step that moves nothing, what is left is the reset."""
    start = build_model()
    heads = []
    for head_seed in (3, 3, 4):
        model = build_model()
        still = {"learning_rate": 1e-38, "momentum": 0, "weight_decay": 0}
        stage = Stage(trainable="head", reset_head=True)
        train(Probe(parts=(stage,)), model, head_seed=head_seed, **still)
        assert states_equal(model.body, start.body)
        assert not torch.equal(model.head.weight, start.head.weight)
        assert not torch.equal(model.head.bias, start.head.bias)
        heads.append(model.head)
    assert states_equal(heads[0], heads[1])
    assert not states_equal(heads[0], heads[2])


def test_resetting_the_head_leaves_the_global_stream_alone() -> None:
    state = torch.get_rng_state()
    train(Probe(parts=(Stage(reset_head=True),)), build_model())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("shares", "epochs", "expected"),
    [
        ((1.0,), 7, [7]),
        ((0.8, 0.2), 30, [24, 6]),
        ((0.8, 0.2), 8, [6, 2]),
        ((0.8, 0.2), 3, [2, 1]),
        ((1 / 3, 1 / 3, 1 / 3), 10, [3, 4, 3]),
        ((0.1,) * 10, 10, [1] * 10),
    ],
)
def test_epochs_are_divided(shares: tuple[float, ...], epochs: int, expected: list[int]) -> None:
    stages = tuple(Stage(share=share) for share in shares)
    divided = divide_epochs(stages, epochs)
    assert [stage for stage, _ in divided] == list(stages)
    assert [length for _, length in divided] == expected


@quick
@given(st.floats(0.05, 0.95), st.integers(20, 300))
def test_every_epoch_belongs_to_a_stage(share: float, epochs: int) -> None:
    (_, first), (_, second) = divide_epochs((Stage(share=share), Stage(share=1 - share)), epochs)
    assert first + second == epochs
    assert abs(first - share * epochs) <= 0.5 + 1e-9


@pytest.mark.parametrize("shares", [(0.5, 0.2), (0.9, 0.2)])
def test_shares_that_do_not_sum_to_one_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match=f"sum to {sum(shares):g}"):
        divide_epochs(tuple(Stage(share=share) for share in shares), 30)


@pytest.mark.parametrize(("shares", "epochs"), [((0.8, 0.2), 2), ((0.8, 0.2), 1)])
def test_epochs_that_cannot_be_divided_are_refused(shares: tuple[float, ...], epochs: int) -> None:
    with pytest.raises(UsageError, match=f"{epochs} epochs cannot be divided into stages with shares"):
        divide_epochs(tuple(Stage(share=share) for share in shares), epochs)


def test_prediction_uses_running_statistics_and_leaves_them() -> None:
    training = make_training(Probe(), build_model())
    list(training.run())
    model, examples = training.problem.model, training.examples
    before = copy.deepcopy(model)
    probabilities = training.inputs.predict(model, training.method, examples.images)
    images = (examples.images.float() / 255 - MEAN) / STD
    expected = before.eval()(images).double().softmax(1)
    assert probabilities.dtype == torch.float64
    torch.testing.assert_close(probabilities, expected, rtol=1e-6, atol=1e-7)
    assert states_equal(model, before)


def test_predictions_that_are_not_finite_are_an_error() -> None:
    training = make_training(Probe(), build_model())
    training.problem.model.head.bias.data[1] = math.inf
    with pytest.raises(NonFiniteLossError, match="outputs became non-finite"):
        training.inputs.predict(training.problem.model, training.method, training.examples.images)

"""Networks: shapes, sizes, seeds, and forward-mode derivatives of every network."""

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp

from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.network import Classifier
from reweightbench.benchmark.contracts.registry import NETWORKS
from reweightbench.benchmark.networks.classifier import build_classifier
from reweightbench.benchmark.networks.imagenet import Resnet18
from reweightbench.benchmark.networks.small import ResidualBlock

PIXELS = {"small_cnn": 8}
LABELS = [*NETWORKS.classes, "resnet18(stem=cifar)"]

every_network = pytest.mark.parametrize("label", LABELS)


def build(label: str, *, channels: int = 3, classes: int = 10, body: int = 0, head: int = 1) -> Classifier:
    return build_classifier(
        NETWORKS.create(label),
        channels=channels,
        classes=classes,
        body_seed=body,
        head_seed=head,
        sources=Sources(),
    )


def draw_images(label: str, count: int, channels: int = 3) -> Tensor:
    size = PIXELS.get(label, 16)
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(0))


def is_equal(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def count_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@every_network
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes(label: str, channels: int) -> None:
    model = build(label, channels=channels, classes=7)
    images = draw_images(label, 4, channels)
    features = model.features(images)
    assert features.shape == (4, model.head.in_features)
    assert model(images).shape == (4, 7)


@every_network
def test_body_and_head_each_depend_on_their_own_seed(label: str) -> None:
    model = build(label, body=3, head=4)
    assert is_equal(model, build(label, body=3, head=4))
    assert is_equal(model.body, build(label, body=3, head=5, classes=4).body)
    assert is_equal(model.head, build(label, body=6, head=4).head)
    assert not is_equal(model.body, build(label, body=6, head=4).body)
    assert not is_equal(model.head, build(label, body=3, head=5).head)


@every_network
def test_building_leaves_torchs_global_stream_untouched(label: str) -> None:
    before = torch.get_rng_state()
    build(label)
    assert torch.equal(before, torch.get_rng_state())


@every_network
def test_forward_mode_derivatives_agree_with_reverse_mode(label: str) -> None:
    """Along a direction t of the parameters, <v, J t> is <J' v, t>; in training mode, as meta-gradients do."""
    model = build(label, classes=3).double().train()
    images = draw_images(label, 6).double()
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    parameters = {name: value.detach() for name, value in model.named_parameters()}
    generator = torch.Generator().manual_seed(1)
    tangents = {
        name: 0.1 * torch.randn(value.shape, generator=generator, dtype=value.dtype)
        for name, value in parameters.items()
    }
    cotangent = torch.randn(6, 3, generator=generator, dtype=torch.float64)

    def logits(point: dict[str, Tensor]) -> Tensor:
        state = {name: value.clone() for name, value in buffers.items()}
        result: Tensor = functional_call(model, (point, state), (images,))
        return result

    derivative: Tensor = jvp(logits, (parameters,), (tangents,))[1]
    forward = (cotangent * derivative).sum()
    (cotangent * model(images)).sum().backward()
    gradients = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    reverse = torch.stack([(gradients[name] * tangents[name]).sum() for name in parameters]).sum()
    assert forward.abs() > 1e-3
    torch.testing.assert_close(forward, reverse, rtol=1e-8, atol=0)


@every_network
def test_no_layer_overwrites_what_another_one_returned(label: str) -> None:
    changed = [module for module in build(label).modules() if getattr(module, "inplace", False)]
    assert not changed


@every_network
def test_every_parameter_gets_a_gradient(label: str) -> None:
    model = build(label)
    model(draw_images(label, 4)).square().sum().backward()
    unused = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert not unused


@pytest.mark.parametrize(
    ("label", "size"),
    [
        # With the 10-class head: He et al. 2016, table 6 gives 0.27M and 0.46M.
        ("resnet20", 269_722),
        ("resnet32", 464_154),
        # torchvision's documentation, for the 1,000-class head.
        ("resnet18", 11_689_512 - 513 * 1000 + 513 * 10),
        ("resnet50", 25_557_032 - 2049 * 1000 + 2049 * 10),
    ],
)
def test_number_of_parameters(label: str, size: int) -> None:
    assert count_parameters(build(label)) == size


@pytest.mark.parametrize(("label", "layers"), [("resnet8", 8), ("resnet20", 20), ("resnet32", 32)])
def test_small_resnets_have_the_layers_in_their_name(label: str, layers: int) -> None:
    weighted = [module for module in build(label).modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(weighted) == layers


@pytest.mark.parametrize("label", ["resnet8", "resnet18", "resnet18(stem=cifar)"])
def test_convolutions_start_kaiming_normal_by_fan_out(label: str) -> None:
    for module in build(label).modules():
        if isinstance(module, nn.Conv2d):
            outgoing = module.out_channels * module.kernel_size[0] * module.kernel_size[1]
            assert module.weight.std().item() == pytest.approx((2 / outgoing) ** 0.5, rel=0.15)
            assert abs(module.weight.mean().item()) < 0.02


def test_shortcut_takes_every_second_pixel_and_pads_with_zero_channels() -> None:
    block = ResidualBlock(2, 5, 2)
    maps = torch.randn(3, 2, 6, 4, generator=torch.Generator().manual_seed(0))
    expected = torch.zeros(3, 5, 3, 2)
    for example in range(3):
        for channel in range(2):
            for row in range(3):
                for column in range(2):
                    expected[example, channel, row, column] = maps[example, channel, 2 * row, 2 * column]
    assert torch.equal(block.shortcut(maps), expected)
    assert not list(block.parameters(recurse=False))


def test_a_block_whose_residual_is_zero_is_its_shortcut() -> None:
    block = ResidualBlock(4, 4, 1)
    normalisation = block.residual[-1]
    assert isinstance(normalisation, nn.BatchNorm2d)
    nn.init.zeros_(normalisation.weight)
    maps = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(block(maps), maps.relu())


def test_cifar_stem_keeps_the_resolution_that_the_imagenet_stem_divides_by_four() -> None:
    assert find_size_of_first_layer("resnet18(stem=imagenet)") == (64, 4, 4)
    assert find_size_of_first_layer("resnet18(stem=cifar)") == (64, 16, 16)


def find_size_of_first_layer(label: str) -> tuple[int, ...]:
    """Size of what `layer1` gets for an image of 16x16 pixels."""
    body, sizes = build(label).body, []
    body.get_submodule("layer1").register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].shape))
    body(draw_images(label, 2))
    return tuple(sizes[0][1:])


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("resnet18(stem=vgg)", "'imagenet' or 'cifar'"),
        ("resnet18(weights=imagenet, stem=cifar)", "stem=imagenet or weights=none"),
        ("resnet50(weights=sha256:0123)", "sha256:<16 hex digits>, not 'sha256:0123'"),
        ("resnet50(weights=IMAGENET)", "none, imagenet or sha256"),
    ],
)
def test_impossible_options_are_refused_in_one_line(label: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        NETWORKS.create(label)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_options_survive_the_way_through_a_label() -> None:
    network = Resnet18(weights="sha256:0123456789abcdef")
    label = NETWORKS.label(NETWORKS.spec(network))
    assert label == "resnet18(weights=sha256:0123456789abcdef)"
    assert NETWORKS.create(label) == network

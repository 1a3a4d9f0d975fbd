"""Augmentation: exact windows and mirrorings, statistics removed, and nothing but the generator decides."""

from typing import get_args

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from reweightbench.benchmark.contracts.dataset import AugmentationName
from reweightbench.benchmark.data import augmentation
from reweightbench.benchmark.data.augmentation import augment, normalise

NAMES = get_args(AugmentationName)

quick = settings(deadline=None, derandomize=True, max_examples=25)
shapes = st.tuples(st.integers(1, 5), st.sampled_from([1, 3]), st.integers(4, 20), st.integers(4, 20))
seeds = st.integers(0, 2**32)


def draw_images(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(256, shape, generator=stream(seed), dtype=torch.uint8)


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def change(images: Tensor, name: AugmentationName, seed: int) -> Tensor:
    """Augmented images with statistics that leave pixel values in [0, 1]."""
    channels = images.shape[1]
    return augment(images, name, torch.zeros(channels), torch.ones(channels), stream(seed))


def find_windows(image: Tensor, result: Tensor) -> set[tuple[int, int, bool]]:
    """Every (top, left, mirrored) at which the padded image `(ch, h, w)` shows the result, by trying all."""
    channels, height, width = image.shape
    padding = height // 8
    padded = torch.zeros(channels, height + 2 * padding, width + 2 * padding)
    padded[:, padding : padding + height, padding : padding + width] = image
    found = set()
    for top in range(2 * padding + 1):
        for left in range(2 * padding + 1):
            window = padded[:, top : top + height, left : left + width]
            for mirrored in (False, True):
                if torch.equal((window.flip(2) if mirrored else window).round(), (result * 255).round()):
                    found.add((top, left, mirrored))
    return found


@pytest.mark.parametrize("name", NAMES)
@given(shape=shapes, seed=seeds)
@quick
def test_a_seed_gives_one_result_and_the_shape_stays(
    name: AugmentationName, shape: tuple[int, int, int, int], seed: int
) -> None:
    images = draw_images(*shape)
    before = images.clone()
    first, second = change(images, name, seed), change(images, name, seed)
    assert torch.equal(first, second)
    assert first.shape == images.shape
    assert first.dtype == torch.float32
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", ["crop_flip", "lesion"])
def test_two_seeds_and_two_calls_differ(name: AugmentationName) -> None:
    images = draw_images(8, 3, 16, 16)
    generator = stream(0)
    mean, std = torch.zeros(3), torch.ones(3)
    first = augment(images, name, mean, std, generator)
    assert not torch.equal(first, change(images, name, 1))
    assert not torch.equal(first, augment(images, name, mean, std, generator))


@pytest.mark.parametrize("name", NAMES)
def test_torchs_global_stream_is_untouched(name: AugmentationName) -> None:
    before = torch.get_rng_state()
    change(draw_images(4, 3, 16, 16), name, 0)
    assert torch.equal(before, torch.get_rng_state())


@given(shape=shapes, seed=seeds)
@quick
def test_normalise_removes_the_statistics(shape: tuple[int, int, int, int], seed: int) -> None:
    images = draw_images(*shape, seed=seed)
    mean = torch.rand(shape[1], generator=stream(seed))
    std = torch.rand(shape[1], generator=stream(seed + 1)) + 0.1
    result = normalise(images, mean, std)
    assert result.dtype == torch.float32
    for channel in range(shape[1]):
        expected = (images[:, channel].double() / 255 - mean[channel]) / std[channel]
        torch.testing.assert_close(result[:, channel].double(), expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(result, augment(images, "none", mean, std, stream(0)))


def test_normalise_leaves_float_images_as_they_are() -> None:
    images = draw_images(2, 3, 4, 4).float()
    before = images.clone()
    normalise(images, torch.full((3,), 0.5), torch.full((3,), 0.5))
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", ["crop_flip", "lesion"])
def test_statistics_are_removed_after_the_change(name: AugmentationName) -> None:
    images = draw_images(6, 3, 16, 16)
    mean, std = torch.tensor([0.1, 0.5, 0.9]), torch.tensor([0.2, 0.3, 0.4])
    expected = (change(images, name, 3) - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(augment(images, name, mean, std, stream(3)), expected)


@given(shape=shapes, seed=seeds)
@quick
def test_crop_flip_shows_a_window_of_each_padded_image(shape: tuple[int, int, int, int], seed: int) -> None:
    images = draw_images(*shape, seed=seed)
    for image, result in zip(images, change(images, "crop_flip", seed), strict=True):
        assert find_windows(image, result)


@pytest.mark.parametrize("size", [16, 32])
def test_crop_flip_reaches_every_window_and_mirrors_half_of_the_images(size: int) -> None:
    places = 2 * (size // 8) + 1
    image = draw_images(1, 3, size, size)
    results = change(image.expand(200, -1, -1, -1), "crop_flip", 0)
    [windows, *others] = zip(*(find_windows(image[0], result) for result in results), strict=True)
    assert not others, "random images show only one window"
    for axis in (0, 1):
        assert {window[axis] for window in windows} == set(range(places))
    assert sum(mirrored for _, _, mirrored in windows) / 200 == pytest.approx(0.5, abs=0.1)
    # Both offsets and the mirroring are drawn apart from each other.
    offsets = torch.tensor(windows, dtype=torch.float64).T
    assert torch.corrcoef(offsets).fill_diagonal_(0).abs().max() < 0.25


def test_crop_flip_of_tiny_images_only_mirrors() -> None:
    images = draw_images(50, 1, 4, 4)
    is_same = [
        torch.equal(result * 255, image.float())
        for image, result in zip(images, change(images, "crop_flip", 0), strict=True)
    ]
    assert 10 < sum(is_same) < 40


def test_lesion_keeps_an_even_image_even_and_jitters_its_colour() -> None:
    even = torch.tensor([90, 120, 150], dtype=torch.uint8)[None, :, None, None].expand(200, 3, 24, 24)
    results = change(even, "lesion", 0)
    torch.testing.assert_close(results, results[:, :, :1, :1].expand_as(results))
    pixels = results[:, :, 0, 0]
    brightness = pixels.mean(1) / (120 / 255)
    assert brightness.min() > 0.8 - 1e-4
    assert brightness.max() < 1.2 + 1e-4
    assert brightness.std() > 0.08
    saturation = (pixels[:, 2] - pixels[:, 0]) / (60 / 255)
    assert saturation.min() > 0.8**3 - 1e-4
    assert saturation.max() < 1.2**3 + 1e-4
    assert saturation.std() > 0.08


def test_lesion_mirrors_half_of_the_images_in_each_direction() -> None:
    ramp = torch.arange(0, 250, 10, dtype=torch.uint8)
    for images, axis in (
        (ramp[None, None, None, :].expand(400, 3, 25, 25), 3),
        (ramp[None, None, :, None].expand(400, 3, 25, 25), 2),
    ):
        results = change(images, "lesion", 0)
        slope = results.narrow(axis, 15, 5).mean((1, 2, 3)) - results.narrow(axis, 5, 5).mean((1, 2, 3))
        assert (slope > 0).float().mean().item() == pytest.approx(0.5, abs=0.08)


def test_lesion_shows_a_part_inside_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Channels that hold a pixel's own column and row show which part of the image is left."""
    monkeypatch.setattr(augmentation, "COLOUR_JITTER", 0.0)
    size, step = 48, 5
    places = torch.arange(0, size * step, step, dtype=torch.uint8)
    image = torch.stack([places.expand(size, -1), places[:, None].expand(-1, size)])
    results = change(image.expand(300, -1, -1, -1), "lesion", 0) * 255 / step
    middle = slice(size // 4, 3 * size // 4)
    scale = torch.stack(
        [
            results[:, 0].diff(dim=2)[:, middle, middle].mean((1, 2)),
            results[:, 1].diff(dim=1)[:, middle, middle].mean((1, 2)),
        ]
    )
    centre = results[:, :, middle, middle].mean((2, 3)).T - (size - 1) / 2
    assert ((scale < 0).float().mean(1) - 0.5).abs().max() < 0.1
    scale = scale.abs()
    area, aspect = scale.prod(0), scale[0] / scale[1]
    assert 0.6 - 1e-3 < area.min() < 0.65
    assert 0.95 < area.max() < 1 + 1e-3
    assert 0.75 - 1e-3 < aspect.min() < 0.8
    assert 1.25 < aspect.max() < 4 / 3 + 1e-3
    room = (1 - scale) * size / 2
    assert (centre.abs() <= room + 1e-2).all()
    assert (centre.abs() > 0.8 * room).any(1).all()
    assert centre.mean(1).abs().max() < 0.5


@pytest.mark.parametrize("name", ["crop_flip", "lesion"])
def test_images_of_a_batch_change_apart(name: AugmentationName) -> None:
    image = draw_images(1, 3, 32, 32)
    results = change(image.expand(20, -1, -1, -1), name, 0)
    distinct = {result.numpy().tobytes() for result in results}
    assert len(distinct) > 15

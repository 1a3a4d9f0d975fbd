"""What a dataset returned is checked before anything trains on it."""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from reweightbench.benchmark.contracts.dataset import Dataset, ImageData, Sources
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.registry import DATASETS
from reweightbench.benchmark.data.description import Decoded, describe
from reweightbench.benchmark.data.preloaded import load
from reweightbench.benchmark.data.soundness import check_sound

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 8, 9, 3), dtype=np.uint8)
TARGETS = np.arange(30) % 3
IS_TEST = np.arange(30) >= 24


class Own(Dataset):
    """Thirty images of three classes."""

    classes: ClassVar[Any] = ("cat", "dog", "frog")

    def load(self, sources: Sources) -> ImageData:
        return describe(Decoded(images=IMAGES, targets=TARGETS, variant="own", is_test=IS_TEST))


DATA = Own().load(Sources())


def refusal(data: Any, **attributes: Any) -> str:
    """The one line that refuses the data of a dataset with other attributes."""
    dataset = type("Other", (Own,), attributes)()
    with pytest.raises(UsageError) as raised:
        check_sound("other", dataset, data)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith("dataset 'other': ")
    return str(raised.value)


def test_what_keeps_the_contract_is_sound() -> None:
    check_sound("own", Own(), DATA)
    check_sound("own", Own(), describe(Decoded(images=IMAGES, targets=TARGETS, variant="a", groups=TARGETS)))
    check_sound("digits", DATASETS.create("digits"), DATASETS.create("digits").load(Sources()))


@pytest.mark.parametrize(
    ("images", "advice"),
    [
        (IMAGES / 255, "images are float64, not uint8; values lie in 0..1: (255 * images).round()"),
        (IMAGES.astype(np.float32), "values lie in 0..255: images.round().astype(numpy.uint8)"),
        (IMAGES.astype(np.int64), "values lie in 0..255: images.round().astype(numpy.uint8)"),
        ((IMAGES / 255 - 0.5) / 0.2, "values go from -2.5 to 2.5; bring them to 0..255"),
        (IMAGES * np.nan, "values go from nan to nan"),
        (IMAGES.astype(object), "images are object, not uint8"),
        (IMAGES.tolist(), "images are a list; give a numpy array"),
        (IMAGES.transpose(0, 3, 1, 2), "put the channels last: images.transpose(0, 2, 3, 1)"),
        (IMAGES[..., 0], "add the channel: images[..., None]"),
        (IMAGES.reshape(30, -1), "images have shape (30, 216); it must be (n, h, w, ch)"),
        (np.repeat(IMAGES, 3, axis=3)[:, :, :, :7], "ch is 1 to 4"),
        (IMAGES[:, :1, :1], "images have 1x1 pixels; a side needs at least 8"),
        (IMAGES[:0], "there are no images"),
        (np.zeros_like(IMAGES), "mean is "),
    ],
)
def test_images(images: Any, advice: str) -> None:
    assert advice in refusal(replace(DATA, images=images))


@pytest.mark.parametrize(
    ("targets", "advice"),
    [
        (TARGETS.tolist(), "targets are a list"),
        (
            TARGETS.astype(np.int32),
            "targets are int32, not int64; give class numbers from 0: targets.astype(",
        ),
        (TARGETS.astype(float), "targets are float64, not int64"),
        (np.array(["cat", "dog", "frog"] * 10), "targets are <U4, not int64"),
        (np.eye(3)[TARGETS], "give class numbers: targets.argmax(1)"),
        (TARGETS[:-1], "targets have shape (29,), not (30,): one for each image"),
        (TARGETS + 1, "a target is 3; with 3 classes they go from 0 to 2"),
        (TARGETS - 1, "a target is -1; with 3 classes"),
    ],
)
def test_targets(targets: Any, advice: str) -> None:
    assert advice in refusal(replace(DATA, targets=targets))


@pytest.mark.parametrize(
    ("part", "advice"),
    [
        (
            {"is_test": np.zeros(30, dtype=bool)},
            "the test part is empty; mark test images in is_test, or leave",
        ),
        ({"is_test": np.ones(30, dtype=bool)}, "class 'cat' has no example to train on"),
        (
            {"is_test": TARGETS == 1},
            "class 'dog' has no example to train on; add some, or take it out of classes",
        ),
        ({"is_test": IS_TEST.astype(int)}, "is_test is int64; give a numpy array of bool"),
        ({"is_test": IS_TEST.tolist()}, "is_test is a list; give a numpy array of bool"),
        ({"is_test": IS_TEST[1:]}, "is_test has shape (29,), not (30,)"),
        ({"groups": np.arange(29)}, "groups has shape (29,), not (30,)"),
        ({"groups": np.arange(30.0)}, "groups is float64; give a numpy array of int64"),
    ],
)
def test_parts(part: dict[str, Any], advice: str) -> None:
    assert advice in refusal(replace(DATA, **part))


def test_a_class_without_a_test_example_is_sound_and_one_without_any_is_not() -> None:
    is_test = IS_TEST & (TARGETS != 2)
    check_sound("own", Own(), describe(Decoded(images=IMAGES, targets=TARGETS, variant="a", is_test=is_test)))
    assert "class 'bird' has no example to train on" in refusal(DATA, classes=(*Own.classes, "bird"))


@pytest.mark.parametrize(
    ("classes", "advice"),
    [
        (("cat", "dog", "cat"), "two classes are called 'cat'; tell them apart"),
        ((0, 1, 2), "classes are (0, 1, 2); give a tuple of texts"),
        ("abc", "classes are 'abc'; give a tuple of texts"),
        (None, "classes are None; give a tuple of texts"),
        (("cat",), "there is 1 class; a classifier needs at least 2"),
        (("cat", "dog", "\x1b[31m"), r"a class is called '\x1b[31m'"),
        (("cat", "dog", " "), "a class is called ' '"),
    ],
)
def test_classes(classes: Any, advice: str) -> None:
    assert advice in refusal(DATA, classes=classes)


@pytest.mark.parametrize(
    ("figures", "advice"),
    [
        (
            {"mean": (9.0, 9.0, 9.0)},
            "mean is (9.0, 9.0, 9.0), but that of the training pixels in [0, 1] is (",
        ),
        ({"mean": (np.nan,) * 3}, "mean is (nan, nan, nan)"),
        ({"std": (0.2,)}, "std is (0.2,)"),
        ({"fingerprint": "0" * 64}, "the fingerprint is not the sha256 of the arrays; return describe("),
        ({"variant": ""}, "variant is ''; give a short text"),
        ({"variant": "a\nb"}, r"variant is 'a\nb'"),
    ],
)
def test_figures_follow_from_the_arrays(figures: dict[str, Any], advice: str) -> None:
    assert advice in refusal(replace(DATA, **figures))


def test_a_group_may_not_lie_in_two_parts() -> None:
    data = describe(Decoded(images=IMAGES, targets=TARGETS, variant="a", is_test=IS_TEST, groups=TARGETS + 5))
    assert "group 5 lies partly in the test part; no part may divide a group" in refusal(data)


def test_what_the_class_declares() -> None:
    assert "augmentation is 'flip'; it is one of none, crop_flip, lesion" in refusal(
        DATA, augmentation="flip"
    )
    assert "test_fraction is 1.5; it lies between 0 and 1" in refusal(DATA, test_fraction=1.5)


def test_changed_arrays_do_not_keep_the_figures() -> None:
    assert "the fingerprint is not" in refusal(replace(DATA, targets=TARGETS[::-1].copy()))


def test_images_that_are_all_the_same() -> None:
    images = IMAGES.copy()
    images[..., 1] = 7
    data = describe(Decoded(images=images, targets=TARGETS, variant="own"))
    assert "all images are the same in channel 1" in refusal(data)


@pytest.mark.parametrize("returned", [None, (IMAGES, TARGETS)])
def test_something_else_than_image_data(returned: Any) -> None:
    assert "; return an ImageData, as describe makes it" in refusal(returned)


def test_every_dataset_is_checked_where_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = DATASETS.create("digits")
    whole = digits.load(Sources())
    unsound = replace(whole, images=whole.images / 255)
    monkeypatch.setattr(type(digits), "load", lambda *_: unsound)
    with pytest.raises(UsageError, match=r"^dataset 'digits': images are float64, not uint8; values lie in"):
        load(DATASETS.spec(digits), Sources())

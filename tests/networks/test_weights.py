"""Pretrained weights: named by their digest, loaded as they are, refused in one line where they do not fit."""

import hashlib
import os
import urllib.error
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch import Tensor

from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.network import Classifier
from reweightbench.benchmark.networks import weights as pretrained
from reweightbench.benchmark.networks.classifier import build_classifier
from reweightbench.benchmark.networks.imagenet import Resnet18, Resnet50, TorchvisionResnet, choose_weights
from reweightbench.benchmark.networks.small import Resnet8

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    """A state dict as torchvision saves it, with its 1,000-class head and running statistics that are not 0."""
    body, width = Resnet18().build_body(3)
    generator = torch.Generator().manual_seed(0)
    values = {
        name: torch.rand(value.shape, generator=generator) if value.is_floating_point() else value + 7
        for name, value in body.state_dict().items()
    }
    return values | {"fc.weight": torch.zeros(1000, width), "fc.bias": torch.zeros(1000)}


@pytest.fixture
def checkpoint(state: State, tmp_path: Path) -> Path:
    path = tmp_path / "mine.pth"
    torch.save(state, path)
    return path


@pytest.fixture(autouse=True)
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty download cache."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch"


@pytest.fixture
def published(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for torchvision's server, holding the checkpoint under its digest."""
    folder = tmp_path / "server"
    folder.mkdir()
    name = f"resnet18-{digest_of(checkpoint)[:8]}.pth"
    (folder / name).write_bytes(checkpoint.read_bytes())
    monkeypatch.setattr(pretrained, "ADDRESS", f"{folder.as_uri()}/")
    monkeypatch.setattr(Resnet18, "checkpoint", name)
    return folder


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def build(architecture: TorchvisionResnet, path: Path | None = None, channels: int = 3) -> Classifier:
    return build_classifier(
        architecture, channels=channels, classes=7, body_seed=0, head_seed=1, sources=Sources(weights=path)
    )


def refusal(call: Callable[[], object]) -> str:
    """The one line with which the call is refused."""
    with pytest.raises(UsageError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


def assert_holds(model: Classifier, state: State) -> None:
    held = model.body.state_dict()
    assert set(held) == {name for name in state if not name.startswith("fc.")}
    assert all(torch.equal(value, state[name]) for name, value in held.items())


def test_a_users_file_is_loaded_under_its_digest(state: State, checkpoint: Path) -> None:
    architecture = choose_weights(Resnet18(), str(checkpoint))
    assert architecture == Resnet18(weights=f"sha256:{digest_of(checkpoint)[:16]}")
    assert isinstance(architecture, TorchvisionResnet)
    model = build(architecture, checkpoint)
    assert_holds(model, state)
    assert model.head.out_features == 7


def test_head_and_global_stream_are_those_of_training_from_scratch(checkpoint: Path) -> None:
    before = torch.get_rng_state()
    architecture = choose_weights(Resnet18(), str(checkpoint))
    assert isinstance(architecture, TorchvisionResnet)
    head, scratch = build(architecture, checkpoint).head, build(Resnet18()).head
    assert torch.equal(head.get_parameter("weight"), scratch.get_parameter("weight"))
    assert torch.equal(before, torch.get_rng_state())


def test_an_old_checkpoint_without_batch_counts_is_loaded(state: State, tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    old = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    torch.save(old, path, _use_new_zipfile_serialization=False)
    held = build(Resnet18(weights=pretrained.identify(path, Resnet18.checkpoint)), path).body.state_dict()
    assert all(torch.equal(held[name], value) for name, value in old.items() if not name.startswith("fc."))


def test_a_file_with_the_published_digest_is_imagenet(
    state: State, checkpoint: Path, published: Path
) -> None:
    assert choose_weights(Resnet18(), str(checkpoint)) == Resnet18(weights="imagenet")
    assert_holds(build(Resnet18(weights="imagenet"), checkpoint), state)
    # The digest is the other network's, so that to this one the file is any file.
    assert choose_weights(Resnet50(), str(checkpoint)) == Resnet50(
        weights=f"sha256:{digest_of(checkpoint)[:16]}"
    )


def test_imagenet_weights_are_fetched_once(state: State, published: Path, torch_home: Path) -> None:
    assert_holds(build(Resnet18(weights="imagenet")), state)
    cached = torch_home / "hub" / "checkpoints" / Resnet18.checkpoint
    assert cached.read_bytes() == (published / Resnet18.checkpoint).read_bytes()
    (published / Resnet18.checkpoint).unlink()
    assert_holds(build(Resnet18(weights="imagenet")), state)


def test_the_names_of_the_published_files_are_torchvisions() -> None:
    torchvision = pytest.importorskip("torchvision")
    weights = (
        torchvision.models.ResNet18_Weights.IMAGENET1K_V1,
        torchvision.models.ResNet50_Weights.IMAGENET1K_V2,
    )
    assert [entry.url for entry in weights] == [
        pretrained.ADDRESS + architecture.checkpoint for architecture in (Resnet18, Resnet50)
    ]


def test_offline_without_a_file_names_what_was_tried_and_both_ways_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route\nto host")

    monkeypatch.setattr("torch.hub.urlopen", refuse)
    message = refusal(lambda: build(Resnet50(weights="imagenet")))
    assert "https://download.pytorch.org/models/resnet50-11ad3fa6.pth" in message
    assert "no route to host" in message
    assert "--weights PATH" in message
    assert "--weights none" in message


def test_a_download_with_another_digest_is_refused_and_not_kept(published: Path, torch_home: Path) -> None:
    (published / Resnet18.checkpoint).write_bytes(b"tampered")
    assert "failed" in refusal(lambda: build(Resnet18(weights="imagenet")))
    assert not list((torch_home / "hub" / "checkpoints").iterdir())


def test_a_damaged_file_in_the_cache_is_refused(published: Path, torch_home: Path) -> None:
    cached = torch_home / "hub" / "checkpoints" / Resnet18.checkpoint
    cached.parent.mkdir(parents=True)
    cached.write_bytes((published / Resnet18.checkpoint).read_bytes() + b" ")
    message = refusal(lambda: build(Resnet18(weights="imagenet")))
    assert str(cached) in message
    assert "the model has imagenet" in message


def test_another_file_than_the_options_is_refused(checkpoint: Path) -> None:
    asked = "sha256:" + "0" * 16
    message = refusal(lambda: build(Resnet18(weights=asked), checkpoint))
    assert asked in message
    assert digest_of(checkpoint)[:16] in message
    assert "--weights PATH" in refusal(lambda: build(Resnet18(weights=asked)))


def test_without_weights_no_file_is_read(tmp_path: Path) -> None:
    build(Resnet18(), tmp_path / "absent.pth")


def test_none_and_no_option() -> None:
    imagenet = Resnet50(weights="imagenet")
    assert choose_weights(imagenet, "none") == Resnet50()
    assert choose_weights(imagenet, None) == imagenet
    assert choose_weights(Resnet8(), "none") == Resnet8()


def test_options_that_cannot_be_met_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    assert "model 'resnet8' takes no pretrained" in refusal(
        lambda: choose_weights(Resnet8(), str(checkpoint))
    )
    absent = tmp_path / "absent.pth"
    assert f"cannot read '{absent}' (No such file or directory)" in refusal(
        lambda: choose_weights(Resnet18(), str(absent))
    )
    assert "stem=imagenet" in refusal(lambda: choose_weights(Resnet18(stem="cifar"), str(checkpoint)))


def without_a_layer(state: State) -> Any:
    return {name: value for name, value in state.items() if name != "layer1.0.conv1.weight"}


def with_an_unknown_layer(state: State) -> Any:
    return state | {"layer9.weight": torch.zeros(1)}


def with_another_shape(state: State) -> Any:
    return state | {"bn1.weight": torch.zeros(65)}


def with_a_number(state: State) -> Any:
    return state | {"bn1.weight": 3.0}


def wrapped(state: State) -> Any:
    return {"state_dict": state}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without_a_layer, "'layer1.0.conv1.weight' is missing"),
        (with_an_unknown_layer, "'layer9.weight' is unknown"),
        (with_another_shape, "'bn1.weight' has shape (65,), not (64,)"),
        (with_a_number, "'bn1.weight' is no tensor"),
        (wrapped, "'conv1.weight' is missing"),
        (list, "holds a list, not a state_dict"),
    ],
)
def test_a_state_dict_that_does_not_fit_is_refused(
    state: State, tmp_path: Path, change: Callable[[State], Any], reason: str
) -> None:
    path = tmp_path / "other.pth"
    torch.save(change(state), path)
    architecture = Resnet18(weights=pretrained.identify(path, Resnet18.checkpoint))
    message = refusal(lambda: build(architecture, path))
    assert reason in message
    assert str(path) in message


NAME = "layer1.0.bn1.weight"


def spoiled(value: Tensor, place: float) -> Tensor:
    value = value.clone()
    value.view(-1)[3] = place
    return value


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda value: spoiled(value, float("nan")), "holds NaN or infinite values"),
        (lambda value: spoiled(value, float("-inf")), "holds NaN or infinite values"),
        (lambda value: spoiled(value.double(), 1e300), "holds NaN or infinite values in torch.float32"),
        (lambda value: value.to(torch.complex64), "is torch.complex64, not torch.float32"),
        (lambda value: value.to(torch.int8), "is torch.int8, not torch.float32"),
        (lambda value: value.bool(), "is torch.bool, not torch.float32"),
        (lambda value: value.to(torch.float8_e4m3fn), "is torch.float8_e4m3fn, not torch.float32"),
        (lambda value: value.to_sparse(), "is torch.sparse_coo, not dense"),
        (lambda value: value.to("meta"), "is on the meta device, without values"),
    ],
)
def test_what_is_no_finite_dense_number_is_refused_by_its_name(
    state: State, tmp_path: Path, change: Callable[[Tensor], Tensor], reason: str
) -> None:
    path = tmp_path / "other.pth"
    torch.save(state | {NAME: change(state[NAME])}, path)
    architecture = Resnet18(weights=pretrained.identify(path, Resnet18.checkpoint))
    message = refusal(lambda: build(architecture, path))
    assert message.startswith(f"weights '{path}' do not fit the model: '{NAME}' {reason}")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("bn1.num_batches_tracked", torch.tensor(1.5), "is torch.float32, not a count"),
        ("bn1.num_batches_tracked", torch.tensor(-1), "is torch.int64, not a count"),
        ("bn1.running_var", -torch.ones(64), "holds negative variances"),
    ],
)
def test_statistics_that_cannot_be(
    state: State, tmp_path: Path, name: str, value: Tensor, reason: str
) -> None:
    path = tmp_path / "other.pth"
    torch.save(state | {name: value}, path)
    architecture = Resnet18(weights=pretrained.identify(path, Resnet18.checkpoint))
    assert f"'{name}' {reason}" in refusal(lambda: build(architecture, path))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_widths_are_converted(state: State, tmp_path: Path, dtype: torch.dtype) -> None:
    path = tmp_path / "other.pth"
    given = {name: value.to(dtype) if value.is_floating_point() else value for name, value in state.items()}
    torch.save(given, path)
    model = build(Resnet18(weights=pretrained.identify(path, Resnet18.checkpoint)), path)
    assert_holds(model, {name: value.to(state[name].dtype) for name, value in given.items()})


def test_a_pipe_and_an_archive_beyond_reason_are_refused_at_once(tmp_path: Path) -> None:
    pipe, bomb = tmp_path / "pipe.pth", tmp_path / "bomb.pth"
    os.mkfifo(pipe)
    assert "pipe.pth' is a named pipe" in refusal(lambda: choose_weights(Resnet18(), str(pipe)))
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(2**23))
    body, _ = Resnet8().build_body(3)
    assert "bomb.pth' holds 'archive/data/0', 8,388,608 bytes" in refusal(lambda: pretrained.fit(body, bomb))


def test_images_with_another_number_of_channels_do_not_fit(checkpoint: Path) -> None:
    architecture = Resnet18(weights=pretrained.identify(checkpoint, Resnet18.checkpoint))
    assert "(64, 3, 7, 7), not (64, 1, 7, 7)" in refusal(lambda: build(architecture, checkpoint, channels=1))


class Payload:
    """Runs a command when unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.marker,)


def test_code_in_a_checkpoint_never_runs(tmp_path: Path) -> None:
    path, marker = tmp_path / "evil.pth", tmp_path / "ran"
    torch.save({"conv1.weight": Payload(marker)}, path)
    architecture = Resnet18(weights=pretrained.identify(path, Resnet18.checkpoint))
    assert "weights_only=True" in refusal(lambda: build(architecture, path))
    assert not marker.exists()


@given(content=st.binary(max_size=200))
@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_other_bytes_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bytes.pth"
    path.write_bytes(content)
    body, _ = Resnet8().build_body(3)
    assert str(path) in refusal(lambda: pretrained.fit(body, path))

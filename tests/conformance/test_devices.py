"""The pretended device refuses what a GPU refuses and notes what waits for one."""

import pytest
import torch
import torch.nn.functional as F

from reweightbench.benchmark.conformance.devices import PRETENDED, MixedDevicesError, PretendedDevice
from reweightbench.benchmark.conformance.promises import list_forms
from reweightbench.benchmark.conformance.rehearsal import rehearse
from reweightbench.benchmark.conformance.workbench import Workbench
from reweightbench.benchmark.contracts.registry import METHODS

FORMS = [label for name in METHODS.classes for label in list_forms(name)]


@pytest.mark.parametrize("label", FORMS)
def test_no_step_of_a_shipped_method_waits_for_the_device(label: str) -> None:
    waits = []
    with PretendedDevice() as device:
        for _ in rehearse(label, workbench=Workbench(device=PRETENDED)):
            waits.append(len(device.waits))
    assert len(waits) >= 10
    assert waits[0] == waits[-1], device.waits[waits[0] :]


def test_tensors_of_two_devices_do_not_mix() -> None:
    here, there = torch.ones(3), torch.ones(3, device=PRETENDED)
    places, logits = torch.arange(2), torch.ones(3, 4, device=PRETENDED, requires_grad=True)
    with PretendedDevice():
        for mix in (
            lambda: here + there,
            lambda: there[places],
            lambda: here[places.to(PRETENDED)],
            lambda: there.index_put_((places.to(PRETENDED),), here[:2]),
            lambda: torch.where(there > 0, there, here),
            lambda: torch.cat([there, here]),
            lambda: F.cross_entropy(logits, torch.arange(3)),
            lambda: there.index_add(0, torch.arange(3), there),
            lambda: torch.lerp(there, there, here),
        ):
            with pytest.raises(MixedDevicesError, match=r"aten\.\w+ takes tensors of the model's device"):
                mix()


def test_numbers_moves_and_backward_passes_are_fine() -> None:
    here, there = torch.ones(3), torch.ones(3, device=PRETENDED, requires_grad=True)
    with PretendedDevice() as device:
        total = (2 * there * torch.tensor(2.0) + here.to(there, non_blocking=True)).sum()
        total.backward()
        torch.zeros(3, device=PRETENDED).copy_(here, non_blocking=True)
    assert there.grad is not None
    assert there.grad.device.type == PRETENDED
    assert device.waits == []


def test_what_waits_is_noted() -> None:
    there = torch.ones(3, device=PRETENDED)
    with PretendedDevice() as device:
        assert there.sum().item() == 1
        assert float(there.max()) == 1
        assert bool(there.any())
        assert there.cpu().tolist() == [1, 1, 1]
        assert torch.zeros(3).copy_(there).tolist() == [1, 1, 1]
        assert torch.ones(3).to(PRETENDED).device.type == PRETENDED
        assert len(torch.bincount(there.long(), minlength=5)) == 5
    assert [wait.removeprefix("aten.") for wait in device.waits] == [
        "_local_scalar_dense",
        "_local_scalar_dense",
        "_local_scalar_dense",
        "_to_copy",
        "copy_",
        "_to_copy",
        "bincount",
    ]

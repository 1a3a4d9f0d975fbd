"""`reweightbench check`: each way to cheat through the contract is caught and explained."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from processes import call
from reweightbench.benchmark.conformance.promises import CHECKS

HERE = Path(__file__).parents[1]

# Method: the first promise it breaks, and what the reason has to say.
CAUGHT = {
    "reads_the_clean_set": (
        "uses only what it declares",
        r"uses 'clean_set'; declare it.*line \d+, in example_weights",
    ),
    "reads_the_clean_set_privately": ("uses only what it declares", "line .* in example_weights"),
    "reads_the_noise_rate": (
        "uses only what it declares",
        r"uses 'noise_rate'; declare it.*in start_epoch",
    ),
    "counts_the_targets": ("uses only what it declares", "uses 'class_counts'; declare it"),
    "takes_two_networks": ("uses only what it declares", "uses 'two_networks'; declare it"),
    "declares_too_much": ("uses what it declares", "'noise_rate', which no hook uses; leave it out"),
    "trains_on_the_clean_set": (
        "stages divide the run and declare the clean set",
        "a stage trains on the clean set; declare it",
    ),
    "moves_buffers": (
        "hooks leave the run as it is",
        r"example_weights changes the model's buffer body.1.running_mean \(problem.losses_at",
    ),
    "leaves_gradients": ("hooks leave the run as it is", "changes the gradient of head.weight"),
    "changes_the_step": ("hooks leave the run as it is", "changes the step's losses in place"),
    "weighs_negatively": (
        "weights are finite not negative and without gradient",
        r"in epoch 0 has a weight of -0\.\d+; weights are at least 0",
    ),
    "weighs_infinitely_late": (
        "weights are finite not negative and without gradient",
        "in epoch 9 has weights that are not finite",
    ),
    "weighs_with_gradient": (
        "weights are finite not negative and without gradient",
        "carries a gradient; detach it",
    ),
    "weighs_as_column": (
        "weights are finite not negative and without gradient",
        r"has shape \(12, 1\), not \(12,\)",
    ),
    "weighs_by_place": ("permuting a batch permutes its weights", "depends on the order of the batch"),
    "draws_globally": ("permuting a batch permutes its weights", "depends on the order"),
    "remembers_other_runs": ("equal states give equal weights", "two fresh methods weigh"),
    "keeps_what_cannot_be_saved": (
        "a training goes on from a checkpoint",
        "TypeError: a set has no state that can be saved",
    ),
    "hides_its_state": ("a training goes on from a checkpoint", "ends elsewhere; keep state in attributes"),
    "loses_its_gradient": (
        "losses are one number per example with a gradient",
        "do not detach the logits",
    ),
    "takes_logarithm_of_zero": (
        "losses stay finite at equal and extreme logits",
        "not finite at logits of size 50",
    ),
    "samples_the_wrong_pool": ("sampling weights cover the pool", r"has shape \(1,\), not \(40,\)"),
    "moves_buffers_late": (
        "hooks leave the run as it is",
        "example_weights changes the model's buffer body.1.running_mean",
    ),
    "trains_in_secret": (
        "hooks leave the run as it is",
        "start_epoch changes the model's parameter body.0.weight",
    ),
    "looks_at_the_test_batch": (
        "evaluation keeps one logit per class",
        "depends on the examples beside it, which at evaluation are test examples",
    ),
    "moves_in_the_loss": (
        "permuting a batch permutes its losses",
        "differs at a second call; change state in example_weights or end_step",
    ),
    "mixes_devices": (
        "tensors stay on the models device",
        r"index takes tensors of the model's device and of the CPU; make tensors where they are needed",
    ),
    "weighs_on_the_cpu": (
        "tensors stay on the models device",
        "example_weights is not on the device of step.losses; move it there",
    ),
    "undecorated": ("describes itself", "no dataclass, so its options are unknown; write @dataclass"),
    "builds_two_networks": (
        "uses only what it declares",
        r"has \d\.\d times the parameters of the suite's network; declare two_networks",
    ),
    "cannot_be_made": ("can be made from its name", "TypeError: .*in __post_init__"),
    "cannot_run": (
        "uses only what it declares",
        r"AttributeError: .*weights_of.*\(cheating.py, line \d+, in example_weights\)",
    ),
}

LOOKING = '''
"""Weights of a mask, and of a number that was read."""
from dataclasses import dataclass
from typing import ClassVar
import torch
from reweightbench import Method, Step

@dataclass
class Looking(Method):
    """Weighs 0 what is far above the mean."""
    paper: ClassVar[str] = "none"

    def example_weights(self, step: Step) -> torch.Tensor:
        weights = torch.ones_like(step.losses)
        weights[step.losses > 10 * step.losses.mean().item()] = 0
        return weights
'''


def check(path: Path | str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, which keeps other tests from seeing the methods."""
    command = [sys.executable, "-W", "error", "-m", "reweightbench", "check", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def cheats() -> Mapping[str, list[str]]:
    """The lines of output for each method of the file of cheats."""
    done = check(HERE / "cheating.py")
    assert done.returncode == 1, done.stderr
    lines: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        if not line.startswith(" "):
            found = lines.setdefault(line, [])
        else:
            found.append(line.strip())
    return lines


@pytest.mark.parametrize("name", CAUGHT)
def test_a_cheat_is_caught(name: str, cheats: Mapping[str, list[str]]) -> None:
    promise, reason = CAUGHT[name]
    failed = [line for line in cheats[name] if line.startswith("FAIL")]
    assert re.match(rf"FAIL  {promise}: .*{reason}", failed[0])


def test_every_cheat_of_the_file_is_expected(cheats: Mapping[str, list[str]]) -> None:
    assert cheats.keys() == CAUGHT.keys()


def test_a_reason_is_said_once(cheats: Mapping[str, list[str]]) -> None:
    for lines in cheats.values():
        reasons = [line.partition(": ")[2] for line in lines if line.startswith("FAIL")]
        said = [reason for reason in reasons if reason != "as above"]
        assert len(said) == len(set(said))


def test_promises_are_counted(cheats: Mapping[str, list[str]]) -> None:
    for lines in cheats.values():
        kept = sum(line.startswith("ok") for line in lines)
        assert lines[-1] == f"{kept} of {len(lines) - 1} promises kept"
        # What cannot be made cannot be checked.
        assert len(lines) in {len(CHECKS) + 1, 2}


def test_a_method_that_keeps_all_promises_passes() -> None:
    done = check(HERE.parent / "methods" / "balanced_softmax.py")
    assert done.returncode == 0, done.stdout
    assert "FAIL" not in done.stdout
    assert done.stdout.startswith("balanced_softmax\n  ok")


def test_a_method_may_look_at_values(tmp_path: Path) -> None:
    """A device without values cannot show them, which is no fault of the method."""
    path = tmp_path / "looking.py"
    path.write_text(LOOKING)
    done = check(path)
    assert done.returncode == 0, done.stdout
    assert f"{len(CHECKS)} of {len(CHECKS)} promises kept" in done.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no file '.*own.py'; give the path of a Python file"),
        ("x = 1\n", "own.py' defines no method; derive a class from Method"),
        ("def (:\n", r"own.py' cannot be loaded: SyntaxError: .*\(own.py, line 1\)"),
    ],
    ids=["missing", "no method", "syntax error"],
)
def test_a_file_that_cannot_be_checked_is_refused_in_one_line(
    text: str | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "own.py"
    if text is not None:
        path.write_text(text)
    done = call(tmp_path, "check", path)
    assert done.exit_code == 2
    assert re.fullmatch(f"error: .*{message}\n", done.stderr)

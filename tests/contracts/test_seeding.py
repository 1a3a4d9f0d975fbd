"""Seeds: one stream per purpose and scope, the same in every process and release."""

import hashlib
import os
import subprocess
import sys
from itertools import product
from typing import get_args

import pytest
import torch

from reweightbench.benchmark.contracts.seeding import Purpose, RandomState, derive_seed, make_generator

SCOPES = [("digits", 0), ("digits", 1), ("cifar10", 0), ("digits", 0, "reset"), ("digits",), ()]


def test_every_purpose_and_scope_has_its_own_stream() -> None:
    streams = [
        tuple(torch.rand(4, generator=make_generator(purpose, *scope)).tolist())
        for purpose, scope in product(get_args(Purpose), SCOPES)
    ]
    assert len(set(streams)) == len(get_args(Purpose)) * len(SCOPES)


def test_equal_purpose_and_scope_give_equal_streams() -> None:
    first, second = (torch.rand(4, generator=make_generator("order", "digits", 0)) for _ in range(2))
    assert torch.equal(first, second)


def test_parts_of_a_scope_do_not_run_together() -> None:
    assert derive_seed("noise", "a", 12) != derive_seed("noise", "a", 1, 2)
    assert derive_seed("noise", "a1", 2) != derive_seed("noise", "a", 12)


@pytest.mark.parametrize(
    ("purpose", "scope", "seed"),
    [
        ("noise", ("digits", 0), 2_324_622_192_046_902_898),
        ("body", ("cifar10", 7), 2_696_474_728_640_531_527),
    ],
)
def test_known_seeds(purpose: Purpose, scope: tuple[str | int, ...], seed: int) -> None:
    """A change here would change every published record."""
    assert derive_seed(purpose, *scope) == seed


def test_seed_is_the_head_of_a_digest() -> None:
    digest = hashlib.sha256(b"split\0digits\0test").hexdigest()
    assert derive_seed("split", "digits", "test") == int(digest[:16], 16) // 2


def test_known_draws() -> None:
    draws = torch.randperm(8, generator=make_generator("order", "digits", 0)).tolist()
    assert draws == [1, 7, 2, 6, 3, 4, 5, 0]


def test_seeds_fit_a_generator() -> None:
    seeds = [derive_seed("method", number) for number in range(1000)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**62


def test_a_generator_leaves_the_global_stream_alone() -> None:
    state = torch.get_rng_state()
    torch.rand(3, generator=make_generator("order", "digits", 0))
    assert torch.equal(torch.get_rng_state(), state)


def test_seeds_do_not_depend_on_the_process() -> None:
    code = "from reweightbench.benchmark.contracts.seeding import derive_seed; print(derive_seed('noise', 'digits', 3))"
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert int(result.stdout) == derive_seed("noise", "digits", 3)


def test_a_replay_draws_the_same_again_and_leaves_the_stream() -> None:
    state = RandomState()
    torch.manual_seed(3)
    state.note()
    first = torch.rand(4)
    torch.rand(7)
    ahead = torch.get_rng_state()
    for _ in range(2):
        with state.replay():
            assert torch.equal(torch.rand(4), first)
        assert torch.equal(torch.get_rng_state(), ahead)

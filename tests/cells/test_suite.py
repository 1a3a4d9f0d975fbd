"""Suites: the shipped files, the plan of a grid, and the errors that a file can hold."""

import math
import tomllib
from pathlib import Path
from typing import Any

import pytest

from reweightbench.benchmark.cells.plan import parse_seeds, parse_shard, plan_cells, select
from reweightbench.benchmark.cells.suite import Suite
from reweightbench.benchmark.cells.suite_file import load_suite, parse_suite, suite_names
from reweightbench.benchmark.contracts.errors import UsageError

TEXT = """
name = "small"
title = "A small grid"
dataset = "digits"
model = "small_cnn"
clean_sizes = [0, 50]
seeds = [0, 3]
methods = ["sgd", "focal(gamma=1)", "loss_reweight(favour=easy)"]
corruptions = [{}, { imbalance = "longtail(factor=10)", noise = "uniform(rate=0.4)" }]

[[budgets]]
name = "long"
epochs = 30
learning_rate = 0.05
schedule = "constant"
learning_rates = { "focal(gamma=1)" = 0.2 }

[[budgets]]
name = "short"
epochs = 8
learning_rate = 0.1

[numerics]
threads = 2
"""


def small() -> Suite:
    return parse_suite(TEXT, "small.toml")


def error_of(old: str, new: str) -> str:
    """The message for the text with a part replaced."""
    assert old in TEXT
    with pytest.raises(UsageError) as caught:
        parse_suite(TEXT.replace(old, new, 1), "small.toml")
    message = str(caught.value)
    assert message.startswith("suite 'small.toml'")
    return message


@pytest.mark.parametrize("name", suite_names())
def test_shipped_suites_plan_unique_cells(name: str) -> None:
    suite = load_suite(name)
    planned = plan_cells(suite, "any", "cpu")
    axes = (suite.methods, suite.corruptions, suite.clean_sizes, suite.budgets, suite.seeds)
    assert suite.name == name
    assert len(planned) == math.prod(map(len, axes))
    assert len({one.key for one in planned}) == len(planned)
    labels = {(one.method, one.corruption, one.clean_size, one.budget, one.seed) for one in planned}
    assert len(labels) == len(planned)
    assert all(one.key == one.cell.key and one.cell.variant == "any" for one in planned)


# Suites on fidelity compare forms of a method with each other.
@pytest.mark.parametrize("name", [name for name in suite_names() if "fidelity" not in name])
def test_shipped_suites_have_the_control_rows(name: str) -> None:
    assert {"sgd", "sgd_with_clean", "clean_only", "fine_tune", "random_weights"} <= set(
        load_suite(name).methods
    )


def test_there_is_a_default_suite() -> None:
    assert "digits" in suite_names()


def test_cells_hold_what_the_file_says() -> None:
    planned = plan_cells(small(), "embedded", "cuda")
    assert len(planned) == 3 * 2 * 2 * 2 * 2
    (one,) = [
        one
        for one in planned
        if (one.method, one.clean_size, one.budget, one.seed) == ("focal(gamma=1)", 50, "short", 3)
        and one.corruption == "longtail(factor=10) + uniform(rate=0.4)"
    ]
    cell = one.cell
    assert cell.dataset.name == "digits"
    assert cell.variant == "embedded"
    assert cell.imbalance.options == {"factor": 10.0}
    assert cell.noise.options == {"rate": 0.4}
    assert cell.method.options == {"gamma": 1.0, "form": "softmax"}
    assert (cell.budget.epochs, cell.budget.learning_rate, cell.budget.schedule) == (8, 0.1, "cosine")
    assert cell.numerics.threads == 2
    assert (cell.device, cell.clean_size, cell.seed) == ("cuda", 50, 3)
    assert {one.corruption for one in planned} == {"none", "longtail(factor=10) + uniform(rate=0.4)"}


def test_learning_rates_reach_their_cells_only() -> None:
    for one in plan_cells(small(), "any", "cpu"):
        expected = {"long": 0.2 if one.method == "focal(gamma=1)" else 0.05, "short": 0.1}[one.budget]
        assert one.cell.budget.learning_rate == expected


@pytest.mark.parametrize("spelling", ["focal(gamma=1.0)", "focal( gamma = 1 )"])
def test_learning_rates_reach_a_method_however_it_is_spelled(spelling: str) -> None:
    suite = parse_suite(TEXT.replace("focal(gamma=1)", spelling), "small.toml")
    rates = {
        one.cell.budget.learning_rate
        for one in plan_cells(suite, "any", "cpu")
        if one.method == "focal(gamma=1)" and one.budget == "long"
    }
    assert rates == {0.2}


def test_device_and_variant_change_every_key() -> None:
    plans = [plan_cells(small(), *where) for where in (("a", "cpu"), ("b", "cpu"), ("a", "cuda"))]
    assert len({one.key for plan in plans for one in plan}) == sum(map(len, plans))


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("title", "titel", "titel: unknown key; did you mean 'title'?"),
        ("epochs = 8", "epocs = 8", "budgets.1.epocs: unknown key; did you mean 'epochs'?"),
        ("noise =", "noize =", "corruptions.1.noize: unknown key; did you mean 'noise'?"),
        ("threads", "thread", "numerics.thread: unknown key; did you mean 'threads'?"),
    ],
)
def test_misspelled_key_is_named_with_its_path(old: str, new: str, path: str) -> None:
    # The missing key of the right spelling is an error too; the misspelled one has to be named.
    assert path in error_of(old, new)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"sgd", ', '"sgd", "sgd", ', "methods lists 'sgd' twice"),
        ("[0, 3]", "[0, 3, 3]", "seeds lists 3 twice"),
        ("[0, 50]", "[50, 50]", "clean_sizes lists 50 twice"),
        ("[{}, ", "[{}, {}, ", "corruptions lists"),
        ('name = "short"', 'name = "long"', "two budgets are named 'long'"),
        ('"focal(gamma=1)" = 0.2', "clean_only = 0.2", "sets a learning rate for 'clean_only', not a method"),
        ("epochs = 8", "epochs = 0", "budgets.1.epochs: Input should be greater than 0"),
        ("epochs = 8", 'epochs = "many"', "budgets.1.epochs: Input should be a valid integer"),
        ("learning_rate = 0.1", "learning_rate = -0.1", "budgets.1.learning_rate: Input should be greater"),
        ("= 0.2", "= 0", "budgets.0.learning_rates.focal(gamma=1): Input should be greater than 0"),
        ('"constant"', '"linear"', "budgets.0.schedule: Input should be 'constant', 'cosine' or 'step'"),
        ("[0, 3]", "[]", "seeds: Tuple should have at least 1 item"),
        ("[0, 3]", "[-1]", "seeds.0: Input should be greater than or equal to 0"),
        ('name = "small"', 'name = "a/b"', "name: String should match pattern"),
        ('dataset = "digits"', "", "dataset: Field required"),
        ('dataset = "digits"', "dataset = ", "is not TOML"),
    ],
)
def test_bad_values_are_explained(old: str, new: str, message: str) -> None:
    assert message in error_of(old, new)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"sgd"', '"sdg"', "unknown method 'sdg'; did you mean 'sgd'?"),
        ('gamma=1)", ', 'gama=1)", ', "method 'focal' has no option 'gama'"),
        ("factor=10", "factor=0.5", "longtail: factor is 0.5"),
        ("uniform(", "unifrom(", "unknown noise 'unifrom'; did you mean 'uniform'?"),
        ('"digits"', '"digit"', "unknown dataset 'digit'; did you mean 'digits'?"),
        ('"small_cnn"', '"small_cn"', "unknown model 'small_cn'; did you mean 'small_cnn'?"),
    ],
)
def test_bad_labels_are_explained_when_the_file_is_read(old: str, new: str, message: str) -> None:
    text = TEXT.replace('learning_rates = { "focal(gamma=1)" = 0.2 }\n', "")
    assert old in text
    with pytest.raises(UsageError) as caught:
        parse_suite(text.replace(old, new, 1), "small.toml")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 8", f"epochs = {'9' * 5000}", "is not TOML: Exceeds the limit"),
        ("epochs = 8", f"epochs = 0x{'f' * 9000}", "budgets.1.epochs: Input should be less than or equal to"),
        (
            "epochs = 8",
            f"epochs = {10**30}",
            "epochs: Input should be less than or equal to 1000000, not 1000",
        ),
        (
            "epochs = 8",
            "epochs = 8\nbatch_size = 100_000_000_000",
            "budgets.1.batch_size: Input should be less",
        ),
        ("= 0.1", "= 1e400", "budgets.1.learning_rate: Input should be a finite number, not inf"),
        ("= 0.1", "= nan", "budgets.1.learning_rate: Input should be a finite number, not nan"),
        ("threads = 2", "threads = 100_000", "numerics.threads: Input should be less than or equal to 1024"),
        ("[0, 50]", f"[{10**12}]", "clean_sizes.0: Input should be less than or equal to"),
        ("[0, 3]", f"[{2**32}]", "seeds.0: Input should be less than or equal to 4294967295"),
        ("[0, 3]", str(list(range(50_000))), "seeds: Tuple should have at most 10000 items"),
        ("[0, 3]", str([7] * 9_000), "seeds lists 7 twice"),
        ("[0, 3]", f"{'[' * 3000}{']' * 3000}", "is nested too deeply"),
        ("[0, 3]", f"{'{a=' * 3000}0{'}' * 3000}", "is nested too deeply"),
        ("[0, 3]", f"[0]\n{'.'.join('a' * 20_000)} = 0", "is nested too deeply"),
        ("[0, 3]", f"[0]\n'#'.{'.'.join('a' * 20_000)} = 0", "is nested too deeply"),
        ("[0, 3]", f'[0]\nx = ["""\\"""#"""", {{{".".join("a" * 20_000)} = 0}}]', "is nested too deeply"),
        ("A small grid", "A \\u001b[31mred grid", "title: write one line of printable characters"),
        ('"small"', f'"{"s" * 1000}"', "name: String should have at most 100 characters"),
    ],
)
def test_numbers_and_lengths_have_bounds(old: str, new: str, message: str) -> None:
    assert message in error_of(old, new)


def test_dots_in_comments_and_texts_nest_nothing() -> None:
    dots = "." * 120
    assert parse_suite(f"# {dots}\n{TEXT}", "small.toml") == parse_suite(TEXT, "small.toml")
    for quotes in ('"', "'", '"""', "'''"):
        title = f"title = {quotes}A small grid{dots}{quotes}"
        text = TEXT.replace('title = "A small grid"', title)
        assert parse_suite(text, "small.toml").title == f"A small grid{dots}"


@pytest.mark.parametrize(
    "label",
    [
        "s" * 10**6,
        "focal" + "(" * 10**6,
        "focal(gamma=1e400)",
        f"focal(gamma={'9' * 900})",
        f"meta_reweight(clean_batch_size={10**20})",
        "\\u001b[31mfocal",
    ],
)
def test_labels_have_bounds(label: str) -> None:
    with pytest.raises(UsageError):
        parse_suite(TEXT.replace('"sgd"', f'"{label}"'), "small.toml")


def test_a_suite_has_as_many_cells_as_can_be_planned() -> None:
    text = TEXT.replace("[0, 3]", str(list(range(9_000)))).replace("[0, 50]", "[0, 50, 100, 150]")
    with pytest.raises(UsageError, match="'small' has 432000 cells: 3 x 2 x 4 x 2 x 9000 methods"):
        parse_suite(text, "small.toml")
    with pytest.raises(UsageError, match="'small' has 240000 cells"):
        select(small(), None, range(10_000))


def test_two_names_for_one_budget_are_refused() -> None:
    """Their cells would have the same keys."""
    head, budget = TEXT.partition("[[budgets]]")[0], "epochs = 8\nlearning_rate = 0.1\n"
    text = head + "".join(f'[[budgets]]\nname = "{name}"\n{budget}' for name in ("short", "brief"))
    with pytest.raises(UsageError, match="'short' and 'brief' are the same"):
        parse_suite(text, "small.toml")


def test_one_method_in_two_spellings_is_refused() -> None:
    """Their cells would have the same keys."""
    text = TEXT.replace('"sgd", ', '"sgd", "focal(gamma=1.0)", ')
    with pytest.raises(UsageError, match=r"methods lists 'focal\(gamma=1\)' twice"):
        parse_suite(text, "small.toml")


def test_selecting_changes_methods_and_seeds_only() -> None:
    chosen = select(small(), ["sgd_with_clean"], [7])
    planned = plan_cells(chosen, "any", "cpu")
    assert {(one.method, one.seed) for one in planned} == {("sgd_with_clean", 7)}
    assert len(planned) == 8
    assert select(small(), None, None) == small()


def test_selecting_a_method_twice_selects_it_once() -> None:
    assert select(small(), ["sgd", "sgd"], None).methods == ("sgd",)


def test_selected_cells_are_the_suites_own() -> None:
    keys = {one.key for one in plan_cells(small(), "any", "cpu")}
    chosen = plan_cells(select(small(), ["sgd"], [3]), "any", "cpu")
    assert {one.key for one in chosen} < keys


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("0", [0]),
        ("0-4", [0, 1, 2, 3, 4]),
        ("0-2,7", [0, 1, 2, 7]),
        ("7, 0-2", [0, 1, 2, 7]),
        ("3-3", [3]),
        ("0-2,1-3", [0, 1, 2, 3]),
    ],
)
def test_seeds(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "4-0", "-1", "1,,2", "0-", "1.5", "0..4"])
def test_bad_seeds_are_explained(text: str) -> None:
    with pytest.raises(UsageError, match="neither a number nor a range; write for example 0-4"):
        parse_seeds(text)


@pytest.mark.parametrize(
    "text",
    ["0-999999999", "0-4294967296", "9" * 5000, ",".join(["0-9999", "10000-19999"]), "1-" + "9" * 10**6, "٣"],
)
def test_seeds_have_bounds(text: str) -> None:
    with pytest.raises(UsageError, match=r"are more than 10000; give fewer|at most 4294967295"):
        parse_seeds(text)


@pytest.mark.parametrize("text", ["1/" + "9" * 5000, "0/2", "3/2", "1/2/3", "1", "/", "²/3"])
def test_bad_shards_are_explained(text: str) -> None:
    with pytest.raises(UsageError, match="is no part of a grid; write for example 2/5"):
        parse_shard(text)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_file_of_ones_own(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(mark + TEXT, encoding="utf-8")
    assert load_suite(str(path)) == small()


@pytest.mark.parametrize(
    ("content", "message"), [(b"#" * 2**21, "at most 1,048,576 are read"), (b"\xff\xfe", "is no UTF-8 text")]
)
def test_a_file_that_cannot_be_a_suite_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        load_suite(str(path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digts", "unknown suite 'digts'; did you mean 'digits'"),
        ("absent.toml", "no suite file 'absent.toml'; give a TOML file or one of"),
    ],
)
def test_unknown_suites_are_explained(name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_suite(name)
    assert str(caught.value).startswith(message)


def test_shipped_files_hold_no_default_in_disguise() -> None:
    """Every shipped file names its axes itself."""
    for name in suite_names():
        path = Path(__file__).parents[2] / "benchmark" / "cells" / "suites" / f"{name}.toml"
        content: dict[str, Any] = tomllib.loads(path.read_text())
        assert {"methods", "corruptions", "clean_sizes", "budgets", "seeds"} <= content.keys()

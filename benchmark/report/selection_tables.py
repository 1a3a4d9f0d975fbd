"""What it costs to choose learning rates without clean labels: test scores under both selections."""

from collections.abc import Iterator

from reweightbench.benchmark.report.choices import Place
from reweightbench.benchmark.report.entries import caveats, describe_percent, flag_edge
from reweightbench.benchmark.report.findings import Findings
from reweightbench.benchmark.report.formats import ABSENT, Entry, Table
from reweightbench.benchmark.report.pairs import BySeed, group_by_place, pair
from reweightbench.benchmark.report.statistics import summarise

COLUMNS = (
    "rate on clean validation",
    "rate on corrupted validation",
    "balanced accuracy (clean)",
    "balanced accuracy (corrupted)",
    "difference",
    "clean labels",
)


def make_selection_tables(findings: Findings) -> list[Table]:
    """The differences for each budget and clean-set size, and in a file of its own what they come from."""
    readings = dict(_read(findings))
    slices = dict.fromkeys((place.budget, place.clean_size) for place in readings)
    return [*(_make_pivot(findings, readings, *place) for place in slices), _make_list(findings, readings)]


def _make_pivot(
    findings: Findings, readings: dict[Place, dict[str, str]], budget: str, clean_size: int
) -> Table:
    """The differences by method and corruption setting."""
    rows = []
    for method in findings.methods:
        places = [Place(budget, clean_size, corruption, method) for corruption in findings.corruptions]
        texts = [readings[place]["difference"] if place in readings else ABSENT for place in places]
        rows.append([Entry(text) for text in (method, *texts)])
    return Table(
        name=f"selection-{budget}-clean{clean_size}",
        title=f"Choosing learning rates without clean labels: budget {budget}, clean set of {clean_size}",
        columns=["method", *findings.corruptions],
        rows=rows,
        notes=[_describe(readings), *caveats(findings)],
    )


def _make_list(findings: Findings, readings: dict[Place, dict[str, str]]) -> Table:
    """A row per method and setting."""
    return Table(
        name="selection",
        title="Learning rates chosen with and without clean labels, and the test scores at them",
        columns=["method", "corruption", "clean set", "budget", *COLUMNS],
        rows=[
            [
                Entry(text)
                for text in (
                    place.method,
                    place.corruption,
                    str(place.clean_size),
                    place.budget,
                    *reading.values(),
                )
            ]
            for place, reading in readings.items()
        ],
        notes=[_describe(readings), *caveats(findings)],
        texts=frozenset({"method", "corruption", "budget"}),
        on_page=False,
    )


def _read(findings: Findings) -> Iterator[tuple[Place, dict[str, str]]]:
    """For every place with two choices, the texts of `COLUMNS`."""
    clean = group_by_place(findings.compared)
    corrupted = group_by_place(findings.reselected.values())
    seeds = len(findings.seeds)
    for place, chosen in findings.choices.items():
        if len(chosen) < 2:
            continue
        first, second = clean.get(place, {}), corrupted.get(place, {})
        flags = {selection: flag_edge(findings, place, selection=selection) for selection in chosen}
        texts = [
            f"{chosen['clean'].learning_rate:g}",
            f"{chosen['corrupted'].learning_rate:g}",
            _describe_scores(first, seeds) + flags["clean"],
            _describe_scores(second, seeds) + flags["corrupted"],
            pair(second, first).describe(seeds) + max(flags.values()),
            _count_labels(first),
        ]
        yield place, dict(zip(COLUMNS, texts, strict=True))


def _describe_scores(cells: BySeed, seeds: int) -> str:
    diverged = sum(cell.is_diverged for cell in cells.values())
    scores = [cell.figures.balanced_accuracy for cell in cells.values()]
    return describe_percent(summarise(scores, diverged), seeds) if scores else ABSENT


def _count_labels(cells: BySeed) -> str:
    """Examples of the clean validation part."""
    sizes = [cell.figures.validation_size for cell in cells.values() if not cell.is_diverged]
    return f"{max(sizes):.0f}" if sizes else ABSENT


def _describe(readings: dict[Place, dict[str, str]]) -> str:
    labels = sorted({reading["clean labels"] for reading in readings.values()} - {ABSENT}, key=int)
    used = " to ".join(dict.fromkeys([labels[0], labels[-1]])) if labels else ABSENT
    return (
        "Difference of the balanced accuracies on the test part at the last epoch, in points: learning rate chosen on "
        "validation as corrupted as training less the one chosen on clean validation, which took the true labels of "
        f"{used} examples; paired by seed, mean ± half-width of the 95% Student-t interval. 0: both chose the same "
        "rate, or all seeds agree exactly. Scores and rates: tables/selection.csv."
    )

"""The page on all methods on the digits: tables of the published records, and the papers' claims against them.

Run: python docs/digits_all.py write
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from reweightbench.benchmark.cells.suite_file import load_suite
from reweightbench.benchmark.records.folder import ResultsFolder
from reweightbench.benchmark.records.survey import read_recorded
from reweightbench.benchmark.report.findings import make_findings
from reweightbench.benchmark.report.formats import Entry, Table, share_notes, to_markdown
from reweightbench.benchmark.report.frame import make_frame
from reweightbench.benchmark.report.leaderboard import make_leaderboard
from reweightbench.benchmark.report.statistics import Summary, summarise
from reweightbench.benchmark.report.tables import make_pivot

DOCS = Path(__file__).parent
PAGE = DOCS / "digits-all.md"
SUITE = "digits-all"
CLEAN_SIZE = 100
LONGTAIL, NOISE = "longtail(factor=50)", "uniform(rate=0.4)"


@dataclass(frozen=True)
class Claim:
    """What a method's paper (or whoever recommends it) says: better than the rival in this setting."""

    method: str
    rival: str
    setting: str


AGAINST_IMBALANCE = (
    "weighted_sampler",
    "square_root_sampler",
    "progressive_sampler",
    "class_weights",
    "class_balanced",
    "drw",
    "ldam",
    "ldam(start=1)",
    "balanced_softmax",
    "logit_adjustment",
    "logit_adjustment(form=post_hoc)",
    "vs_loss",
    "focal",
    "loss_reweight",
    "ohem",
    "cvar_dro",
    "group_dro",
    "crt",
    "tau_norm",
    "meta_reweight",
    "meta_weight_net",
)
AGAINST_NOISE = (
    "gce",
    "truncated_gce",
    "sce",
    "mae",
    "label_smoothing",
    "bootstrap",
    "bootstrap(form=soft, beta=0.95)",
    "elr",
    "loss_reweight(favour=easy)",
    "self_paced",
    "small_loss",
    "meta_reweight",
    "meta_weight_net(preset=noise)",
    "co_teaching",
    "mixup",
)
CLAIMS = (
    *(Claim(method, "sgd", LONGTAIL) for method in AGAINST_IMBALANCE),
    *(Claim(method, "sgd", NOISE) for method in AGAINST_NOISE),
    Claim("class_balanced", "class_weights", LONGTAIL),
    Claim("drw", "class_balanced", LONGTAIL),
    Claim("ldam", "ldam(start=1)", LONGTAIL),
    Claim("ldam", "drw", LONGTAIL),
    Claim("balanced_softmax", "class_balanced", LONGTAIL),
    Claim("logit_adjustment", "logit_adjustment(form=post_hoc)", LONGTAIL),
    Claim("vs_loss", "logit_adjustment", LONGTAIL),
    Claim("crt", "weighted_sampler", LONGTAIL),
    Claim("tau_norm", "weighted_sampler", LONGTAIL),
    Claim("meta_weight_net", "meta_reweight", LONGTAIL),
    Claim("gce", "mae", NOISE),
    Claim("truncated_gce", "gce", NOISE),
    Claim("elr", "sce", NOISE),
    Claim("co_teaching", "small_loss", NOISE),
    Claim("meta_weight_net(preset=noise)", "meta_reweight", NOISE),
)

INTRODUCTION = f"""# Every method on the digits

All methods of this package on scikit-learn's handwritten digits (suite `{SUITE}`): a small convolutional network,
about a thousand training examples or fewer, five seeds. The learning rate of every method is the best of seven on
validation, for each budget, on other seeds (suite `{SUITE}-tuning`): one rate for all settings, so that one that keeps
wrong targets from being memorised can be too small for a long tail. Two budgets stand side by side: `long` gives plain
training the time to memorise wrong targets, `short` does not.

Small images and a small network make a fast test, not the last word: margins and features that pay on long training
runs of deep networks have little room here. What the table can show is which claims survive outside of the setting that
they were made in.

`python docs/digits_all.py write` makes this page from the records in `results/{SUITE}`.
"""

CONTRADICTIONS = {
    Claim("focal", "sgd", LONGTAIL): (
        "The factor (1 - p)^gamma makes every gradient smaller, and the rate chosen for the focal loss under `long` is "
        "the lowest tried: it is trained less far than plain training. Lin et al. (2017) made the loss for the "
        "thousands of easy background regions of an image; on long-tailed CIFAR-10, too, Shu et al. (2019) report it "
        "level with cross-entropy."
    ),
    Claim("tau_norm", "sgd", LONGTAIL): (
        "Dividing by the lengths of the class vectors helps as far as these have come to reflect the class "
        "frequencies. At the lowest rate they stay near those they were drawn with, and what is left of the method is "
        "the loss of the bias, which had learned the frequencies."
    ),
    Claim("class_balanced", "class_weights", LONGTAIL): (
        "With beta 0.9999 and classes of at most a hundred examples the effective number of examples is their "
        "number, so both weigh by the inverse class frequency and differ in scale only: the weights of "
        "`class_balanced` sum to the number of classes over the classes, which makes their mean over the examples "
        "smaller than 1. The loss is one of step size: under `short`, where its tuned rate is far larger than that of "
        "`class_weights`, the two cannot be told apart. Cui et al. (2019) gain where classes have thousands of "
        "examples; this table cannot test that."
    ),
    Claim("drw", "class_balanced", LONGTAIL): (
        "Cao et al. (2019) let the weights begin with a hundredfold drop of the learning rate, after 160 epochs of "
        "learning features. Here the weighted part is the last six epochs at an unchanged rate (`long`), or the last "
        "two of a cosine that has nearly reached zero (`short`), where hardly a prediction still changes. On data "
        "this small, weights from the start do the features no harm that deferring could spare them."
    ),
    Claim("balanced_softmax", "class_balanced", LONGTAIL): (
        "Both take the lowest rate tried under `long`, which wins on average because slow training memorises fewer "
        "wrong targets in the noisy settings. Class weights enlarge the gradients of rare classes from the first "
        "step; additive shifts leave them as they are, and so few slow steps do not carry the logits far enough. "
        "Under `short`, with a larger rate, the two cannot be told apart."
    ),
    Claim("logit_adjustment", "logit_adjustment(form=post_hoc)", LONGTAIL): (
        "As above: the loss asks the network to learn the shift, the post-hoc form applies it in full to whatever "
        "was learned, and at the lowest rate little is. Under `short`, with a larger rate, the order is that of "
        "Menon et al. (2021)."
    ),
    Claim("crt", "weighted_sampler", LONGTAIL): (
        "The second stage is a tenth of the epochs: under `short` a single one, a handful of steps from a fresh "
        "head. That is too few, and plain training is not beaten either. Under `long` the two cannot be told apart. "
        "Kang et al. (2020) add ten epochs of ImageNet's size to a full training."
    ),
    Claim("tau_norm", "weighted_sampler", LONGTAIL): (
        "For the reason above. The paper also chooses tau for each dataset, which is not done here."
    ),
    Claim("meta_weight_net", "meta_reweight", LONGTAIL): (
        "The preset `imbalance` moves the weight network by SGD with the authors' rate of 1e-5, made for tens of "
        "thousands of steps. In the few hundred steps here it hardly moves, and the method cannot be told from plain "
        "training; the preset `noise`, whose Adam moves a hundred times faster, does learn under noise. "
        "Meta-reweighting has no such state to learn. The presets are kept as the authors have them."
    ),
}
"""What we make of each claim that the records contradict."""


def write() -> str:
    """The page; raises KeyError where a contradicted claim is not discussed."""
    folder, suite = ResultsFolder(DOCS.parent / "results" / SUITE), load_suite(SUITE)
    findings = make_findings(suite, *read_recorded(suite, folder.path, print), folder.timings())
    frame = make_frame(findings)
    tables = [make_leaderboard(findings, frame, budget, CLEAN_SIZE) for budget in findings.budgets]
    tables += [
        make_pivot(findings, frame, "balanced_accuracy", budget, CLEAN_SIZE) for budget in findings.budgets
    ]
    gains = {claim: measure_gains(claim, frame, findings.budgets) for claim in CLAIMS}
    tables.append(make_claims_table(gains, findings.budgets))
    contradicted = [claim for claim in CLAIMS if any(_is_loss(gain) for gain in gains[claim].values())]
    obsolete = CONTRADICTIONS.keys() - set(contradicted)
    if obsolete:
        raise KeyError(f"no longer contradicted: {obsolete}")
    paragraphs = "\n\n".join(
        f"**`{claim.method}` is not better than `{claim.rival}` on `{claim.setting}`.** {CONTRADICTIONS[claim]}"
        for claim in contradicted
    )
    pages = "\n".join(to_markdown(table, heading="##") for table in share_notes(tables))
    return f"{INTRODUCTION}\n{describe_edges()}\n\n{pages}\n## Claims that these records contradict\n\n{paragraphs}\n"


def describe_edges() -> str:
    """Which methods have the lowest or the highest of the rates tried as their best one."""
    suite, tried = load_suite(SUITE), load_suite(f"{SUITE}-tuning").budgets
    lines = [
        "Rates are not bracketed where the best one is the lowest or the highest tried; with more trials these "
        "methods could do better:\n"
    ]
    for budget in suite.budgets:
        rates = sorted(other.learning_rate for other in tried if other.name.startswith(f"{budget.name}-"))
        best = {method: budget.rate_of(method) for method in suite.methods}
        for kind, edge in (("lowest", rates[0]), ("highest", rates[-1])):
            names = ", ".join(f"`{method}`" for method, rate in best.items() if rate == edge)
            lines.append(f"- {budget.name}, {kind} ({edge:g}): {names or 'none'}")
    return "\n".join(lines)


def measure_gains(claim: Claim, frame: pd.DataFrame, budgets: list[str]) -> dict[str, Summary]:
    """The method's balanced accuracy minus its rival's, paired by seed, for each budget."""
    gains = {}
    for budget in budgets:
        part = frame[(frame["budget"] == budget) & (frame["corruption"] == claim.setting)]
        scores = part.pivot_table(
            index="seed", columns="method", values="balanced_accuracy", aggfunc="first", observed=True
        )
        gains[budget] = summarise(scores[claim.method] - scores[claim.rival])
    return gains


def make_claims_table(gains: dict[Claim, dict[str, Summary]], budgets: list[str]) -> Table:
    """A row per claim, and what became of it under each budget."""
    return Table(
        name="claims",
        title="What is claimed, and what came out",
        columns=["method", "better than", "on", *budgets],
        rows=[
            [Entry(claim.method), Entry(claim.rival), Entry(claim.setting)]
            + [Entry(_show(gain[budget])) for budget in budgets]
            for claim, gain in gains.items()
        ],
        notes=[
            "Balanced accuracy at the last epoch minus the rival's, paired by seed: mean ± half-width of the 95% "
            "Student-t interval, in points. 'holds': the interval lies above 0; 'contradicted': below 0; else 'open'. "
            "With this many intervals, one in forty would lie on either side by chance alone."
        ],
        texts=frozenset({"method", "better than", "on"}),
    )


def _is_loss(gain: Summary) -> bool:
    return gain.mean + gain.interval < 0


def _show(gain: Summary) -> str:
    verdict = "holds" if gain.mean - gain.interval > 0 else "contradicted" if _is_loss(gain) else "open"
    return f"{100 * gain.mean:+.1f} ± {100 * gain.interval:.1f}, {verdict}"


if __name__ == "__main__":
    if sys.argv[1:] == ["write"]:
        PAGE.write_text(write(), encoding="utf-8")
    else:
        sys.exit(__doc__)

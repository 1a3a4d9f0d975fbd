"""Suites and command lines as hypothesis draws them: sound, nearly sound and hostile."""

import json
from typing import Any

from hypothesis import strategies as st

SUITE = {
    "name": "small",
    "title": "Small",
    "dataset": "digits",
    "model": "small_cnn",
    "methods": ["sgd", "focal"],
    "corruptions": [{}],
    "clean_sizes": [100],
    "seeds": [0, 1],
    "budgets": [{"name": "one", "epochs": 1, "learning_rate": 0.05}],
}
"""The suite that was run before anything happens."""

LABELS = (
    *("sgd", "focal", "focal(gamma=1)", "focal(gamma=nan)", "focal(gamma=1e999)", "focal(gamma)", "crt"),
    *("focal(gamma=1, gamma=2)", "sgd()", "focal(", "FOCAL", "foca", "meta_reweight(clean_batch_size=1)"),
    *("small_loss(rate=2)", "ldam", "co_teaching", "mixup(alpha=-1)", "truncated_gce(start=2)", "\x1b[31m"),
    *("mine.py", "outside/notes.md", "broken.py", "leaves.py", "pipe.py", "absent.py", "folder.py", "a,b.py"),
    *("", " ", ",", ",,", "(", "sgd,sgd", "9", "é", "sgd\n", "x" * 3000, "\udcff"),
)
CORRUPTIONS: tuple[Any, ...] = (
    *({}, {"imbalance": "longtail(factor=10)"}, {"imbalance": "longtail(factor=1e9)"}, {"imbalance": "step"}),
    *({"imbalance": "dominant(share=1.5)"}, {"noise": "uniform(rate=0.4)"}, {"noise": "uniform(rate=-1)"}),
    *(
        {"noise": "uniform(rate=nan)"},
        {"noise": "pair(rate=1)"},
        {"noise": "background(rate=0.9)"},
        {"nose": 1},
    ),
    *({"noise": "human"}, {"noise": ""}, {"imbalance": "longtail(factor=0)"}, {"noise": 3}, 7),
)
BUDGETS: tuple[Any, ...] = tuple(
    {"name": "one", "epochs": 1, "learning_rate": 0.05} | changes
    for changes in (
        *({}, {"name": "other", "epochs": 2}, {"epochs": 0}, {"epochs": 10**30}, {"epochs": 1.5}),
        *({"learning_rate": 0}, {"learning_rate": -1}, {"learning_rate": "x"}, {"batch_size": 1}),
        *({"batch_size": 10**11}, {"batch_size": 1300}, {"learning_rates": {"sgd": 0.1}}, {"name": "../x"}),
        *({"learning_rates": {"nope": 1}}, {"learning_rates": 3}, {"weight_decay": -1}, {"momentum": 2}),
    )
)
HOSTILE: tuple[Any, ...] = (
    *("", "x", "../up", "/tmp", "a/b", "a\nb", "x" * 500, "é", "\u202e", "nope", "small_cnn(x=1)", "resnet8"),
    *(0, -1, 1.5, True, 10**30, [], {}, [[]], ["sgd", "sgd"], [""], [0, 0], [-1], [2**70], ["x"], {"a": 1}),
    *("cifar10", "ham10000", "resnet32", "mlp", "digits(x=1)", list(range(300)), [5000], [100, 200]),
)


def suites() -> st.SearchStrategy[bytes]:
    """TOML texts: the suite with changed values, and damaged bytes of it."""
    values = {
        "methods": st.lists(st.sampled_from(LABELS), max_size=3),
        "corruptions": st.lists(st.sampled_from(CORRUPTIONS), max_size=3),
        "budgets": st.lists(st.sampled_from(BUDGETS), max_size=3),
        "seeds": st.lists(st.integers(-1, 2**33), max_size=3),
        "clean_sizes": st.lists(st.integers(-1, 3000), max_size=3),
        "validation_fraction": st.floats() | st.just(0.2),
        "numerics": st.sampled_from([{}, {"threads": 0}, {"precision": "float16"}, {"deterministic": True}]),
    }
    keys = st.sampled_from([*SUITE, *values, "sedes"])
    changed = st.lists(
        keys.flatmap(
            lambda key: st.tuples(st.just(key), values.get(key, st.nothing()) | st.sampled_from(HOSTILE))
        ),
        max_size=2,
    ).map(lambda changes: to_toml(SUITE | dict(changes)))
    damaged = st.builds(
        lambda text, start, length, new: text[: start % len(text)] + new + text[start % len(text) + length :],
        changed,
        st.integers(0, 2**16),
        st.integers(0, 20),
        st.binary(max_size=4)
        | st.sampled_from([b"\xef\xbb\xbf", b"[" * 3000, b"9" * 5000, b"a.", b"\0", b'"""']),
    )
    return changed | changed | damaged


def to_toml(values: dict[str, Any]) -> bytes:
    """A TOML text; tables stand inline."""
    return "".join(f"{key} = {_inline(value)}\n" for key, value in values.items()).encode(
        "utf-8", "surrogatepass"
    )


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_inline(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value).lower() if isinstance(value, bool | float) else json.dumps(value)


FOLDERS = (
    *(
        "runs",
        "pubs",
        "other",
        "merged",
        "outside",
        "runs/small",
        "outside/notes.md",
        "absent/deep",
        "pipe.py",
    ),
    *(".", "x" * 300, "runs/../runs", "\udcff", "/dev/null/x", "loop"),
)
SUITES = ("small.toml",) * 12 + (
    *("drawn.toml",) * 8,
    *("digits", "nope", "absent.toml", "folder.toml", "pipe.toml", "", "x" * 3000 + ".toml", "\udcff.toml"),
)
SEEDS = ("0", "1", "0-1", "0-999999999", "1-0", "a", "", "0,0", "-1", "9" * 5000, "²", "0-1,7")
NUMBERS = ("1", "2", "0", "-1", "nan", "inf", "1e400", "x", "", "9" * 400, "0.5", "²")


def _option(name: str, values: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.sampled_from(values).map(lambda value: (name, value))


def _flag(name: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.just((name,))


METHODS = st.lists(st.sampled_from(LABELS), min_size=1, max_size=2).map(
    lambda labels: ("--methods", ",".join(labels))
)
RESULTS = _option("--results", FOLDERS)
WRONG = st.sampled_from([("--nope",), ("--help",), ("extra",), ("--results",)])
SELECTION = (METHODS, _option("--seeds", SEEDS))
OPTIONS: dict[str, tuple[st.SearchStrategy[tuple[str, ...]], ...]] = {
    "status": (RESULTS, *SELECTION),
    "report": (RESULTS, *SELECTION, _flag("--allow-partial"), _flag("--allow-mixed")),
    "publish": (
        *(RESULTS, *SELECTION, _option("--into", FOLDERS)),
        *(_flag("--dry-run"), _flag("--replace"), _flag("--replace")),
    ),
    "dry run": (
        *(RESULTS, *SELECTION, _flag("--retry-failed"), _flag("--rerun-changed"), _flag("--deterministic")),
        *(
            _option("--shard", ("1/2", "2/2", "3/2", "0/1", "x", "1/" + "9" * 400)),
            _option("--jobs", NUMBERS),
        ),
        *(
            _option("--device", ("cpu", "cuda", "auto", "tpu")),
            _option("--weights", ("none", "small.toml", "")),
        ),
        *(_option("--gpus", NUMBERS), _option("--per-gpu", NUMBERS), _option("--timeout", NUMBERS)),
        *(_option("--memory-per-cell", NUMBERS), _option("--checkpoint-every", NUMBERS)),
        *(_option("--data-dir", FOLDERS), _option("--address", ("auto", "x")), _flag("--allow-subset")),
    ),
    "run": (
        *(_flag("--retry-failed"), _flag("--rerun-changed"), _option("--shard", ("1/4", "2/4"))),
        *(_option("--checkpoint-every", ("1",)), _option("--timeout", ("30",)), RESULTS),
    ),
    "verify": (
        _option("--results", ("pubs", "merged", "outside", "loop")),
        *SELECTION,
        _option("--sample-seed", NUMBERS),
    ),
    "time": (RESULTS, _option("--minutes", ("nan", "-1", "x")), _option("--steps", NUMBERS)),
}


def commands() -> st.SearchStrategy[tuple[str, ...]]:
    """Command lines; those that only read come most often, and those that train run few cells."""

    def line(name: str, suite: st.SearchStrategy[str], most: int) -> st.SearchStrategy[tuple[str, ...]]:
        words = {"dry run": ("run", "--dry-run", "--quiet"), "run": ("run", "--quiet")}.get(name, (name,))
        options = st.lists(st.one_of(*OPTIONS[name], WRONG), max_size=most)
        return st.builds(
            lambda suite, found: (
                (*words, *(word for option in found for word in option), "--", suite)
                if "--results" not in found[-1:]
                else (*words, suite)
            ),
            suite,
            options,
        )

    any_suite, sound = st.sampled_from(SUITES), st.just("small.toml")
    merge = st.lists(
        st.sampled_from([*FOLDERS, *(f"{name}/small" for name in ("runs", "pubs", "other", "merged"))]),
        min_size=1,
        max_size=4,
    ).map(lambda folders: ("merge", *folders))
    good_merge = st.permutations(["runs/small", "pubs/small", "other/small", "merged/small"]).map(
        lambda folders: ("merge", *folders[1:])
    )
    plain = st.sampled_from(
        [
            ("status", "small.toml"),
            ("report", "small.toml", "--allow-partial", "--allow-mixed"),
            ("report", "small.toml", "--results", "pubs"),
            ("publish", "small.toml", "--into", "pubs"),
            ("publish", "small.toml", "--into", "pubs", "--replace"),
            ("publish", "small.toml", "--into", "pubs", "--dry-run"),
            ("publish", "small.toml", "--into", "merged"),
            ("run", "--dry-run", "small.toml", "--quiet"),
            ("merge", "runs/small", "other/small", "merged/small"),
            ("merge", "runs/small", "pubs/small"),
            ("merge", "pubs/small", "runs/small"),
            ("merge", "other/small", "pubs/small"),
        ]
    )
    often = st.one_of(
        *[plain] * 10,
        *(
            line(name, any_suite, 2)
            for name in ("status", "status", "report", "publish", "dry run", "dry run")
        ),
        *(line(name, sound, 2) for name in ("status", "report", "publish", "publish")),
        good_merge,
        merge,
    )
    seldom = st.one_of(
        line("run", sound, 1),
        st.sampled_from(LABELS).map(lambda label: ("check", label)),
        st.sampled_from(["methods", "suites", "nope", ""]).map(lambda kind: ("list", kind)),
        st.sampled_from([*HOSTILE[:12], "digits", "ham10000"]).map(lambda name: ("prepare", name)),
        st.lists(st.text(max_size=5).filter(lambda text: "\0" not in text), min_size=1, max_size=3).map(
            tuple
        ),
    )
    quick = ("--minutes", "1e-6", "--steps", "2", "--quiet")
    slow = st.one_of(
        line("time", sound, 1).map(lambda words: (words[0], *quick, *words[1:])),
        line("verify", sound, 2).map(lambda words: (words[0], "--sample", "1", *words[1:])),
    )
    return st.integers(0, 39).flatmap(lambda turn: slow if turn == 39 else seldom if turn > 34 else often)

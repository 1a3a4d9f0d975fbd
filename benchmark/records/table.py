"""Records as a pandas table, for whoever wants to ask them something that the report does not tell."""

import warnings
from pathlib import Path

import pandas as pd
import pyarrow as pa

from reweightbench.benchmark.records.columns import SCHEMA
from reweightbench.benchmark.records.folder import ResultsFolder
from reweightbench.benchmark.records.packed import make_batches


def load_records(path: str | Path) -> pd.DataFrame:
    """The records of a results folder such as `results/digits`, a row per cell, sorted by key.

    The columns are those of `records.parquet`, whether the folder holds one or single files. A record that does
    not parse is warned of and left out. Raises UsageError for a folder without results.
    """
    folder = ResultsFolder(Path(path))
    folder.manifest()
    outcomes = folder.outcomes(lambda message: warnings.warn(message, stacklevel=2))
    frame: pd.DataFrame = pa.Table.from_batches(make_batches(outcomes), SCHEMA).to_pandas()
    return frame

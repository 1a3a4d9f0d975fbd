"""All records of a results folder in one file of parquet: a row per cell, sorted by key."""

from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.foreign import open_foreign
from reweightbench.benchmark.records.columns import ARRAYS, RECORD, SCHEMA, make_row
from reweightbench.benchmark.records.files import open_atomically
from reweightbench.benchmark.records.record import KEY, Arrays, Outcome, parse_record

ROWS = 256
"""Rows of a row group, as many as are in memory at a time."""

MOST_BYTES = 2**32
"""What a file may take, and a row group when it is unpacked."""

MOST_ROWS = 10**6
MOST_VALUES = 2**25
"""Values of a row group's arrays."""

NEEDED = ("key", RECORD, *(ARRAYS[name] for name in ("test", "validation", "clean", "predictions")))
"""Columns that every file has; of the others it has those that were known when it was written."""


def write(path: Path, outcomes: Iterable[Outcome]) -> None:
    """Write records, given in the order of keys, in the place of any file there; equal ones give equal bytes."""
    with open_atomically(path) as stream:
        with pq.ParquetWriter(
            stream,
            SCHEMA,
            compression="zstd",
            compression_level=12,
            write_statistics=False,
            write_page_checksum=True,
            store_schema=False,
        ) as writer:
            for batch in make_batches(outcomes):
                writer.write_batch(batch, row_group_size=ROWS)
        stream.flush()
        # What could not be read again takes no other file's place.
        # Opened here: arrow itself takes no path that is not UTF-8.
        with Path(stream.name).open("rb") as written, pq.ParquetFile(written) as file:
            _check_size(path, file.metadata)
            _check_arrays(path, file)


def make_batches(outcomes: Iterable[Outcome]) -> Iterator[pa.RecordBatch]:
    """Records as rows, `ROWS` at a time; raises UsageError for a number that is too large for its column."""
    rest = iter(outcomes)
    while part := list(islice(rest, ROWS)):
        try:
            yield pa.RecordBatch.from_pylist([make_row(outcome) for outcome in part], SCHEMA)
        except (pa.ArrowException, OverflowError) as error:
            first, last = part[0].record.key, part[-1].record.key
            raise UsageError(f"a record from {first} to {last} does not fit into columns: {error}") from None


def read(
    path: Path, warn: Callable[[str], None], *, keys: Container[str] | None = None, with_arrays: bool = True
) -> Iterator[Outcome]:
    """The records of some keys, or all, by and by in the order of keys.

    One that does not parse is named through `warn` and left out. Raises UsageError for a file that is damaged, or
    of another version.
    """
    with (
        _name_damage(path),
        open_foreign(path, MOST_BYTES, links=False) as stream,
        pq.ParquetFile(stream, page_checksum_verification=True) as file,
    ):
        _check_size(path, file.metadata)
        _check_schema(path, file.schema_arrow)
        if with_arrays:
            _check_arrays(path, file)
        columns = [RECORD, *(_array_columns(file) if with_arrays else ())]
        last = ""
        for group in range(file.num_row_groups):
            found = _read_keys(path, file.read_row_group(group, ["key"], use_threads=False)["key"], last)
            last = found[-1]
            places = [place for place, key in enumerate(found) if keys is None or key in keys]
            if places:
                table = file.read_row_group(group, columns, use_threads=False)
                chosen = [found[place] for place in places]
                yield from _parse(path, chosen, table if keys is None else table.take(places), warn)


def _read_keys(path: Path, column: pa.ChunkedArray, last: str) -> list[str]:
    """The keys of a row group; they have to be sorted, each there once, and behind the `last` one before."""
    keys: list[str] = column.to_pylist()
    for key in keys:
        if key is None or not KEY.fullmatch(key):
            raise _refusal(path, f"key {str(key)[:80]!r} is no sha256")
        if key <= last:
            raise _refusal(path, f"key {key} is there twice or not in order")
        last = key
    return keys


def _parse(path: Path, keys: list[str], table: pa.Table, warn: Callable[[str], None]) -> Iterator[Outcome]:
    for key, text, arrays in zip(keys, table[RECORD].to_pylist(), _arrays(table), strict=True):
        try:
            outcome = Outcome(parse_record(text or "", key, f"record {key} in '{path}'"), arrays)
            outcome.check_arrays()
        except ValueError as error:
            warn(f"record {key} in '{path}' is unreadable ({error}) and left out")
        else:
            yield outcome


def _arrays(table: pa.Table) -> list[Arrays]:
    """The arrays of each row."""
    found: list[Arrays] = [{} for _ in range(table.num_rows)]
    for name, column in ARRAYS.items():
        if column in table.column_names:
            for arrays, values in zip(found, table[column], strict=True):
                if values.is_valid:
                    arrays[name] = values.values.to_numpy()
    return found


@contextmanager
def _name_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _refusal(path, str(error).partition("\n")[0]) from None


def _refusal(path: Path, problem: str) -> UsageError:
    return UsageError(
        f"'{path}' cannot be read as packed records ({problem}); fetch it again, or remove it and run its cells"
    )


def _check_size(path: Path, metadata: pq.FileMetaData) -> None:
    """What a file announces has to fit into memory before any of it is unpacked."""
    if metadata.num_rows > MOST_ROWS:
        raise _refusal(path, f"it has {metadata.num_rows} rows; at most {MOST_ROWS} are allowed")
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if not 0 < group.num_rows <= ROWS or not 0 <= group.total_byte_size <= MOST_BYTES:
            raise _refusal(
                path,
                f"a group has {group.num_rows} rows and {group.total_byte_size} bytes; at most {ROWS} and "
                f"{MOST_BYTES} are allowed",
            )


def _check_arrays(path: Path, file: pq.ParquetFile) -> None:
    """A list of zeros takes no bytes to speak of before it is unpacked."""
    names = _array_columns(file)
    places = [place for place, column in enumerate(file.schema) if column.path.partition(".")[0] in names]
    # It needs little memory, and raises for damaged metadata, on which `column` would end the process.
    file.scan_contents(names)
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        values = sum(group.column(place).num_values for place in places)
        if values > MOST_VALUES:
            raise _refusal(path, f"a group has {values} values in arrays; at most {MOST_VALUES} are allowed")


def _array_columns(file: pq.ParquetFile) -> list[str]:
    return [name for name in file.schema_arrow.names if name in ARRAYS.values()]


def _check_schema(path: Path, schema: pa.Schema) -> None:
    """Raise UsageError for a column that is missing, unknown, there twice or of another type."""
    for name, kind in zip(schema.names, schema.types, strict=True):
        if name not in SCHEMA.names or schema.names.count(name) > 1:
            raise _refusal(path, f"column {name!r} is unknown to this version, or there twice")
        if kind != SCHEMA.field(name).type:
            raise _refusal(path, f"column '{name}' is {kind}, not {SCHEMA.field(name).type}")
    for name in NEEDED:
        if name not in schema.names:
            raise _refusal(path, f"it has no column '{name}'")

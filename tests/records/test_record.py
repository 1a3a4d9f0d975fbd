"""Records of earlier schema versions are read, and say the same in the present one."""

import json
from pathlib import Path

import pytest

from reweightbench.benchmark.records.record import SCHEMA_VERSION, Record

VERSION_1 = Path(__file__).with_name("schema_1.json")


def test_a_record_of_version_1_is_upgraded() -> None:
    content = json.loads(VERSION_1.read_text())
    assert content["schema_version"] == 1
    record = Record.model_validate_json(VERSION_1.read_bytes())
    assert record.schema_version == SCHEMA_VERSION
    assert record.cell.key == record.key == content["key"]
    assert record.cell.purpose == "table"
    again = json.loads(record.model_dump_json())
    for part in ("cell", "result", "cost", "environment"):
        for name, value in content[part].items():
            found = again[part][name]
            if isinstance(value, dict):
                found = {key: found[key] for key in value}
            assert found == value, (part, name)


def test_a_version_to_come_is_no_version_1() -> None:
    content = json.loads(VERSION_1.read_text()) | {"schema_version": SCHEMA_VERSION + 1}
    with pytest.raises(ValueError, match="schema_version"):
        Record.model_validate(content)

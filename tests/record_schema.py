"""Holds every record that a test has written against the schemas in docs/."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

SCHEMAS = Path(__file__).resolve().parents[1] / "docs" / "schemas"


@lru_cache
def validator(schema: str) -> Draft202012Validator:
    """The validator of `streamdet.result/1` or `streamdet.event/1`."""
    kind = schema.removeprefix("streamdet.").partition("/")[0]
    text = (SCHEMAS / f"{kind}.schema.json").read_text(encoding="utf-8")
    return Draft202012Validator(json.loads(text))


def assert_conforms(record: dict[str, Any]) -> None:
    """Fails with the first thing that is wrong with a record."""
    validator(record["schema"]).validate(record)


def records_of(path: Path) -> list[dict[str, Any]]:
    """The records of a JSONL file, whole lines every one and each conforming."""
    content = path.read_bytes()
    assert content == b"" or content.endswith(b"\n"), "the last line is cut off"
    records: list[dict[str, Any]] = [json.loads(line) for line in content.splitlines()]
    for record in records:
        assert_conforms(record)
    return records

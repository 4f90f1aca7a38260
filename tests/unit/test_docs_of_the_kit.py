"""The examples of docs/testing-kit.md run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOC = Path(__file__).resolve().parents[2] / "docs" / "testing-kit.md"
BLOCKS = re.findall(r"```python\n(.*?)```", DOC.read_text(encoding="utf-8"), re.S)


@pytest.mark.parametrize("block", BLOCKS)
def test_an_example_of_the_kit_runs(block: str) -> None:
    exec(compile(block, str(DOC), "exec"), {"__name__": "example"})


def test_the_kit_lists_its_names_sorted_and_the_doc_names_them_all() -> None:
    from streamdet import testing

    assert sorted(testing.__all__, key=lambda name: (not name[0].isupper(), name)) == testing.__all__
    text = DOC.read_text(encoding="utf-8")
    assert [] == [name for name in testing.__all__ if name not in text and name != "one_box"]

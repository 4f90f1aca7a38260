"""The example of docs/add-a-source.md runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streamdet.errors import SourceLost

DOCUMENT = Path(__file__).parents[3] / "docs" / "add-a-source.md"


@pytest.fixture
def example():
    """The names that the document's code blocks define."""
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, str(DOCUMENT), "exec"), names)
    return names


def test_the_example_keeps_the_contract_as_its_own_test_says(example, tmp_path):
    example["test_the_numpy_source_keeps_the_contract"](tmp_path)


def test_its_mistakes_are_losses_with_a_cause(example, tmp_path):
    for content, cause in ((None, "not_found"), (b"", "no_video"), (b"no array", "no_video")):
        path = tmp_path / f"{cause}.npy"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(SourceLost) as caught:
            example["NumpySource"]("stack", path).open()
        assert cause == caught.value.cause

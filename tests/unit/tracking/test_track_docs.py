"""The tracker of the document works."""

from __future__ import annotations

import re
from pathlib import Path

from moving_boxes import at, seen

from streamdet.frames import Detections
from streamdet.testing import check_tracker

DOC = Path(__file__).resolve().parents[3] / "docs" / "add-a-tracker.md"


def test_the_tracker_of_the_document_keeps_the_contract():
    [source] = re.findall(r"```python\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(source, "docs/add-a-tracker.md", "exec", dont_inherit=True), names)
    options, kind = names["StandingOptions"], names["Standing"]
    tracker = kind(options())  # type: ignore[operator]
    assert [1, 2] == tracker.update(seen(at(100), at(300)), 0.0).track_id.tolist()
    assert [2, 3] == tracker.update(seen(at(305), at(500)), 0.5).track_id.tolist()
    assert [1] == [event.track_id for event in tracker.update(Detections.empty(), 1.2).events]
    assert 2 == len(tracker.finish())
    check_tracker(lambda: kind(options()))  # type: ignore[operator]

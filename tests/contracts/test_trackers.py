"""Every tracker keeps the contract of trackers."""

from __future__ import annotations

import pytest

from streamdet.testing import check_tracker
from streamdet.tracking.catalogue import TRACKERS, make_tracker
from streamdet.tracking.options import LifeOptions


@pytest.mark.parametrize("options", TRACKERS, ids=lambda options: options.__name__)
def test_a_tracker_keeps_the_contract(options: type[LifeOptions]) -> None:
    check_tracker(lambda: make_tracker(options()))

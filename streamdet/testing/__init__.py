"""The public test kit: stations that do what they are told, a clock moved by hand, and one check per contract."""

from streamdet.testing.checks import check_backend, check_sink, check_source, check_tracker
from streamdet.testing.clock import ManualClock
from streamdet.testing.saboteur import Saboteur
from streamdet.testing.stations import FakeBackend, FakeDetector, ListSink, SyntheticSource, one_box, tiny_manifest

__all__ = [
    "FakeBackend",
    "FakeDetector",
    "ListSink",
    "ManualClock",
    "Saboteur",
    "SyntheticSource",
    "check_backend",
    "check_sink",
    "check_source",
    "check_tracker",
    "one_box",
    "tiny_manifest",
]

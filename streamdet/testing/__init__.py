"""The public test kit: stations that do what they are told, a clock moved by hand, and one check per contract."""

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
    "one_box",
    "tiny_manifest",
]

"""The public test kit: stations that do what they are told, a clock moved by hand, and one check per contract."""

from streamdet.testing.checks import check_backend, check_sink, check_source, check_tracker
from streamdet.testing.clock import ManualClock
from streamdet.testing.reading import FakeReader, FakeReaderBackend, look_at, reader_manifest
from streamdet.testing.saboteur import Saboteur
from streamdet.testing.stations import FakeBackend, FakeDetector, ListSink, SyntheticSource, one_box, tiny_manifest

__all__ = [
    "FakeBackend",
    "FakeDetector",
    "FakeReader",
    "FakeReaderBackend",
    "ListSink",
    "ManualClock",
    "Saboteur",
    "SyntheticSource",
    "check_backend",
    "check_sink",
    "check_source",
    "check_tracker",
    "look_at",
    "one_box",
    "reader_manifest",
    "tiny_manifest",
]

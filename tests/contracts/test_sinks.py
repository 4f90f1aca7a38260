"""Every sink keeps the contract of sinks."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from streamdet.sinks.catalogue import CATALOGUE, sink_from
from streamdet.sinks.terminal import Terminal, TerminalOptions
from streamdet.testing import ListSink, check_sink

PATHS = {"jsonl": "records.jsonl", "video": "video/", "mot": "tracks/", "images": "pictures/", "counting": None}


@pytest.mark.parametrize("kind", [kind for kind in CATALOGUE if kind != "terminal"])
def test_a_sink_keeps_the_contract(kind: str, tmp_path: Path) -> None:
    place = PATHS[kind]
    fields = {} if place is None else {"path": tmp_path / place}
    options = CATALOGUE[kind].options(kind=kind, **fields)  # type: ignore[call-arg]
    check_sink(lambda: sink_from(options, list))


def test_the_terminal_keeps_the_contract() -> None:
    check_sink(lambda: Terminal(TerminalOptions(), list, io.StringIO()))


def test_the_kits_own_sink_keeps_the_contract() -> None:
    check_sink(ListSink)

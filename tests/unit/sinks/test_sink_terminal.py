"""The terminal: a table for people, plain lines for logs."""

from __future__ import annotations

import io
import os
import pty
import threading
import time

import pytest
from rich.console import Console

from streamdet.errors import SinkLost
from streamdet.frames import Event
from streamdet.sinks.contract import StreamStatus
from streamdet.sinks.tables import duration_text, event_line, live_view, plain_line, summary
from streamdet.sinks.terminal import Terminal, TerminalOptions

CAMERA = StreamStatus("gate", "running", True, 1200, 1190, 3, 7, 24.96, 0.0123, 5)
FILE = StreamStatus(
    "street.mp4", "running", False, 500, 500, 0, 0, 100.0, None, 2, position_s=20.0, duration_s=80.0, detail="half way"
)
LOST = Event(
    "stream_state", "gate", 1, fields={"state": "backoff", "cause": "refused", "detail": "rtsp://me:secret@cam/1"}
)


def rendered(view, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(view)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_shows_every_figure_of_a_stream():
    text = rendered(live_view([CAMERA, FILE]))
    for shown in ("gate", "running", "25.0", "12 ms", "1,190", "3", "7", "5", "street.mp4", "half way"):
        assert shown in text


def test_the_bar_tells_how_far_the_files_are_and_how_long_they_still_take():
    # 500 frames were 20 s of video: 100 frames per second are 4 s of video per second, and 60 s are left.
    text = rendered(live_view([CAMERA, FILE]))
    assert "25%" in text
    assert "15.0 s left" in text


def test_cameras_alone_have_no_bar():
    assert "%" not in rendered(live_view([CAMERA]))


def test_a_plain_line_holds_no_control_characters():
    status = StreamStatus("ga\x1b[31mte\n", "failed", True, 0, 0, 0, 0, 0.0, None, 0, detail="no\r\nroute")
    assert all(letter.isprintable() for letter in plain_line(status))
    assert (
        "street.mp4: running, 500 frames, 100.0 fps, latency -, 0 unknown, 0 dropped, 2 tracks, 25%, half way"
        == plain_line(FILE)
    )


def test_a_lost_stream_is_one_line_without_its_password():
    assert "gate: backoff (cause refused): rtsp://***@cam/1" == event_line(LOST)


def test_events_about_tracks_are_not_for_the_terminal():
    assert event_line(Event("track_started", "gate", 0, 1.0, fields={"track_id": 4})) is None


def test_the_summary_adds_the_streams_up_and_says_where_the_results_are():
    text = rendered(summary([CAMERA, FILE], 20.0, ["out/records.jsonl"]))
    assert "1,690" in text
    assert "84.5" in text
    assert "20.0 s" in text
    assert "→ out/records.jsonl" in text


@pytest.mark.parametrize(("seconds", "text"), [(4.21, "4.2 s"), (185, "3 min 05 s"), (7620, "2 h 07 min")])
def test_durations_read_as_people_say_them(seconds, text):
    assert text == duration_text(seconds)


def test_a_log_gets_plain_lines_and_no_control_characters_whatever_the_environment(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    output = io.StringIO()
    sink = Terminal(TerminalOptions.model_construct(line_s=0.02), lambda: [CAMERA, FILE], output)
    sink.open()
    sink.write(LOST)
    deadline = time.monotonic() + 10
    while output.getvalue().count("\n") < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    sink.close()
    lines = output.getvalue().splitlines()
    assert 5 <= len(lines)
    assert all(letter.isprintable() for line in lines for letter in line)
    assert any("gate: backoff" in line for line in lines)
    assert any("street.mp4: running, 500 frames" in line for line in lines)


def test_a_person_gets_a_live_table_which_is_taken_away_at_the_end():
    reading, writing = pty.openpty()
    with os.fdopen(writing, "w") as output:
        sink = Terminal(TerminalOptions(refresh_s=0.25), lambda: [CAMERA], output)
        sink.open()
        sink.write(LOST)
        time.sleep(0.6)
        sink.close()
        output.flush()
        shown = os.read(reading, 65536).decode()
    os.close(reading)
    assert "latency" in shown
    assert "gate: backoff" in shown
    assert "\x1b[2K" in shown  # the table's lines are erased


def test_no_thread_outlives_close_and_both_are_idempotent():
    before = threading.active_count()
    sink = Terminal(TerminalOptions(), lambda: [CAMERA], io.StringIO())
    sink.close()
    for _ in range(3):
        sink.open()
        sink.open()
        assert before + 1 == threading.active_count()
        sink.close()
        sink.close()
        assert before == threading.active_count()


def test_a_closed_output_is_a_loss_not_a_traceback():
    output = io.StringIO()
    sink = Terminal(TerminalOptions(), lambda: [CAMERA], output)
    sink.open()
    output.close()
    with pytest.raises(SinkLost, match="the terminal cannot be written to"):
        sink.write(LOST)
    sink.close()


def test_only_the_streams_asked_for_are_shown():
    output = io.StringIO()
    sink = Terminal(TerminalOptions.model_construct(line_s=0.02, streams=("gate",)), lambda: [CAMERA, FILE], output)
    sink.open()
    time.sleep(0.2)
    sink.close()
    assert "gate: running" in output.getvalue()
    assert "street.mp4" not in output.getvalue()

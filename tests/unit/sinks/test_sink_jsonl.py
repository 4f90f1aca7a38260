"""Records in a file: whole lines, whatever happens."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from made_results import make_result
from record_schema import records_of

from streamdet.errors import SinkLost
from streamdet.frames import Event
from streamdet.sinks.jsonl import Jsonl, JsonlOptions


def write_until_lost(sink: Jsonl) -> tuple[int, SinkLost]:
    """How many results were taken, and what came then."""
    for number in range(10_000):
        try:
            sink.write(make_result(number))
        except SinkLost as loss:
            return number, loss
    raise AssertionError("the disk never filled")


STATE = Event("stream_state", "gate", 0, fields={"state": "running"})


def test_results_and_events_stand_in_the_file_in_the_order_of_writing(tmp_path):
    sink = Jsonl(JsonlOptions(path=tmp_path / "a" / "b" / "records.jsonl"))
    sink.open()
    sink.write(make_result(0))
    sink.write(STATE)
    sink.write(make_result(1, known=False))
    sink.write(make_result(2, objects=0))
    sink.close()
    first, event, unknown, nothing = records_of(tmp_path / "a" / "b" / "records.jsonl")
    assert [2.25, 6.25, 18.25, 26.25] == first["objects"][0]["xyxy"]
    assert 0.93 == first["objects"][0]["score"]
    assert 7 == first["objects"][0]["track_id"]
    assert "running" == event["state"]
    assert (None, "timeout") == (unknown["objects"], unknown["unknown_reason"])
    assert [] == nothing["objects"]


def test_a_record_is_in_the_file_when_write_returns(tmp_path):
    sink = Jsonl(JsonlOptions(path=tmp_path / "records.jsonl"))
    sink.open()
    for number in range(5):
        sink.write(make_result(number))
        assert number + 1 == len(records_of(tmp_path / "records.jsonl"))
    sink.close()


def test_a_file_of_an_earlier_run_is_gone_on_with_or_replaced_as_asked(tmp_path):
    path = tmp_path / "records.jsonl"
    for existing, expected in (("append", 1), ("append", 2), ("replace", 1)):
        sink = Jsonl(JsonlOptions(path=path, existing=existing))
        sink.open()
        sink.write(make_result())
        sink.close()
        assert expected == len(records_of(path))


def test_opening_again_never_replaces_what_the_same_run_wrote(tmp_path):
    sink = Jsonl(JsonlOptions(path=tmp_path / "records.jsonl", existing="replace"))
    for number in range(3):
        sink.open()
        sink.write(make_result(number))
        sink.close()
    assert [0, 1, 2] == [record["frame"] for record in records_of(tmp_path / "records.jsonl")]


def test_open_and_close_are_idempotent_in_any_state(tmp_path):
    sink = Jsonl(JsonlOptions(path=tmp_path / "records.jsonl"))
    sink.close()
    sink.open()
    sink.open()
    sink.write(make_result())
    sink.close()
    sink.close()
    assert 1 == len(records_of(tmp_path / "records.jsonl"))


def test_only_the_streams_asked_for_are_written(tmp_path):
    sink = Jsonl(JsonlOptions(path=tmp_path / "records.jsonl", streams=("gate",)))
    sink.open()
    sink.write(make_result(stream="yard"))
    sink.write(make_result(stream="gate"))
    sink.close()
    assert ["gate"] == [record["stream"] for record in records_of(tmp_path / "records.jsonl")]


def test_a_last_line_cut_off_by_a_kill_is_removed_before_appending(tmp_path):
    path = tmp_path / "records.jsonl"
    sink = Jsonl(JsonlOptions(path=path))
    sink.open()
    sink.write(make_result(0))
    sink.close()
    whole = path.read_bytes()
    for kept in (1, 5, len(whole) - 1):
        path.write_bytes(whole + whole[:kept])
        sink.open()
        sink.write(make_result(1))
        sink.close()
        assert [0, 1] == [record["frame"] for record in records_of(path)]


def test_a_file_that_is_not_ours_and_ends_in_mid_line_is_left_alone(tmp_path):
    path = tmp_path / "diary.txt"
    path.write_text("dear diary\nno newline here")
    with pytest.raises(SinkLost, match="ends in the middle of a line that is no record"):
        Jsonl(JsonlOptions(path=path)).open()
    assert "dear diary\nno newline here" == path.read_text()


def test_rotation_by_size_keeps_as_many_files_as_asked_and_every_line_whole(tmp_path):
    path = tmp_path / "records.jsonl"
    sink = Jsonl(JsonlOptions(path=path, rotate_mb=0.001, keep=3))
    sink.open()
    for number in range(40):
        sink.write(make_result(number))
    sink.close()
    assert ["records.jsonl", "records.jsonl.1", "records.jsonl.2", "records.jsonl.3"] == sorted(os.listdir(tmp_path))
    frames = []
    for name in ("records.jsonl.3", "records.jsonl.2", "records.jsonl.1", "records.jsonl"):
        assert (tmp_path / name).stat().st_size <= 1000
        frames += [record["frame"] for record in records_of(tmp_path / name)]
    assert list(range(40 - len(frames), 40)) == frames


def test_rotation_by_age_begins_a_new_file_at_the_next_record(tmp_path):
    now_s = 0.0
    sink = Jsonl(JsonlOptions(path=tmp_path / "records.jsonl", rotate_s=60), clock=lambda: now_s)
    sink.open()
    for number, now_s in enumerate((0.0, 59.0, 61.0, 100.0, 122.0)):  # noqa: B007 - the clock reads it
        sink.write(make_result(number))
    sink.close()
    names = ("records.jsonl.2", "records.jsonl.1", "records.jsonl")
    assert [[0, 1], [2, 3], [4]] == [[record["frame"] for record in records_of(tmp_path / name)] for name in names]


def test_a_second_writer_of_the_same_file_is_refused(tmp_path):
    first, second = (Jsonl(JsonlOptions(path=tmp_path / "records.jsonl")) for _ in range(2))
    first.open()
    with pytest.raises(SinkLost, match="another sink or process is writing this file"):
        second.open()
    first.close()
    second.open()
    second.close()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a_file/records.jsonl", "a file stands where a directory is needed"),
        ("a_folder", "a directory stands where a file is to be written"),
        ("a_pipe", "it is not a regular file"),
        ("n" * 300, "the path is too long"),
    ],
)
def test_a_path_that_cannot_be_written_gives_one_clear_message(tmp_path, path, message):
    (tmp_path / "a_file").touch()
    (tmp_path / "a_folder").mkdir()
    os.mkfifo(tmp_path / "a_pipe")
    with pytest.raises(SinkLost) as caught:
        Jsonl(JsonlOptions(path=tmp_path / path)).open()
    assert message in str(caught.value)
    assert "where: " in str(caught.value)
    assert "hint: " in str(caught.value)


def test_a_full_disk_gives_one_error_and_never_half_a_record(tmp_path, full_after):
    path = tmp_path / "records.jsonl"
    sink = Jsonl(JsonlOptions(path=path))
    sink.open()
    with full_after(5_000):
        written, loss = write_until_lost(sink)
    assert "records cannot be written: the file may not grow further" == loss.what
    assert list(range(written)) == [record["frame"] for record in records_of(path)]
    assert path.stat().st_size <= 5_000
    sink.write(make_result(written))  # there is space again: what was refused comes again
    sink.close()
    assert list(range(written + 1)) == [record["frame"] for record in records_of(path)]


def test_no_space_left_on_a_real_file_system_says_so(small_disk):
    folder = small_disk(200)
    sink = Jsonl(JsonlOptions(path=folder / "records.jsonl"))
    sink.open()
    written, loss = write_until_lost(sink)
    assert "records cannot be written: no space left on the disk" == loss.what
    assert written > 0
    assert written == len(records_of(folder / "records.jsonl"))
    sink.close()


def test_a_killed_process_leaves_whole_lines_and_loses_none_it_reported(tmp_path, tests_folder):
    script = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(tests_folder)!r})
        from made_results import make_result
        from streamdet.sinks.jsonl import Jsonl, JsonlOptions
        sink = Jsonl(JsonlOptions(path={str(tmp_path / "records.jsonl")!r}))
        sink.open()
        for number in range(10**9):
            sink.write(make_result(number))
            print(number, flush=True)
    """)
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for _ in range(50):
        child.stdout.readline()
    time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    reported = [line for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    child.wait()
    child.stdout.close()
    last = int(reported[-1]) if reported else 49
    assert list(range(last + 1)) == [record["frame"] for record in records_of(tmp_path / "records.jsonl")][: last + 1]


@pytest.fixture(autouse=True)
def _limits_unchanged():
    yield
    assert resource.RLIM_INFINITY == resource.getrlimit(resource.RLIMIT_FSIZE)[0]

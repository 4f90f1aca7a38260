"""The catalogue: every kind, and what `--out` means."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from made_results import make_result
from pydantic import TypeAdapter, ValidationError

from streamdet.errors import ConfigError, SinkLost
from streamdet.frames import Event
from streamdet.sinks.catalogue import CATALOGUE, AnySinkOptions, sink_from, sinks_for_out
from streamdet.sinks.counting import Counting
from streamdet.sinks.options import SinkOptions

PATHS = {"jsonl": "a.jsonl", "video": "a.mp4", "mot": "a.csv", "images": "pictures"}


def options_of(kind: str, folder: Path, **more: object) -> SinkOptions:
    fields = {"kind": kind, **more} | ({"path": folder / PATHS[kind]} if kind in PATHS else {})
    return TypeAdapter(AnySinkOptions).validate_python(fields)


@pytest.mark.parametrize("kind", CATALOGUE)
def test_every_kind_is_made_from_its_options_and_takes_results_and_events(kind, tmp_path):
    sink = sink_from(options_of(kind, tmp_path), status=list)
    assert kind == sink.name
    sink.open()
    if sink.accepts != "events":
        sink.write(make_result(0))
    if sink.accepts != "results":
        sink.write(Event("stream_state", "gate", 0, fields={"state": "ended"}))
    sink.close()


@pytest.mark.parametrize("kind", CATALOGUE)
def test_every_option_is_described_and_an_unknown_one_refused(kind, tmp_path):
    fields = CATALOGUE[kind].options.model_fields
    assert [] == [name for name, field in fields.items() if name != "kind" and not field.description]
    assert kind == fields["kind"].default
    with pytest.raises(ValidationError):
        options_of(kind, tmp_path, colour="red")


@pytest.mark.parametrize("kind", CATALOGUE)
def test_a_sink_may_have_a_name_of_its_own(kind, tmp_path):
    assert "mine" == sink_from(options_of(kind, tmp_path, name="mine"), status=list).name


@pytest.mark.parametrize("kind", PATHS)
def test_a_user_without_the_right_to_write_is_told_so_at_open(kind, tmp_path, run_python):
    # In a child, because a user who gives up root's rights cannot take them back.
    tmp_path.chmod(0o755)
    answer = run_python(
        f"""
        import os
        from pathlib import Path
        from pydantic import TypeAdapter
        from streamdet.errors import SinkLost
        from streamdet.sinks.catalogue import AnySinkOptions, sink_from
        folder = Path({str(tmp_path)!r}, "locked")
        folder.mkdir(mode=0o555)
        if os.geteuid() == 0:
            os.seteuid(65534)
        fields = dict(kind={kind!r}, path=folder / {PATHS[kind]!r})
        try:
            sink_from(TypeAdapter(AnySinkOptions).validate_python(fields), status=list).open()
        except SinkLost as loss:
            print(loss)
        """
    )
    first, where, hint = answer.splitlines()
    assert first.endswith(" cannot be written: no permission to write there")
    assert where.startswith("  where: ")
    assert hint.startswith("  hint: ")


@pytest.mark.parametrize("kind", PATHS)
def test_a_read_only_disk_is_told_at_open(kind, tmp_path, small_disk):
    folder = small_disk(200)
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    with pytest.raises(SinkLost, match="cannot be written: the file system is read-only"):
        sink_from(options_of(kind, folder), status=list).open()


@pytest.mark.parametrize(
    ("out", "kinds"),
    [
        ("-", ["terminal"]),
        ("a/b.jsonl", ["jsonl"]),
        ("a/B.MP4", ["video"]),
        ("a.csv", ["mot"]),
        ("a.jpg", ["images"]),
        ("out/", ["jsonl", "video", "images"]),
        ("out", ["jsonl", "video", "images"]),
        ("out.d/", ["jsonl", "video", "images"]),
    ],
)
def test_out_picks_the_sinks_by_its_ending(out, kinds):
    assert kinds == [options.kind for options in sinks_for_out(out)]


@pytest.mark.parametrize("out", ["a.jsonl", "a.mp4", "a.csv", "a.jpg", "out/"])
def test_out_replaces_what_an_earlier_run_left_unless_that_run_is_resumed(out):
    assert {"replace"} == {options.existing for options in sinks_for_out(out)}
    assert {"append", "keep"} >= {options.existing for options in sinks_for_out(out, resume=True)}


@pytest.mark.parametrize("out", ["a.avi", "a.json", "records.jsonl.gz"])
def test_an_ending_that_says_nothing_is_refused_with_a_hint(out):
    with pytest.raises(ConfigError) as caught:
        sinks_for_out(out)
    assert "hint: end the name with /" in str(caught.value)


def test_a_folder_that_exists_may_have_any_name(tmp_path):
    (tmp_path / "run.avi").mkdir()
    assert 3 == len(sinks_for_out(str(tmp_path / "run.avi")))


def test_the_counting_sink_counts():
    sink = Counting()
    sink.open()
    sink.write(make_result(0, objects=3))
    sink.write(make_result(1, known=False))
    sink.write(Event("stream_state", "gate", 0, fields={"state": "ended"}))
    sink.close()
    assert (2, 1, 3, 1) == (sink.results, sink.unknown, sink.objects, sink.events)

"""The configuration: strict reading, all problems at once, secrets from the environment, flags on top."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamdet.config import assemble
from streamdet.config.flags import Flags, named
from streamdet.config.models import RunOptions
from streamdet.config.strict_yaml import load
from streamdet.config.validation import read_options
from streamdet.errors import ConfigError
from streamdet.testing import FakeDetector


def write(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1.5", 1.5),
        (".5", 0.5),
        ("-3", -3),
        ("0", 0),
        ("true", True),
        ("null", None),
        ("~", None),
        ("word", "word"),
        ("'no'", "no"),
        ("'017'", "017"),
        ("10.0.0.5", "10.0.0.5"),
        ("rtsp://a:554/1", "rtsp://a:554/1"),
        ("camera:0", "camera:0"),
    ],
)
def test_a_plain_value_is_what_everybody_would_take_it_for(tmp_path: Path, text: str, value: object) -> None:
    document = load(write(tmp_path, f"key: {text}"))
    assert [] == document.problems
    assert {"key": value} == document.values
    assert type(value) is type(document.values["key"])


@pytest.mark.parametrize(
    "text", ["yes", "no", "On", "off", "017", "1:30", "1:30:00", "12_3", "2026-01-01", "!!python/x 1", "!own 1"]
)
def test_what_two_readers_could_take_for_two_things_is_refused(tmp_path: Path, text: str) -> None:
    document = load(write(tmp_path, f"a: 1\nkey: {text}"))
    assert [(("key",), 2)] == [(problem.location, problem.line) for problem in document.problems]


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    problems = load(write(tmp_path, "a: 1\nb: 2\na: 3")).problems
    assert ["this key stands twice, first in line 1"] == [problem.message for problem in problems]


def test_an_alias_inside_itself_does_not_hang(tmp_path: Path) -> None:
    assert load(write(tmp_path, "a: &x [*x]")).problems


def test_what_is_no_yaml_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not valid YAML") as caught:
        load(write(tmp_path, "a: [1,\nb: }"))
    assert ":2:" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe\x00", b"just words", b"streams: {}", b"streams: [1]"])
def test_a_file_without_streams_is_one_message(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        read_options(path)


def test_all_problems_come_at_once_each_with_path_line_and_hint(tmp_path: Path) -> None:
    text = """\
streams:
  gate: {source: a.mp4, prio: 2, max_fps: fast}
detect: {engin: people}
track: {kind: bytetrak}
sinks:
  - {kind: jsonl, path: out.jsonl, rotat_mb: 3}
metrics: {port: 99999}
"""
    with pytest.raises(ConfigError) as caught:
        read_options(write(tmp_path, text))
    message = str(caught.value)
    assert message.startswith("7 problems")
    for line in (
        "streams.gate.prio (line 2): this key is not known",
        "did you mean priority?",
        "streams.gate.max_fps (line 2)",
        "did you mean engine?",
        "did you mean bytetrack?",
        "sinks.0.rotat_mb (line 6)",
        "did you mean rotate_mb?",
        "metrics.port (line 7)",
    ):
        assert line in message


def test_secrets_come_from_the_environment_and_never_into_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAM_PASSWORD", "hunter2@/x")
    path = write(tmp_path, 'streams: {gate: {source: "rtsp://admin:${CAM_PASSWORD}@10.0.0.5/1", bad: 1}}')
    with pytest.raises(ConfigError) as caught:
        read_options(path)
    assert "hunter2" not in str(caught.value)
    path = write(tmp_path, 'streams: {gate: {source: "rtsp://admin:${CAM_PASSWORD}@10.0.0.5/1"}}')
    assert "rtsp://admin:hunter2@/x@10.0.0.5/1" == read_options(path).streams["gate"].source


def test_a_variable_that_is_not_set_is_a_problem_unless_it_has_a_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOWHERE", raising=False)
    with pytest.raises(ConfigError, match="NOWHERE is not set"):
        read_options(write(tmp_path, 'streams: {a: {source: "${NOWHERE}/a.mp4"}}'))
    options = read_options(write(tmp_path, 'streams: {a: {source: "${NOWHERE:-here}/a.mp4"}}'))
    assert "here/a.mp4" == options.streams["a"].source


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "streams: {a: {source: a.mp4, loop: true}}\nscore: 0.5\ndetect: {engine: one}")
    flags = Flags(engine=("two",), backend="onnx-cpu", top={"score": 0.7}, each_stream={"loop": False})
    options = read_options(path, flags.applied)
    assert ("two", "onnx-cpu") == (options.detect[0].engine, options.detect[0].backend)
    assert (0.7, False) == (options.score, options.streams["a"].loop)


def test_sources_get_names_of_their_own() -> None:
    uris = ("a/street.mp4", "b/street.mp4", "rtsp://u:p@10.0.0.5/live/1", "camera:0", "synthetic:plates?seed=1")
    assert ["street", "street-2", "10.0.0.5-live-1", "camera-0", "synthetic-plates"] == list(named(uris))


def test_an_assembled_run_closes_the_engines_that_it_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    detectors = [FakeDetector("a"), FakeDetector("b")]
    closed: list[str] = []
    loaded = {each.name: each for each in detectors}
    for each in detectors:
        monkeypatch.setattr(each, "close", lambda name=each.name: closed.append(name))
    monkeypatch.setattr(assemble, "load_engine", lambda options: loaded[options.engine])
    bars = {"source": "synthetic:bars?duration=1", "max_frames": 2, "track": "none"}
    streams = {"one": {**bars, "detect": {"engine": "a"}}, "two": {**bars, "detect": {"engine": "b"}}}
    report = assemble.assemble(RunOptions.model_validate({"streams": streams})).run()
    assert (2, 2) == tuple(status.emitted for status in report.streams)
    assert ["a", "b"] == sorted(closed)

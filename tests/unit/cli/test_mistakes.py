"""A user's mistake is one clear message and an exit code, never a traceback; every help can be read."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from streamdet.cli.verbs import app


def streamdet(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streamdet", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=100,
        env={**os.environ, "COLUMNS": "100", **environment},
    )


def refused(code: int, *arguments: str, cwd: Path | None = None) -> str:
    done = streamdet(*arguments, cwd=cwd)
    assert code == done.returncode, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert 1 == done.stderr.count("error:") or "Error" in done.stderr
    return done.stderr


BARS = "synthetic:bars?duration=1"


def test_a_missing_file_is_named_and_a_near_one_suggested(tmp_path: Path) -> None:
    (tmp_path / "street.mp4").write_bytes(b"")
    message = refused(2, "run", "--source", str(tmp_path / "stret.mp4"))
    assert "does not exist" in message
    assert "did you mean street.mp4?" in message


def test_an_unknown_key_is_named_with_its_line_and_the_key_that_was_meant(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("streams:\n  a: {source: a.mp4, realtme: true}\n")
    message = refused(2, "run", str(config))
    assert "streams.a.realtme (line 2): this key is not known" in message
    assert "did you mean realtime?" in message


def test_an_engine_that_is_not_on_the_shelf_is_named_with_those_that_are() -> None:
    message = refused(2, "run", "--source", BARS, "--engine", "plats")
    assert "plats" in message
    assert "plates" in message


@pytest.mark.parametrize("flags", [("--engine", "plats"), ("--classes", "zebra")])
def test_what_is_wrong_for_every_file_of_a_glob_is_said_once(tmp_path: Path, flags: tuple[str, str]) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"")
    assert 1 == refused(2, "run", "--source", str(tmp_path / "*.mp4"), *flags).count(flags[1])


@pytest.mark.parametrize("out", ["street.mp4", "./", "link/", "sub/../", "str.mp4"])
def test_a_run_never_replaces_the_file_that_it_reads(tmp_path: Path, out: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "street.mp4").write_bytes(b"the only copy")
    message = refused(2, "run", "--source", "street.mp4", "--out", out, cwd=tmp_path)
    assert "would replace what they are made from" in message
    assert b"the only copy" == (tmp_path / "street.mp4").read_bytes()


def test_a_run_never_replaces_the_pictures_that_it_reads(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"the only copy")
    for source in (".", "*.jpg", "a.jpg"):
        refused(2, "run", "--source", source, "--out", "./", cwd=tmp_path)
    assert b"the only copy" == (tmp_path / "a.jpg").read_bytes()


def test_the_same_engine_twice_is_refused() -> None:
    assert "same engine twice" in refused(2, "run", "--source", BARS, *["--engine", "plates"] * 2)


def test_with_json_logs_every_line_on_standard_error_is_an_object(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    told = []
    for source, more in ((str(tmp_path / "broken.mp4"), ["--metrics-port", "0"]), (str(tmp_path / "gone.mp4"), [])):
        done = streamdet("run", "--source", source, "-q", "-vv", "--log-format", "json", *more)
        told += [json.loads(line)["message"] for line in done.stderr.splitlines()]
    for part in ("metrics on port", "there is no video in it", "the file does not exist"):
        assert any(part in message for message in told)


def test_a_broken_file_is_explained_once_and_named_in_the_summary(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"")
    done = streamdet("run", "--source", str(tmp_path / "broken.mp4"))
    assert 3 == done.returncode
    assert 1 == (done.stdout + done.stderr).count("an empty file")
    assert "there is no video in it" in done.stdout


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_while_engines_are_loaded_ends_the_run_without_a_trace(number: int, code: int) -> None:
    script = """
import os, signal, sys
from streamdet.cli import main
from streamdet.config import assemble
number = int(sys.argv.pop())
assemble.load_engine = lambda options: os.kill(os.getpid(), number)
main()
"""
    arguments = [sys.executable, "-c", script, "run", "--source", BARS, str(int(number))]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=100)
    assert (code, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize("module", ["streamdet.errors", "typer", "streamdet.cli.verbs", "numpy", "streamdet.cli.run"])
def test_ctrl_c_while_it_is_still_starting_ends_it_without_a_trace(module: str) -> None:
    script = """
import os, signal, sys
class Interrupted:
    module = sys.argv.pop()
    def find_spec(self, name, path=None, target=None):
        if name == self.module:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
from streamdet.cli import main
sys.meta_path.insert(0, Interrupted())
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, "engine", "list", module],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert (130, "", "") == (done.returncode, done.stdout, done.stderr)


def test_the_entry_point_imports_nothing_that_takes_its_time() -> None:
    script = "import sys; from streamdet.cli import main; print(*(n for n in ('numpy', 'typer') if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=100)
    assert "" == done.stdout.strip()


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"port {port} is taken" in refused(2, "run", "--source", BARS, "--metrics-port", port)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_without_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "ermission" in refused(4, "run", "--source", BARS, "--out", f"{tmp_path}/out.jsonl")


def test_an_output_below_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in refused(4, "run", "--source", BARS, "--out", f"{tmp_path}/file/out.jsonl")


def test_a_wrong_flag_says_which() -> None:
    message = refused(2, "run", "--sauce", "x")
    assert "--sauce" in message


def test_no_source_at_all_says_what_to_write() -> None:
    assert "--source street.mp4" in refused(2, "run")


def test_a_password_in_a_url_is_in_no_message() -> None:
    done = streamdet("run", "--source", "rtsp://admin:hunter2@127.0.0.1:1/x", "--max-frames", "1", "--score", "7")
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "verb", [(), ("run",), ("check",), ("engine",), ("eval",), ("doctor",), ("bench",), ("train",), ("data",)]
)
def test_every_help_is_there_and_short_enough_to_read(verb: tuple[str, ...]) -> None:
    done = streamdet(*verb, "--help")
    assert 0 == done.returncode
    assert "Usage" in done.stdout
    assert len(done.stdout.splitlines()) < 70


def test_every_verb_of_the_plan_is_there() -> None:
    names = {command.name or command.callback.__name__ for command in app().registered_commands}
    assert {"run", "check", "train", "doctor", "bench"} <= names
    assert {"data", "engine", "eval", "report"} == {group.name for group in app().registered_groups}


def test_a_place_to_decode_that_does_not_exist_or_is_not_here_is_refused(tmp_path: Path) -> None:
    assert "'auto', 'cpu' or 'cuda'" in refused(2, "run", "--source", BARS, "--decode", "gpu")


def test_a_training_without_weights_is_told_so_before_anything_else(tmp_path: Path) -> None:
    message = refused(2, "engine", "export", str(tmp_path), "--name", "mine", cwd=tmp_path)
    assert "there are no weights" in message
    assert "note" not in message

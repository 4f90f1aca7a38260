"""Signals: the first drains and finishes every file, a second SIGINT ends at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest

pytestmark = pytest.mark.integration

COMMAND = [sys.executable, "-m", "streamdet", "run", "--source", "synthetic:plates?live=1&size=640x360", "--quiet"]


def started(folder: Path, *more: str) -> subprocess.Popen[str]:
    """A run that has already written some records."""
    process = subprocess.Popen(
        [*COMMAND, "--out", f"{folder}/", *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    records = folder / "records.jsonl"
    until = time.monotonic() + 60
    while not (records.exists() and records.read_bytes().count(b"streamdet.result/1") > 20):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_drains_and_leaves_whole_files(number: signal.Signals, code: int, tmp_path: Path) -> None:
    process = started(tmp_path)
    sent_s = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert code == process.returncode, err
    assert time.monotonic() - sent_s < 12
    assert "Traceback" not in out + err
    lines = (tmp_path / "records.jsonl").read_text().splitlines()
    results = [record for record in map(json.loads, lines) if record["schema"] == "streamdet.result/1"]
    (video,) = tmp_path.glob("*.mp4")
    with av.open(str(video)) as played:
        assert len(results) == sum(1 for _ in played.decode(video=0))


def test_a_second_sigint_ends_at_once(tmp_path: Path) -> None:
    process = started(tmp_path)
    process.send_signal(signal.SIGINT)
    time.sleep(0.01)
    sent_s = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode in (130, -signal.SIGINT)
    assert time.monotonic() - sent_s < 5


def test_an_isolated_decoder_dies_with_its_parent(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("streams: {a: {source: 'synthetic:plates?live=1&size=320x180', isolate: true}}\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "streamdet", "run", str(config), "--quiet", "--out", f"{tmp_path}/out.jsonl"]
    )
    until = time.monotonic() + 60
    children: list[int] = []
    while not children and time.monotonic() < until:
        time.sleep(0.1)
        told = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        children = [int(child) for child in told.read_text().split()] if told.exists() else []
        for task in Path(f"/proc/{process.pid}/task").glob("*/children"):
            children += [int(child) for child in task.read_text().split()]
    assert children
    process.kill()
    process.wait()
    deadline_s = time.monotonic() + 5
    while any(Path(f"/proc/{child}").exists() and not is_zombie(child) for child in children):
        assert time.monotonic() < deadline_s, "a decoder outlives the pipeline"
        time.sleep(0.05)


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_the_exit_leaves_no_child(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("streams: {a: {source: 'synthetic:bars?duration=1', isolate: true}}\n")
    done = subprocess.run(
        [sys.executable, "-m", "streamdet", "run", str(config), "--quiet", "--out", f"{tmp_path}/out.jsonl"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    assert 25 == (tmp_path / "out.jsonl").read_text().count("streamdet.result/1")

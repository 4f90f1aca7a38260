"""What the README and docs/ tell people to type is understood, and what is cheap is done as it stands there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.main import get_command

from streamdet.cli.verbs import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MISSING = ("Missing argument", "Missing option")  # in running text, a verb may stand alone


def blocks(page: Path) -> Iterator[str]:
    """Code between fences, and code set in by four places."""
    text = page.read_text(encoding="utf-8")
    yield from (code for _, code in re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    outside = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"^(?: {4}.*\n)+", outside, re.MULTILINE)


def commands() -> list[Any]:
    """Page, arguments, and whether all of them must be there."""
    found = []
    for page in PAGES:
        for block in blocks(page):
            for line in block.replace("\\\n", " ").splitlines():
                told = re.match(r"\s*(?:\$ )?(?:python -m )?streamdet (.*)", line)
                if told:
                    found.append((page.name, told.group(1), True))
        text = page.read_text(encoding="utf-8")
        found += [(page.name, told, False) for told in re.findall(r"(?<!`)`streamdet ([a-z][^`\n]*)`(?!`)", text)]
    return found


def words_of(command: str) -> list[str]:
    """As a shell takes them: brackets only say that something may be left out."""
    return [word for word in shlex.split(command.replace("[", " ").replace("]", " "), comments=True) if word != "…"]


def complaint(words: list[str]) -> str:
    """What the command line finds wrong with them; nothing is run."""
    command: Any = get_command(app())
    context = command.make_context("streamdet", [], resilient_parsing=True)
    path = "streamdet"
    while hasattr(command, "commands"):
        if not words or words[0] not in command.commands:
            return f"{path} has no verb {words[:1]}"
        path, command, words = f"{path} {words[0]}", command.commands[words[0]], words[1:]
    try:
        command.make_context(path, list(words), parent=context)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        return f"{path}: {error.format_message()}"
    return ""


def test_there_are_commands_to_check() -> None:
    assert len(commands()) > 50


@pytest.mark.parametrize(("page", "command", "whole"), commands())
def test_a_documented_command_is_understood(page: str, command: str, whole: bool) -> None:
    wrong = complaint(words_of(command))
    assert "" == wrong or (not whole and any(word in wrong for word in MISSING)), page


def test_a_wrong_verb_and_a_wrong_option_would_be_noticed() -> None:
    assert "no verb" in complaint(["engine", "fly"])
    assert "--sauce" in complaint(["run", "--sauce", "x"])
    assert "Missing" in complaint(["engine", "export", "runs/mine"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_on_a_page_compiles(page: Path) -> None:
    for source in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        compile(source, str(page), "exec", dont_inherit=True)


def test_files_that_a_command_names_are_in_the_repository() -> None:
    named = {word for _, command, _ in commands() for word in words_of(command) if word.startswith("configs/")}
    assert [] == sorted(name for name in named if not (ROOT / name).exists())


@pytest.fixture
def street(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the clip that the README talks of, and ours to work in."""
    frames = np.random.default_rng(0).integers(0, 255, (6, 96, 160, 3), np.uint8)
    writer = cv2.VideoWriter(str(tmp_path / "street.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (160, 96))
    for frame in frames:
        writer.write(frame)
    writer.release()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_first_command_of_the_readme_runs(street: Path) -> None:
    first = next(command for page, command, whole in commands() if page == "README.md" and whole)
    assert "run --source street.mp4" in first
    done = subprocess.run(
        [sys.executable, "-m", "streamdet", *words_of(first)], capture_output=True, text=True, check=False, timeout=100
    )
    assert 0 == done.returncode, done.stderr
    assert 6 == (street / "out" / "records.jsonl").read_text().count('"streamdet.result/1"')


def test_the_library_in_the_readme_runs(street: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [source] = re.findall(r"^```python\n(.*?)^```", PAGES[0].read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {"picture": np.zeros((96, 160, 3), np.uint8)}
    exec(compile(source, "README.md", "exec", dont_inherit=True), names)
    assert 6 == len(capsys.readouterr().out.splitlines())
    assert 0 == len(names["detections"])

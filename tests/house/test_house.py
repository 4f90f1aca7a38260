"""The architecture as failing tests: floors, the light face, the error tree, names and sizes."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path

import pytest
import yaml

import streamdet
from streamdet import errors

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "streamdet"
SOURCES = sorted(PACKAGE.rglob("*.py"))


def linted(folder: Path) -> subprocess.CompletedProcess[str]:
    # In a process of its own: the linter silences every logger that exists.
    program = "import sys, importlinter.cli as c; sys.exit(c.lint_imports(no_cache=True))"
    return subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)


def test_imports_run_downwards_and_no_module_stands_outside_the_plan() -> None:
    run = linted(ROOT)
    assert 0 == run.returncode, run.stdout


def test_a_module_outside_the_plan_breaks_the_contract(tmp_path: Path) -> None:
    for source in SOURCES:
        target = tmp_path / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    (tmp_path / "streamdet" / "unplanned.py").write_text("")
    config = (ROOT / ".importlinter").read_text().partition("[importlinter:contract:no-workshop]")[0]
    (tmp_path / ".importlinter").write_text(config)
    run = linted(tmp_path)
    assert run.returncode != 0
    assert "unplanned" in run.stdout


@pytest.mark.parametrize("library", ["torch", "av", "cv2", "onnxruntime", "onnx", "numba", "pydantic", "openvino"])
def test_importing_the_face_loads_numpy_and_nothing_heavier(library: str) -> None:
    program = f"import streamdet, sys; sys.exit({library!r} in sys.modules)"
    assert 0 == subprocess.run([sys.executable, "-c", program], check=False).returncode


def test_the_face_lists_its_names_sorted_and_each_can_be_had() -> None:
    assert sorted(streamdet.__all__, key=lambda name: (not name[0].isupper(), name)) == streamdet.__all__
    for name in streamdet.__all__:
        assert getattr(streamdet, name) is not None


def test_the_version_is_one() -> None:
    assert metadata.version("streamdet") == streamdet.__version__
    assert f"## {streamdet.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_drawing_of_the_error_tree_is_the_tree() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or "")) | {"StreamdetError"}
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.StreamdetError)
    }
    assert drawn == classes


BANNED = re.compile(r"(^|_)(utils?|helpers?|common|core|misc|manager|process|handle|data(?!_set)|cfg|img|dets)(_|$)")


FOREIGN = {"handle_error"}  # names that the standard library gave to what is overridden


def test_no_name_is_empty_of_meaning() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and BANNED.search(node.name) and node.name not in FOREIGN
    ]
    assert [] == found + [str(path) for path in SOURCES if BANNED.search(path.stem)]


# numba, graph and torch twins of what boxes.py defines, each tested equal to it; all else asks boxes.py
BOX_TWINS = {
    "streamdet/boxes.py",
    "streamdet/infer/tail.py",
    "streamdet/infer/twins.py",
    "streamdet/tracking/kernels.py",
    "streamdet/tracking/twins.py",
    "streamdet/graft/nms_graph.py",
    "streamdet/models/geometry.py",
}


def test_boxes_are_known_in_one_place() -> None:
    pattern = re.compile(r"xywh|cxcy|tlwh|ltrb|(^|_)iou|nms", re.I)
    found = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and pattern.search(node.name)
    }
    assert set() == found - BOX_TWINS


LONG_FILES: dict[str, str] = {}  # path → why it is still one idea
LONG_FUNCTIONS: dict[str, str] = {}


def test_files_and_functions_stay_small() -> None:
    files = {}
    functions = {}
    for path in SOURCES:
        name = str(path.relative_to(ROOT))
        text = path.read_text()
        lines = sum(1 for line in text.splitlines() if line.strip() and not line.strip().startswith("#"))
        if lines > 450:
            files[name] = lines
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno > 70:
                functions[f"{name}:{node.name}"] = (node.end_lineno or 0) - node.lineno
    assert {} == {name: lines for name, lines in files.items() if name not in LONG_FILES}
    assert {} == {name: lines for name, lines in functions.items() if name not in LONG_FUNCTIONS}


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "pipelines").glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_configuration_can_be_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from streamdet.config.validation import read_options

    for name in set(re.findall(r"\$\{(\w+)\}", path.read_text())):
        monkeypatch.setenv(name, "secret")
    assert read_options(path).streams


def test_the_schema_of_the_configuration_is_in_step() -> None:
    from streamdet.config.schema import config_schema

    assert config_schema() == (ROOT / "docs" / "schemas" / "config.schema.json").read_text(), (
        "write it anew: python -m streamdet.config.schema > docs/schemas/config.schema.json"
    )


def test_every_base_dependency_is_named_once() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.split(r"[<>=\[]", each)[0] for each in project["dependencies"]]
    assert len(names) == len(set(names))
    assert "torch" not in names


def test_monitoring_and_workflows_are_yaml() -> None:
    for path in (ROOT / "configs").rglob("*.yaml"):
        assert yaml.safe_load(path.read_text()) is not None


@pytest.mark.parametrize("path", sorted((ROOT / "engines").glob("*/*.onnx")), ids=lambda path: path.parent.name)
def test_a_shipped_engine_tells_nothing_of_the_machine_that_made_it(path: Path) -> None:
    content = path.read_bytes()
    assert [] == [
        word for word in (b"stack_trace", b"site-packages", b"/home/", b"/root/", b"/tmp/") if word in content
    ]


def test_no_two_test_files_share_a_name() -> None:
    names = Counter(path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py")
    assert [] == [name for name, count in names.items() if count > 1], "pytest imports them by this name alone"

"""Our calls of TensorRT against its real bindings, 10 and 11: they import, types agree, and the fake is like them."""

from __future__ import annotations

import ast
import enum
import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path

import fake_tensorrt
import pytest
from real_bindings import PACKAGES, Bindings, NotHere, prepare

from streamdet.infer import cuda_calls

ROOT = Path(__file__).resolve().parents[2]
OURS = sorted((ROOT / "streamdet" / "infer").glob("tensorrt*.py"))


@pytest.fixture(scope="module", params=sorted(PACKAGES))
def bindings(request: pytest.FixtureRequest) -> Bindings:
    cache = request.config.cache
    assert cache is not None
    try:
        return prepare(request.param, cache.mkdir("tensorrt-bindings"))
    except NotHere as error:
        pytest.skip(f"the bindings of TensorRT {request.param} cannot be had here: {error}")


def strict(bindings: Bindings, *files: Path) -> list[str]:
    """Errors of mypy --strict, TensorRT being the generated types."""
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "tests" / "gpu" / "strict.ini")]
    command += ["--cache-dir", str(bindings.folder / "mypy"), "--no-error-summary", *map(str, files)]
    environment = os.environ | {"MYPYPATH": str(bindings.types)}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert run.returncode in (0, 1), run.stderr
    return [line for line in run.stdout.splitlines() if ": error:" in line]


def test_the_real_bindings_import_and_say_their_version(bindings: Bindings):
    code = (
        "import tensorrt_bindings as trt; d = trt.Dims((4, 3)); print(trt.__version__, [d[i] for i in range(len(d))])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=bindings.folder, capture_output=True, text=True, check=True)
    assert f"{bindings.version} [4, 3]" == run.stdout.strip()


def test_our_calls_have_no_type_error_against_either_version(bindings: Bindings):
    assert 4 < len(OURS)
    assert [] == strict(bindings, *OURS)


def test_the_check_sees_a_call_that_11_has_not(bindings: Bindings, tmp_path: Path):
    planted = tmp_path / "planted.py"
    planted.write_text(
        "import tensorrt as trt\n\n\n"
        "def half(config: trt.IBuilderConfig) -> None:\n"
        "    config.set_flag(trt.BuilderFlag.FP16)\n"
    )
    errors = strict(bindings, planted)
    assert (0 if bindings.version.startswith("10.") else 1) == len(errors), errors


def test_every_name_of_the_fake_is_one_of_the_real_bindings_with_the_same_parameters(bindings: Bindings):
    real = {node.name: node for node in ast.parse(bindings.stub).body if isinstance(node, ast.ClassDef)}
    strange = [name for name in fake_tensorrt.OFFERED if name not in real]
    for name, kind in fake_tensorrt.OFFERED.items():
        if name in real:
            strange += [f"{name}.{problem}" for problem in differences(kind, real[name], real)]
    assert [] == strange


def differences(kind: type, real: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> list[str]:
    """Members of a fake class that the real one has not, or has with other parameters."""
    signatures, names = members(real, classes)
    found = [f"{name}: no such attribute" for name in instance_attributes(kind) if name not in names]
    if issubclass(kind, enum.Enum):
        return found + [f"{member}: no such member" for member in kind.__members__ if member not in names]
    for name, member in vars(kind).items():
        constructor = name == "__init__" and kind not in MADE_BY_THE_FAKE
        if name.startswith("_") and not constructor:
            continue
        if name not in names:
            found.append(f"{name}: no such member")
        elif inspect.isfunction(member):
            ours = list(inspect.signature(member).parameters)
            if ours not in signatures[name]:
                found.append(f"{name}{ours}: the real one takes {signatures[name]}")
    return found


# Made by other objects of TensorRT, never by us: their constructors are the fake's own affair.
MADE_BY_THE_FAKE = {
    fake_tensorrt.ITimingCache,
    fake_tensorrt.IOptimizationProfile,
    fake_tensorrt.INetworkDefinition,
    fake_tensorrt.ParserError,
    fake_tensorrt.IBuilderConfig,
    fake_tensorrt.ICudaEngine,
    fake_tensorrt.IExecutionContext,
}


def members(real: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> tuple[dict[str, list[list[str]]], set[str]]:
    """Parameter names of every overload of every method, and all names, those of bases included."""
    signatures: dict[str, list[list[str]]] = {}
    names: set[str] = set()
    for base in real.bases:
        if isinstance(base, ast.Name) and base.id in classes:
            inherited, more = members(classes[base.id], classes)
            signatures |= inherited
            names |= more
    for node in real.body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
            signatures.setdefault(node.name, []).append([argument.arg for argument in node.args.args])
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.ClassDef):
            names.add(node.name)
    return signatures, names


def instance_attributes(kind: type) -> set[str]:
    """Public attributes that a fake class gives itself."""
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(kind)))
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
        and not node.attr.startswith("_")
    }


HEADERS = [Path("/usr/local/cuda/include/cuda.h"), Path("/usr/include/cuda.h")]
CHECK = """
#include <cuda.h>
#include <cstddef>
template <typename... T> struct sizes {};
template <typename F> struct of;
template <typename... A> struct of<CUresult (*)(A...)> {
    static constexpr std::size_t count = sizeof...(A);
    static constexpr std::size_t size[count + 1] = {sizeof(A)..., 0};
};
"""


def test_the_drivers_calls_have_the_sizes_of_nvidias_own_header(tmp_path: Path):
    header = next((path for path in HEADERS if path.is_file()), None)
    if header is None or shutil.which("g++") is None:
        pytest.skip("there is no cuda.h, or no g++, to hold our signatures against")
    lines = [CHECK]
    for name, arguments in cuda_calls.SIGNATURES.items():
        lines.append(f'static_assert(of<decltype(&{name})>::count == {len(arguments)}, "{name}");')
        for i, kind in enumerate(arguments):
            size = __import__("ctypes").sizeof(kind)
            lines.append(f'static_assert(of<decltype(&{name})>::size[{i}] == {size}, "{name}, argument {i}");')
    source = tmp_path / "check.cpp"
    source.write_text("\n".join(lines))
    command = ["g++", "-std=c++17", "-fsyntax-only", f"-I{header.parent}", str(source)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert 0 == run.returncode, run.stderr

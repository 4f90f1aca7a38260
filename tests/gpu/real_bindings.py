"""The real Python bindings of TensorRT on a machine without TensorRT, and types generated from them.

The bindings need nine C symbols of three libraries. Stubs of these, compiled here, let them be imported; a builder
cannot be made, but everything can be read. The stubs are made at test time and kept in pytest's cache only: they repeat
NVIDIA's documentation, which is not ours to give away.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

PACKAGES = {"10.16.1.11": "tensorrt-cu12-bindings", "11.4.0.106": "tensorrt-cu13-bindings"}
STUBGEN = "pybind11-stubgen==3.0.0"
LIBRARIES = ("libnvinfer", "libnvinfer_plugin", "libnvonnxparser")
SYMBOLS = """
extern "C" {
void *createInferBuilder_INTERNAL(void *, int) { return nullptr; }
void *createInferRefitter_INTERNAL(void *, void *, int) { return nullptr; }
void *createInferRuntime_INTERNAL(void *, int) { return nullptr; }
void *createNvOnnxParserRefitter_INTERNAL(void *, void *, int) { return nullptr; }
void *createNvOnnxParser_INTERNAL(void *, void *, int) { return nullptr; }
void *getBuilderPluginRegistry(int) { return nullptr; }
void *getPluginRegistry() { return nullptr; }
int getNvOnnxParserVersion() { return 0; }
bool initLibNvInferPlugins(void *, const char *) { return true; }
}
"""
LOADER = """
import ctypes, pathlib
for library in sorted(pathlib.Path(__file__).parent.glob("*.so.*")):
    ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
"""


class NotHere(Exception):
    """Why the bindings cannot be had on this machine."""


@dataclass(frozen=True)
class Bindings:
    """One version, importable with `folder` on the path as `tensorrt_bindings`."""

    version: str
    folder: Path

    @property
    def types(self) -> Path:
        """The folder that holds tensorrt/__init__.pyi."""
        return self.folder / "types"

    @property
    def stub(self) -> str:
        """The generated types."""
        return (self.types / "tensorrt" / "__init__.pyi").read_text(encoding="utf-8")


def prepare(version: str, cache: Path) -> Bindings:
    """Download, compile, import, generate; only what the cache does not hold yet."""
    made = Bindings(version, cache / f"{version}-{sys.version_info.major}{sys.version_info.minor}")
    if (made.types / "tensorrt" / "__init__.pyi").is_file():
        return made
    shutil.rmtree(made.folder, ignore_errors=True)
    wheels = made.folder / "wheels"
    _pip("download", "--no-deps", "--dest", str(wheels), f"{PACKAGES[version]}=={version}")
    _pip("install", "--target", str(made.folder / "tools"), STUBGEN)
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
        wheel.extractall(made.folder)
    _compile(made.folder / "tensorrt_libs", version.split(".")[0])
    _generate(made)
    return made


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input", *arguments]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired as error:
        raise NotHere(f"pip {arguments[0]} {arguments[-1]} took too long") from error
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise NotHere(f"pip {arguments[0]} {arguments[-1]} failed: {reason}") from error


def _compile(folder: Path, major: str) -> None:
    if shutil.which("g++") is None:
        raise NotHere("there is no g++ to compile stand-ins for TensorRT's libraries")
    folder.mkdir()
    (folder / "symbols.cpp").write_text(SYMBOLS)
    for library in LIBRARIES:
        name = f"{library}.so.{major}"
        command = ["g++", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", name, "symbols.cpp"]
        subprocess.run(command, check=True, cwd=folder)
    (folder / "__init__.py").write_text(LOADER)


def _generate(made: Bindings) -> None:
    path = {"PYTHONPATH": f"{made.folder}:{made.folder / 'tools'}", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "pybind11_stubgen", "tensorrt_bindings.tensorrt", "-o", "generated"]
    subprocess.run(command, check=True, cwd=made.folder, env=path, capture_output=True, timeout=120)
    text = (made.folder / "generated" / "tensorrt_bindings" / "tensorrt.pyi").read_text(encoding="utf-8")
    (made.types / "tensorrt").mkdir(parents=True)
    (made.types / "tensorrt" / "__init__.pyi").write_text(_repaired(text), encoding="utf-8")


def _repaired(text: str) -> str:
    """What the generator writes and Python does not take."""
    text = re.sub(r"(?<=[(, ])in: ", "in_: ", text)  # a keyword as a parameter
    text = re.sub(r"(?<=-> )\.\.\.(?=:)", "typing.Any", text)  # types that it did not know
    text = re.sub(r"(?<=: )\.\.\.(?=[,)])", "typing.Any", text)
    text = re.sub(r"(: )([\w.\[\], ]+?) = None(?=[,)])", r"\1\2 | None = None", text)
    text = re.sub(r"(-> |: |\[|, )bool\b", r"\1builtins.bool", text)  # the module has an attribute of that name
    text = re.sub(r"^( *def \w+\()(.*)(\) -> .*)$", _with_defaults_last, text, flags=re.MULTILINE)
    text = text.replace("import typing\n", "import builtins\nimport typing\n", 1)
    return text + "\n__version__: str\n"


def _with_defaults_last(line: re.Match[str]) -> str:
    """Every parameter behind one that has a default gets one too, or the file is no Python."""
    parameters, seen = [], False
    for parameter in re.split(r", (?=\*{0,2}\w+(?:: |,|$))", line[2]):
        seen |= " = " in parameter
        plain = seen and " = " not in parameter and not parameter.startswith("*")
        parameters.append(f"{parameter} = ..." if plain else parameter)
    return line[1] + ", ".join(parameters) + line[3]

"""Plans on disk: what a plan is called, the card beside it, whether it fits this machine. Nothing of NVIDIA's here."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamdet.errors import EngineMismatch
from streamdet.infer.cache import cache_folder, writable_folder
from streamdet.infer.shelf import Engine
from streamdet.manifest import Precision

SCHEMA: Literal["streamdet.plan/1"] = "streamdet.plan/1"
BEST_BATCH = 8  # what a plan is tuned for where the user names no batch

AMPERE = (8, 0)
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8-sym")  # int8-u8 is for CPUs


@dataclass(frozen=True, slots=True)
class Machine:
    """What a plan must fit."""

    tensorrt: str
    gpu: str
    compute_capability: tuple[int, int]
    system: str = f"{platform.system().lower()}-{platform.machine()}"

    @property
    def slug(self) -> str:
        """The GPU in a file's name: nvidia-l4.sm_89."""
        major, minor = self.compute_capability
        return re.sub(r"[^a-z0-9]+", "-", self.gpu.lower()).strip("-") + f".sm_{major}{minor}"

    def __str__(self) -> str:
        major, minor = self.compute_capability
        return f"TensorRT {self.tensorrt}, {self.gpu} (sm_{major}{minor}), {self.system}"


class BuildOptions(BaseModel):
    """How a plan is built."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    precision: Precision | None = Field(None, description="Which of the engine's files; the first one if not named.")
    batch: tuple[int, int, int] | None = Field(
        None, description="Smallest, best and largest batch; what the manifest allows if not named."
    )
    workspace_mib: int | None = Field(
        None, ge=1, description="Memory that one layer may use while it runs; TensorRT's own limit if not named."
    )
    level: int = Field(3, ge=0, le=5, description="How long TensorRT searches: 0 seconds, 3 minutes, 5 an hour.")
    version_compatible: bool = Field(False, description="Also for later TensorRT versions, a little slower.")
    all_gpus: bool = Field(False, description="For every GPU since Ampere, somewhat slower.")

    def batch_for(self, engine: Engine) -> tuple[int, int, int]:
        """The batch profile, within what the manifest promises."""
        smallest, largest = engine.manifest.input.batch
        if self.batch is None:
            return smallest, max(smallest, min(BEST_BATCH, largest)), largest
        low, best, high = self.batch
        if not smallest <= low <= best <= high <= largest:
            raise EngineMismatch(
                "that batch does not fit the engine",
                where=engine.folder,
                expected=f"{smallest} <= MIN <= OPT <= MAX <= {largest}",
                got=f"{low} {best} {high}",
            )
        return self.batch


class PlanCard(BaseModel):
    """`*.plan.json`: what a plan was built from, on what, and for what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_: Literal["streamdet.plan/1"] = Field(SCHEMA, alias="schema")
    engine: str
    precision: Precision
    onnx_sha256: str
    plan_sha256: str
    batch: tuple[int, int, int]
    tensorrt: str
    gpu: str
    compute_capability: tuple[int, int]
    system: str
    level: int
    workspace_mib: int | None
    version_compatible: bool
    all_gpus: bool
    took_s: float

    def misfits(self, here: Machine, onnx_sha256: str) -> list[str]:
        """Why the plan cannot be used here, both sides named; empty where it fits."""
        found = []
        if self.onnx_sha256 != onnx_sha256:
            found.append(f"built from model {self.onnx_sha256[:12]}, the engine's is {onnx_sha256[:12]}")
        if self.system != here.system:
            found.append(f"built for {self.system}, this is {here.system}")
        if not self._fits_version(here.tensorrt):
            found.append(f"built by TensorRT {self.tensorrt}, here is {here.tensorrt}")
        if not self._fits_gpu(here):
            (major, minor), (ours, our_minor) = self.compute_capability, here.compute_capability
            found.append(f"built for {self.gpu} (sm_{major}{minor}), here is {here.gpu} (sm_{ours}{our_minor})")
        return found

    def _fits_version(self, version: str) -> bool:
        if self.tensorrt == version:
            return True
        built, here = _numbers(self.tensorrt), _numbers(version)
        # Of the majors that this package knows, plans cross only from 10 to 11.
        same_line = built[0] == here[0] or (built[0], here[0]) == (10, 11)
        return self.version_compatible and same_line and built <= here

    def _fits_gpu(self, here: Machine) -> bool:
        if self.all_gpus:
            return min(self.compute_capability, here.compute_capability) >= AMPERE
        return (self.gpu, self.compute_capability) == (here.gpu, here.compute_capability)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def plan_name(precision: str, options: BuildOptions, batch: tuple[int, int, int], here: Machine) -> str:
    """model.fp16.nvidia-l4.sm_89.trt-10.16.1.11.b1-8-32.plan"""
    gpu = "ampere-or-later" if options.all_gpus else here.slug
    version = f"trt-{here.tensorrt}" + ("-or-later" if options.version_compatible else "")
    return ".".join(["model", precision, gpu, version, "b" + "-".join(map(str, batch)), "plan"])


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """A plan and its card, found on disk."""

    path: Path
    card: PlanCard

    def content(self) -> bytes:
        """The plan, after its hash was found to be the card's."""
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise EngineMismatch("the plan cannot be read", where=self.path, got=error) from error
        found = hashlib.sha256(content).hexdigest()
        if found != self.card.plan_sha256:
            raise EngineMismatch(
                "the plan is not the one that its card describes, or is truncated",
                where=self.path,
                expected=f"sha256 {self.card.plan_sha256}",
                got=f"sha256 {found}",
            )
        return content


def plan_folders(engine: Engine) -> list[Path]:
    """Where an engine's plans may lie: beside its model, and in the cache where that cannot be written."""
    return [engine.folder, cache_folder() / "plans" / engine.manifest.name]


def folder_to_write(engine: Engine) -> Path:
    """The first of these that can be written."""
    if os.access(engine.folder, os.W_OK):
        return engine.folder
    folder = writable_folder(f"plans/{engine.manifest.name}")
    if folder is None:
        raise EngineMismatch(
            "a plan is needed, and there is nowhere to put it",
            where=engine.folder,
            expected="a folder that can be written: the engine's own, or the cache",
            got=str(cache_folder()),
            hint="set XDG_CACHE_HOME to one",
        )
    return folder


def stored_plans(engine: Engine, precision: str) -> list[StoredPlan]:
    """Every plan of that precision with a readable card, the newest first."""
    found = []
    for folder in plan_folders(engine):
        for path in folder.glob(f"model.{precision}.*.plan"):
            try:
                card = PlanCard.model_validate_json(card_path(path).read_bytes())
                found.append((path.stat().st_mtime, StoredPlan(path, card)))
            except (OSError, ValidationError):
                continue  # half of a pair: another process writes it now, or its card is of another version
    return [plan for _, plan in sorted(found, key=lambda pair: -pair[0])]


def card_path(plan: Path) -> Path:
    """Of the card beside a plan."""
    return plan.with_name(plan.name + ".json")


def store(path: Path, content: bytes, card: PlanCard) -> StoredPlan:
    """Write both, the card last: a plan without its card does not exist."""
    card_path(path).unlink(missing_ok=True)
    _replace(path, content)
    _replace(card_path(path), (card.model_dump_json(by_alias=True, indent=2) + "\n").encode())
    return StoredPlan(path, card)


def _replace(path: Path, content: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as stream:
        stream.write(content)
    Path(stream.name).chmod(0o644)
    Path(stream.name).replace(path)

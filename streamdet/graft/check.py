"""The check: an engine on every runtime that works here, held against what stands at the cut of its own fp32 graph.

A detector, that is; what is asked of others stands in reader_check.py and segmenter_check.py. It gates every import,
export, cast and quantisation: what has not passed it on a runtime is not `proven_on` it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from streamdet.errors import EngineMismatch, StreamdetError
from streamdet.graft.agreement import Agreement, agreement, resemblance
from streamdet.graft.lint import Finding, lint
from streamdet.graft.pictures import Pixels, from_files, picture_files, rendered
from streamdet.graft.proof import COMPARED_ABOVE, found_in, with_cut
from streamdet.graft.raw import Runner, load_engine_graph
from streamdet.graft.reader_check import CROPS, check_reader
from streamdet.graft.reference import Candidates
from streamdet.graft.segmenter_check import PICTURES as SEGMENTED
from streamdet.graft.segmenter_check import check_segmenter
from streamdet.infer.backends import CATALOGUE, available, open_backend
from streamdet.infer.contract import Session
from streamdet.infer.cut import TailPlace
from streamdet.infer.shelf import Engine
from streamdet.infer.tail import CUT_BOXES, CUT_SCORES
from streamdet.manifest import EngineManifest, Nms, dump_manifest

GOLDEN = "golden"  # folder of pictures beside the model, where the engine ships some
GOLDEN_PICTURES = 8
RANDOM_PICTURES = 16
OWN_PICTURES = 64  # of a folder, at most

# fp32 must agree in every detection that is not on the edge.
# Less precise files must find nearly all that is used, nearly in place: even bf16 moves one detection in twenty.
OVERLAP = 0.8
MARGIN = 0.05  # around the engine's own score threshold, where wandering scores decide nothing
SHARE = {"fp16": 0.02}  # of the detections, how many may be missing or too many
SHARE_ELSE = 0.1
FEWEST = 20  # with fewer detections to compare, a share means nothing


@dataclass(frozen=True)
class CheckRow:
    """One precision on one runtime."""

    runtime: str
    precision: str
    tail: str
    verdict: Literal["agrees", "differs", "fails", "unproven", "not here"]
    agreement: Agreement | None = None
    why: str = ""

    @property
    def label(self) -> str:
        """What `proven_on` calls it."""
        return self.runtime if self.precision == "fp32" else f"{self.runtime}-{self.precision}"


@dataclass(frozen=True)
class CheckReport:
    """Everything that was found out."""

    rows: tuple[CheckRow, ...]
    findings: dict[str, tuple[Finding, ...]]  # file → what TensorRT would say
    pictures: int

    @property
    def passed(self) -> bool:
        """No runtime that works here disagrees; the lint is told, and fails nothing."""
        return not any(row.verdict in ("differs", "fails") for row in self.rows)


def check_engine(engine: Engine, pictures: Path | None = None) -> CheckReport:
    """Run every file on every runtime, on golden and random pictures and those of a folder."""
    manifest = engine.manifest
    if manifest.kind != "detector":
        reads = manifest.kind == "reader"
        other = tuple(
            CheckRow(row.runtime, row.precision, "graph", row.verdict, why=row.why)
            for row in (check_reader(engine) if reads else check_segmenter(engine))
        )
        return CheckReport(other, _findings(engine), CROPS if reads else SEGMENTED)
    if manifest.nms is None:
        raise EngineMismatch("a detector without suppression cannot be checked", where=engine.folder)
    shown, real = _pictures(engine, pictures)
    expected = _expected(engine, shown)
    rows = tuple(_rows(engine, expected, shown, real))
    return CheckReport(rows, _findings(engine), len(shown))


def _findings(engine: Engine) -> dict[str, tuple[Finding, ...]]:
    """What TensorRT would say of the files that it may be given."""
    meant = [file for file in engine.manifest.files if file.precision in CATALOGUE["tensorrt"].precisions]
    return {file.path: tuple(lint(load_engine_graph(engine.model(file.precision)[1]))) for file in meant}


def mark_proven(engine: Engine, report: CheckReport) -> EngineManifest:
    """Write into manifest.json which runtimes agreed, and strike out which did not; the others stay as they were."""
    files = []
    for file in engine.manifest.files:
        ours = [row for row in report.rows if _file_of(row.precision) == file.precision]
        failed = {row.label for row in ours if row.verdict in ("differs", "fails")}
        agreed = {row.label for row in ours if row.verdict == "agrees"}
        proven = (set(file.proven_on) | agreed) - failed
        files.append(file.model_copy(update={"proven_on": tuple(sorted(proven))}))
    manifest = engine.manifest.model_copy(update={"files": tuple(files)})
    aside = engine.folder / ".manifest.json.partial"
    aside.write_text(dump_manifest(manifest), encoding="utf-8")
    os.replace(aside, engine.folder / "manifest.json")
    return manifest


def _file_of(precision: str) -> str:
    """bf16 is made from the fp32 file as it is compiled."""
    return "fp32" if precision == "bf16" else precision


def _pictures(engine: Engine, own: Path | None) -> tuple[Pixels, int]:
    """Pictures, and how many of them, the last ones, are real: golden ones or of the folder."""
    wanted = engine.manifest.input
    parts = [rendered(wanted.size, RANDOM_PICTURES, seed=1)]
    for folder in (engine.folder / GOLDEN, own):
        if folder is not None and folder.exists():
            parts += [from_files(picture_files(folder, OWN_PICTURES), wanted)]
    real = sum(len(part) for part in parts[1:])
    if not real:
        parts.append(rendered(wanted.size, GOLDEN_PICTURES, seed=0))
    shown = np.concatenate(parts)
    step = wanted.batch[0]
    return shown[len(shown) % step :], real - real % step


def _expected(engine: Engine, shown: Pixels) -> list[Candidates]:
    """What stands at the cut of the most precise file, on plain ONNX Runtime."""
    _, path = engine.model("fp32" if any(file.precision == "fp32" for file in engine.manifest.files) else None)
    runner = Runner(with_cut(load_engine_graph(path)), path, [CUT_BOXES, CUT_SCORES])
    found = []
    step = max(engine.manifest.input.batch[0], min(engine.manifest.input.batch[1], 4))
    for start in range(0, len(shown), step):
        arrays = runner.run({engine.manifest.input.name: shown[start : start + step]})
        found += [Candidates(*both) for both in zip(arrays[CUT_BOXES], arrays[CUT_SCORES], strict=True)]
    return found


def _rows(engine: Engine, expected: list[Candidates], shown: Pixels, real: int) -> Iterator[CheckRow]:
    precisions = {file.precision for file in engine.manifest.files}
    for place in available():
        entry = CATALOGUE[place.name]
        for precision in entry.precisions:
            if _file_of(precision) not in precisions:
                continue
            if not place.usable:
                yield CheckRow(place.name, precision, "", "not here", why=place.why_not or "")
                continue
            on_cpu = place.name in ("onnx-cpu", "openvino")
            tails: tuple[TailPlace, ...] = ("kernel", "graph") if on_cpu and precision != "bf16" else ("auto",)
            # The ranges of int8 are counted on pictures of the deployment: what it makes of noise says nothing.
            first = len(shown) - real if precision.startswith("int8") else 0
            for tail in tails:
                yield _row(engine, place.name, precision, tail, expected[first:], shown[first:])


def _row(
    engine: Engine, runtime: str, precision: str, tail: TailPlace, expected: list[Candidates], shown: Pixels
) -> CheckRow:
    try:
        backend = open_backend(engine, runtime, precision, tail)
        try:
            total, settled = _compare(backend.session(), engine.manifest, precision, expected, shown)
        finally:
            backend.close()
    except StreamdetError as error:
        return CheckRow(runtime, precision, tail, "fails", why=error.line)
    if not settled:
        return CheckRow(runtime, precision, tail, "differs", total, "the suppression inside the graph did not settle")
    if not total.holds(0.0 if precision == "fp32" else SHARE.get(precision, SHARE_ELSE)):
        return CheckRow(runtime, precision, tail, "differs", total)
    fewest = 1 if precision == "fp32" else FEWEST
    if total.compared < fewest:
        why = f"{total.compared} detections to compare, {fewest} are needed: give pictures of what it finds, --pictures"
        return CheckRow(runtime, precision, tail, "unproven", total, why)
    return CheckRow(runtime, precision, tail, "agrees", total)


def _compare(
    session: Session, manifest: EngineManifest, precision: str, expected: list[Candidates], shown: Pixels
) -> tuple[Agreement, bool]:
    """Pictures one by one and in pairs, where the batch allows: it must make no difference."""
    total, settled = Agreement(), True
    nms = manifest.nms or Nms()
    start = 0
    while start < len(shown):
        n = min(1 + (start % 3 == 0), manifest.input.batch[1], len(shown) - start)
        session.input(n)[:] = shown[start : start + n]
        arrays: dict[str, Any] = dict(session.run(n))
        settled &= bool(np.all(arrays.get("converged", True)))
        for i in range(n):
            found, candidates = found_in(arrays, i), expected[start + i]
            if precision == "fp32":
                total += agreement(candidates, found.above(COMPARED_ABOVE), nms, above=COMPARED_ABOVE)
            else:
                total += resemblance(candidates, found, nms, OVERLAP, MARGIN, manifest.score)
        start += n
    session.close()
    return total, settled

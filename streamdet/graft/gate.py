"""A new file for an engine: cast, quantised or exported, it gets onto the shelf through the check, or not at all."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamdet.errors import ModelRefused
from streamdet.graft.check import CheckReport, check_engine, mark_proven
from streamdet.graft.shelving import swap_in
from streamdet.infer.shelf import Engine
from streamdet.manifest import EngineFile, Precision, dump_manifest

# Sees the engine as it would stand on the shelf, and says of each runtime whether the new file may be used there.
Judge = Callable[[Engine, Precision], CheckReport]


def add_file(
    engine: Engine, precision: Precision, model: Any, pictures: Path | None = None, judge: Judge | None = None
) -> CheckReport:
    """Put `model` beside the engine's other files, judged on every runtime that works here and marked accordingly.

    Refused, the engine left as it was, where a runtime differs with the new file. Without a judge it is the check: the
    new file must find what the fp32 file finds. `pictures` should show what the engine finds: on rendered ones too
    little may be found to prove anything, and then no runtime is marked.
    """
    content = model.SerializeToString()
    name = f"model.{precision}.onnx"
    file = EngineFile(path=name, precision=precision, sha256=hashlib.sha256(content).hexdigest())
    others = tuple(one for one in engine.manifest.files if one.precision != precision)
    manifest = engine.manifest.model_copy(update={"files": (*others, file)})
    aside = Path(tempfile.mkdtemp(prefix=f".{manifest.name}.", suffix=".partial", dir=engine.folder.parent))
    try:
        shutil.copytree(engine.folder, aside, dirs_exist_ok=True)
        (aside / name).write_bytes(content)
        (aside / "manifest.json").write_text(dump_manifest(manifest), encoding="utf-8")
        candidate = Engine(aside, manifest)
        report = judge(candidate, precision) if judge else check_engine(candidate, pictures)
        wrong = [row for row in report.rows if row.precision == precision and row.verdict in ("differs", "fails")]
        if wrong:
            raise ModelRefused(
                f"the {precision} file does not find what the engine finds",
                where=f"{engine.folder}, on {wrong[0].runtime}",
                got=wrong[0].why or wrong[0].agreement,
                hint="give pictures of what it finds; or this network does not bear that precision",
            )
        mark_proven(candidate, report)
        swap_in(aside, engine.folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return report

"""An engine is tried where nobody sees it, and goes onto the shelf with the runtimes that it was proven on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from streamdet.errors import ModelRefused
from streamdet.graft.reader_check import RuntimeRow
from streamdet.graft.shelving import put_on_shelf
from streamdet.infer.shelf import Engine
from streamdet.manifest import EngineManifest


@contextmanager
def on_trial(manifest: EngineManifest, files: Mapping[str, bytes]) -> Iterator[Engine]:
    """The engine on a shelf of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="streamdet-export-") as aside:
        yield Engine(put_on_shelf(Path(aside), manifest, files), manifest)


def agreeing(rows: Sequence[RuntimeRow]) -> list[str]:
    """The runtimes that say what they should; ModelRefused where one that runs says otherwise."""
    for row in rows:
        if row.verdict in ("differs", "fails"):
            raise ModelRefused("a runtime says otherwise", where=f"{row.runtime} {row.precision}", got=row.why)
    return [
        row.runtime if row.precision == "fp32" else f"{row.runtime}-{row.precision}"
        for row in rows
        if row.verdict == "agrees"
    ]


def placed(
    manifest: EngineManifest,
    files: Mapping[str, bytes],
    proven_on: Iterable[str],
    *,
    shelf: Path,
    replace_existing: bool,
    card: str | None,
) -> Engine:
    """The engine on that shelf."""
    proven = manifest.files[0].model_copy(update={"proven_on": tuple(sorted(proven_on))})
    manifest = manifest.model_copy(update={"files": (proven,)})
    return Engine(put_on_shelf(shelf, manifest, files, replace=replace_existing, card=card), manifest)

"""The shelf: where engines are looked up, by name or path, and their files verified."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path

from streamdet.errors import EngineNotFound, ManifestInvalid
from streamdet.manifest import EngineFile, EngineManifest, Precision, SuiteManifest, load_manifest, sha256_of

_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Engine:
    """A folder with a valid manifest, of one network."""

    folder: Path
    manifest: EngineManifest

    def model(self, precision: Precision | None = None) -> tuple[EngineFile, Path]:
        """The file of that precision and its path, after its hash was found to be the manifest's."""
        file = self.manifest.file(precision)
        path = verified(self.folder, file)
        return file, path


@dataclass(frozen=True, slots=True)
class Suite:
    """A folder with a valid manifest of several steps."""

    folder: Path
    manifest: SuiteManifest


def verified(folder: Path, file: EngineFile) -> Path:
    """The path of a file that a manifest names, after its hash was found to be the manifest's."""
    path = folder / file.path
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ManifestInvalid("the manifest names a file outside its folder", where=folder, got=file.path)
    try:
        found = sha256_of(path)
    except OSError as error:
        raise ManifestInvalid("the engine's model cannot be read", where=path, got=error) from error
    if found != file.sha256:
        raise ManifestInvalid(
            "the model is not the file that the manifest names",
            where=path,
            expected=f"sha256 {file.sha256}",
            got=f"sha256 {found}",
            hint="import the model again: streamdet engine import …",
        )
    return path


def open_engine(folder: Path) -> Engine | Suite:
    """The engine or suite in a folder."""
    manifest = load_manifest(folder)
    return Suite(folder, manifest) if isinstance(manifest, SuiteManifest) else Engine(folder, manifest)


class Shelf:
    """Folders that hold engines, nearest first."""

    def __init__(self, folders: tuple[Path, ...] | None = None) -> None:
        self.folders = standard_folders() if folders is None else folders

    def find(self, name: str | Path) -> Path:
        """The engine's folder: a path that holds a manifest.json, or the first folder of that name on the shelf."""
        direct = Path(name).expanduser()
        if (direct / "manifest.json").is_file():
            return direct
        if direct.name == "manifest.json" and direct.is_file():
            return direct.parent
        if len(direct.parts) == 1 and direct.name not in ("", ".", ".."):
            for folder in self.folders:
                if (folder / direct / "manifest.json").is_file():
                    return folder / direct
        raise self._not_found(str(name))

    def open(self, name: str | Path) -> Engine | Suite:
        """Find and read; the model file is verified when a backend opens it."""
        return open_engine(self.find(name))

    def list_engines(self) -> list[Path]:
        """Every engine's folder, sorted by name; of two with one name the nearer."""
        found: dict[str, Path] = {}
        for folder in self.folders:
            if folder.is_dir():
                for manifest in sorted(folder.glob("*/manifest.json")):
                    found.setdefault(manifest.parent.name, manifest.parent)
        return [found[name] for name in sorted(found)]

    def _not_found(self, name: str) -> EngineNotFound:
        names = [path.name for path in self.list_engines()]
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
        return EngineNotFound(
            f"no engine {name!r}",
            where=os.pathsep.join(str(folder) for folder in self.folders),
            expected="a folder with manifest.json, or one of: " + (", ".join(names) or "none, the shelf is empty"),
            hint=f"did you mean {' or '.join(near)}?" if near else "streamdet engine list",
        )


def standard_folders() -> tuple[Path, ...]:
    """./engines, then $STREAMDET_ENGINES (several with the path separator), then the package's own."""
    named = [Path(part).expanduser() for part in os.environ.get("STREAMDET_ENGINES", "").split(os.pathsep) if part]
    own = _PACKAGE / "_engines"  # in a wheel
    if not own.is_dir():
        own = _PACKAGE.parent / "engines"  # in a checkout
    folders = [Path("engines"), *named, own]
    unique = {folder.resolve(): folder for folder in reversed(folders)}
    return tuple(folder for folder in folders if unique[folder.resolve()] is folder)

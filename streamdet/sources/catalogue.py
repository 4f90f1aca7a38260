"""From what a user writes after `--source` to a Source."""

from __future__ import annotations

import difflib
import glob
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from streamdet.errors import ConfigError, redact
from streamdet.sources.camera import CameraSource
from streamdet.sources.contract import Source
from streamdet.sources.file import FileSource
from streamdet.sources.images import IMAGE_SUFFIXES, ImagesSource, naturally
from streamdet.sources.isolated import IsolatedSource
from streamdet.sources.live import LiveSource
from streamdet.sources.network import NetworkSource
from streamdet.sources.options import SourceOptions
from streamdet.sources.reader import PlaceOnGpu

_VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".mjpeg", ".mjpg"),
    *(".flv", ".wmv", ".3gp", ".ogv", ".h264", ".264", ".h265", ".265", ".hevc", ".y4m", ".gif"),
)
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):")
_SHAPES = "a video, a picture, a folder, a glob, rtsp(s)://…, http(s)://…, camera:0, synthetic:plates"


def expand(uri: str) -> list[str]:
    """The sources that one `--source` stands for: each video of a glob or folder its own, everything else one."""
    if _scheme(uri) is not None:
        return [uri]
    if not _is_glob(uri) and not Path(uri).is_dir():
        return [uri]
    videos, pictures = _videos_and_pictures(uri)
    if videos and pictures:
        raise ConfigError(
            "videos and pictures are mixed there",
            where=uri,
            got=f"{len(videos)} videos, {len(pictures)} pictures",
            hint=f"choose with a glob, such as {_pattern_for(uri, videos[0].suffix)}",
        )
    return [str(video) for video in videos] or [uri]


def make_source(name: str, uri: str, options: SourceOptions | None = None, place: PlaceOnGpu | None = None) -> Source:
    """The source that `uri` names, not yet opened; ConfigError says what is wrong with it.

    `place` says on which GPU decoded pictures are wanted, each time that the source is opened.

    A source that is to be isolated comes wrapped in one that runs it in a child process.
    """
    options = options or SourceOptions()
    if not uri:
        raise ConfigError("a source without a name of what to read", where=name, expected=_SHAPES)
    scheme = _scheme(uri)
    make = _TABLE.get(scheme or "")
    if make is None:
        known = sorted(scheme for scheme in _TABLE if scheme)
        raise ConfigError("unknown kind of source", where=redact(uri), expected=_SHAPES, got=_near(scheme or "", known))
    source = make(name, uri, options)
    if isinstance(source, FileSource | LiveSource):
        source.place = place
    isolate = scheme == "camera" if options.isolate is None else options.isolate
    return IsolatedSource(source, uri, options) if isolate else source


def _file(name: str, uri: str, options: SourceOptions) -> Source:
    path = Path(uri.removeprefix("file://") if uri.startswith("file://") else uri)
    if _is_glob(str(path)) or path.is_dir():
        return _images(name, str(path), options)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        _refuse_missing(path)
    except OSError as error:
        raise ConfigError("the file cannot be read", where=path, got=error.strerror) from error
    if not stat.S_ISREG(mode):
        raise ConfigError("that is not a file", where=path, expected=_SHAPES)
    try:
        path.open("rb").close()
    except OSError as error:
        raise ConfigError("the file cannot be read", where=path, got=error.strerror) from error
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImagesSource(name, [path], options)
    return FileSource(name, path, options)


def _images(name: str, uri: str, options: SourceOptions) -> Source:
    videos, pictures = _videos_and_pictures(uri)
    if pictures:
        return ImagesSource(name, pictures, options)
    if len(videos) == 1:
        return FileSource(name, videos[0], options)
    if videos:
        raise ConfigError("several videos are several sources", where=uri, got=f"{len(videos)} videos")
    what = "the pattern matches no video or picture" if _is_glob(uri) else "there is no video or picture in the folder"
    raise ConfigError(what, where=uri, hint="quote the pattern, or the shell expands it" if _is_glob(uri) else None)


def _network(name: str, uri: str, options: SourceOptions) -> Source:
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError("not a URL", where=redact(uri), got=redact(str(error))) from None
    if not host:
        raise ConfigError("the URL names no host", where=redact(uri), expected=f"{parts.scheme}://host/path")
    if options.tls_ca is not None and not options.tls_ca.is_file():
        raise ConfigError("the file of trusted certificates does not exist", where=options.tls_ca)
    return NetworkSource(name, uri, options)


def _camera(name: str, uri: str, options: SourceOptions) -> Source:
    number = uri.partition(":")[2]
    if not number.isdigit():
        raise ConfigError("a camera is named by its number", where=uri, expected="camera:0 for /dev/video0")
    return CameraSource(name, int(number), options)


def _synthetic(name: str, uri: str, options: SourceOptions) -> Source:
    from streamdet.sources.synthetic import SyntheticSource  # draws scenes: not needed by anyone else

    return SyntheticSource(name, uri, deadline_s=options.deadline_s)


_TABLE: dict[str, Callable[[str, str, SourceOptions], Source]] = {
    "": _file,
    "file": _file,
    "rtsp": _network,
    "rtsps": _network,
    "http": _network,
    "https": _network,
    "camera": _camera,
    "synthetic": _synthetic,
}


def _scheme(uri: str) -> str | None:
    """None for a path. A file may have a colon in its name: what exists is a path."""
    found = _SCHEME.match(uri)
    return None if found is None or Path(uri).exists() else found[1].lower()


def _is_glob(uri: str) -> bool:
    return glob.has_magic(uri) and not Path(uri).exists()


def _videos_and_pictures(uri: str) -> tuple[list[Path], list[Path]]:
    if _is_glob(uri):
        found = [Path(match) for match in glob.glob(uri, recursive=True)]
    else:
        found = list(Path(uri).iterdir())
    files = sorted((path for path in found if path.is_file() and not path.name.startswith(".")), key=naturally)
    videos = [path for path in files if path.suffix.lower() in _VIDEO_SUFFIXES]
    return videos, [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]


def _pattern_for(uri: str, suffix: str) -> str:
    folder = Path(uri) if Path(uri).is_dir() else Path(uri).parent
    return f"'{folder / '*'}{suffix}'"


def _refuse_missing(path: Path) -> NoReturn:
    folder = path.parent
    if path.is_symlink():
        raise ConfigError("the link leads nowhere", where=path, got=path.readlink())
    if not folder.is_dir():
        raise ConfigError("the folder does not exist", where=folder)
    hint = _near(path.name, [entry.name for entry in folder.iterdir()])
    raise ConfigError("the file does not exist", where=path, hint=hint)


def _near(word: str, known: list[str]) -> str | None:
    """Two or three names that were perhaps meant."""
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else None

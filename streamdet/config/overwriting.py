"""No run replaces what it reads: `--source street.mp4 --out ./` would write street.mp4."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streamdet.config.models import RunOptions
from streamdet.errors import ConfigError
from streamdet.sinks.images import ImagesOptions
from streamdet.sinks.options import SinkOptions
from streamdet.sinks.video import VideoOptions
from streamdet.sources.catalogue import expand

_SUFFIXES = {VideoOptions: ".mp4", ImagesOptions: ".jpg"}


def refuse_overwriting(options: RunOptions) -> None:
    """A ConfigError where a sink that replaces files might replace a source."""
    read = [path for stream in options.streams.values() for path in _files(stream.source)]
    for sink in options.sinks:
        for path in read:
            if _replaces(sink, path):
                raise ConfigError(
                    "the results would replace what they are made from",
                    where=path,
                    got=f"output {getattr(sink, 'path', '')}",
                    hint="write to another folder",
                )


def _files(uri: str) -> Sequence[Path]:
    if "://" in uri or uri.startswith(("camera:", "synthetic:")):
        return []
    return [Path(file) for file in expand(uri)]


def _replaces(sink: SinkOptions, path: Path) -> bool:
    if not isinstance(sink, VideoOptions | ImagesOptions) or sink.existing != "replace":
        return False
    suffix, target = _SUFFIXES[type(sink)], sink.path.resolve()
    if path.is_dir():
        return path.resolve() == target
    if path.suffix.lower() not in (suffix, "", ".*"):
        return False
    here = path.resolve()
    if target.suffix.lower() != suffix:
        return here.parent == target
    # The file itself, or one of those that further streams and epochs get beside it.
    return here.parent == target.parent and here.stem.startswith(target.stem)

"""All sinks by their kind, and which of them `--out` means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from streamdet.errors import ConfigError
from streamdet.sinks.contract import Sink
from streamdet.sinks.counting import Counting, CountingOptions
from streamdet.sinks.images import Images, ImagesOptions
from streamdet.sinks.jsonl import Jsonl, JsonlOptions
from streamdet.sinks.lines import Existing
from streamdet.sinks.mot import Mot, MotOptions
from streamdet.sinks.naming import Earlier
from streamdet.sinks.options import SinkOptions
from streamdet.sinks.terminal import Status, Terminal, TerminalOptions
from streamdet.sinks.video import Video, VideoOptions

# What stands under `sinks:` in a configuration; `kind` says which.
AnySinkOptions = Annotated[
    JsonlOptions | VideoOptions | MotOptions | ImagesOptions | TerminalOptions | CountingOptions,
    Field(discriminator="kind"),
]


@dataclass(frozen=True, slots=True)
class Entry:
    """A kind of sink: its options and how it is made of them."""

    options: type[SinkOptions]
    make: Callable[[Any, Status], Sink]


CATALOGUE: Mapping[str, Entry] = {
    "jsonl": Entry(JsonlOptions, lambda options, _: Jsonl(options)),
    "video": Entry(VideoOptions, lambda options, _: Video(options)),
    "mot": Entry(MotOptions, lambda options, _: Mot(options)),
    "images": Entry(ImagesOptions, lambda options, _: Images(options)),
    "terminal": Entry(TerminalOptions, Terminal),
    "counting": Entry(CountingOptions, lambda options, _: Counting(options)),
}


def sink_from(options: SinkOptions, status: Status) -> Sink:
    """The sink of these options; `status` is for those that show how the streams fare."""
    for entry in CATALOGUE.values():
        if type(options) is entry.options:
            return entry.make(options, status)
    raise ConfigError("there is no sink of these options", got=type(options).__name__, expected=", ".join(CATALOGUE))


def sinks_for_out(path: str, *, resume: bool = False) -> list[SinkOptions]:
    """What `--out PATH` means, by its ending; it replaces what an earlier run left there, or goes on with it.

    .jsonl records · .mp4 annotated video · .csv tracks as MOTChallenge has them · .jpg an annotated picture ·
    - the terminal · a folder: records.jsonl, and a video per stream or the pictures of a picture source
    """
    if path == "-":
        return [TerminalOptions()]
    lines: Existing = "append" if resume else "replace"
    files: Earlier = "keep" if resume else "replace"
    target = Path(path)
    ending = target.suffix.lower()
    if path.endswith("/") or target.is_dir() or (ending == "" and not target.is_file()):
        return [
            JsonlOptions(path=target / "records.jsonl", existing=lines),
            VideoOptions(path=target, existing=files),
            ImagesOptions(path=target, existing=files),
        ]
    if ending == ".jsonl":
        return [JsonlOptions(path=target, existing=lines)]
    if ending == ".mp4":
        return [VideoOptions(path=target, existing=files)]
    if ending == ".csv":
        return [MotOptions(path=target, existing=files)]
    if ending == ".jpg":
        return [ImagesOptions(path=target, existing=files)]
    raise ConfigError(
        "--out does not say what to write",
        got=path,
        expected=".jsonl, .mp4, .csv, .jpg, a folder, or - for the terminal",
        hint="end the name with /, if it is to be a folder",
    )

"""From an engine and a data set as they are named on the command line to the scores of plates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from streamdet.datasets.catalogue import DataSpec, open_data_set
from streamdet.datasets.plate_labels import LabelledPicture, plate_labels_of, read_crop_labels, read_plate_labels
from streamdet.errors import ConfigError
from streamdet.evaluation.plates import (
    PlateScores,
    Progress,
    score_crops,
    score_passes,
    score_pictures,
    score_rendered,
)
from streamdet.evaluation.predictors import EnginePredictor
from streamdet.infer.backends import open_backend
from streamdet.infer.shelf import Engine, Shelf, Suite
from streamdet.manifest import Procedure
from streamdet.plates.reader import EngineReader, EngineReaderWorker, Look
from streamdet.plates.vote import VoteOptions, Voting
from streamdet.scenes.plate_crops import CropOptions, plate_crop
from streamdet.scenes.plate_kinds import Kinds
from streamdet.scenes.plate_passes import PassOptions, plate_pass

_RENDERED = "rendered:"


@dataclass(frozen=True, slots=True)
class PlateTask:
    """What shall be scored on what."""

    engine: str
    data: str
    labels: Path | None = None
    split: str | None = None
    backend: str = "auto"
    score: float | None = None


class RenderedOptions(BaseModel):
    """What may stand behind `rendered:crops?` and `rendered:passes?`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: int = Field(300, ge=1, description="Crops, or passes.")
    seed: int = Field(90_000, ge=0, description="The same seed draws the same plates.")
    split: Literal["train", "test"] = Field("test", description="test: styles and layouts that training never draws.")
    glyph_px: tuple[float, float] | None = Field(None, description="Heights of the characters, such as 10-16.")
    severity: float = Field(1.0, ge=0, le=3, description="Of light, blur, noise and transmission.")
    blur: float = Field(1.0, ge=0, le=10, description="Of passes: how much of motion and focus that severity has.")
    dropped: float = Field(0.3, ge=0, le=0.9, description="Of passes: the share of frames that never come.")
    plates: bool = Field(True, description="False: things that are no plate.")

    @field_validator("glyph_px", mode="before")
    @classmethod
    def _split_heights(cls, value: object) -> object:
        return value.split("-") if isinstance(value, str) else value


class Station:
    """A suite, a detector or a reader, opened."""

    def __init__(self, engine: str, backend: str) -> None:
        found = Shelf().open(engine)
        self.vote = VoteOptions()
        if isinstance(found, Suite):
            self.vote = VoteOptions.model_validate(found.manifest.vote or {})
        self.detector: EnginePredictor | None = None
        self.reader: EngineReader | None = None
        parts = [found] if isinstance(found, Engine) else _parts(found)
        for part in parts:
            if part.manifest.kind == "reader":
                assert isinstance(part, Engine)
                self.reader = EngineReader(open_backend(part, backend, tail="graph"))
            else:
                self.detector = EnginePredictor(part, backend)
        self._voting: Voting | None = None
        if isinstance(found, Suite) and self.reader is not None:
            self._voting = Voting(self.vote, self.reader.alphabet)
        labels = [] if self.detector is None else [self.detector.label]
        labels += [] if self.reader is None else [f"{self.reader.name} on {self.reader.backend_name}"]
        self.label = ", ".join(labels)

    def worker(self) -> EngineReaderWorker:
        """The reader's worker; ConfigError where there is none."""
        if self.reader is None:
            raise ConfigError("this data asks for a reader", got=self.label)
        return self.reader.worker()

    def says(self, look: Look) -> str:
        """The text of one look: what was read, and of a suite what the formats that it knows make of that."""
        settled = None if self._voting is None else self._voting.alone({0: look}, 1).text[0]
        return (settled or look.text).reveal()

    def close(self) -> None:
        """Close what is open."""
        if self.detector is not None:
            self.detector.close()
        if self.reader is not None:
            self.reader.close()


def _parts(suite: Suite) -> list[Engine | Suite]:
    """What it is made of: a procedure is the suite itself."""
    own = [suite] if isinstance(suite.manifest.detect, Procedure) else []
    return own + [Shelf().open(suite.folder.parent / name) for name in suite.manifest.engines]


def evaluate_plates(task: PlateTask, progress: Progress | None = None) -> tuple[str, PlateScores]:
    """What was scored, and how it did."""
    station = Station(task.engine, task.backend)
    try:
        if task.data.startswith(_RENDERED):
            return station.label, _rendered(task.data, station)
        if (Path(task.data) / "labels.csv").is_file():
            return station.label, _crops(Path(task.data), station, progress)
        return station.label, _pictures(task, station, progress)
    finally:
        station.close()


def _crops(folder: Path, station: Station, progress: Progress | None) -> PlateScores:
    worker = station.worker()
    try:
        assert station.reader is not None
        crops = read_crop_labels(folder, station.reader.alphabet)
        return score_crops(
            crops, worker, station.reader.manifest.input.size, says=station.says, name=folder.name, progress=progress
        )
    finally:
        worker.close()


def _pictures(task: PlateTask, station: Station, progress: Progress | None) -> PlateScores:
    pictures, folder, name = _labelled(task)
    worker = None if station.reader is None else station.worker()
    threshold = task.score
    if threshold is None:
        threshold = 0.25 if station.detector is None else station.detector.detector.score
    try:
        return score_pictures(
            pictures,
            folder,
            station.detector,
            worker,
            says=station.says,
            threshold=threshold,
            name=name,
            progress=progress,
        )
    finally:
        if worker is not None:
            worker.close()


def _labelled(task: PlateTask) -> tuple[Sequence[LabelledPicture], Path, str]:
    if task.labels is None:
        data_set = open_data_set(DataSpec.parse(task.data))
        return plate_labels_of(data_set), Path(), data_set.name
    folder = Path(task.data)
    if not folder.is_dir():
        raise ConfigError("there is no such folder of pictures", where=folder)
    pictures = folder / "images" if (folder / "images").is_dir() else folder
    name = folder.resolve().name + (f"/{task.split}" if task.split else "")
    return read_plate_labels(task.labels, task.split), pictures, name


def _rendered(data: str, station: Station) -> PlateScores:
    kind, options = _rendered_options(data)
    worker = station.worker()
    reader = station.reader
    assert reader is not None
    size = reader.manifest.input.size
    try:
        kinds = Kinds(split=options.split)
        if kind == "passes":
            crops = CropOptions(size=size, kinds=kinds, negatives=0.0)
            how = PassOptions(
                crops=crops,
                plates=options.plates,
                severity=options.severity,
                blur=options.blur,
                dropped=options.dropped,
            )
            passes = [plate_pass(options.seed, index, how) for index in range(options.count)]
            return score_passes(passes, worker, reader.alphabet, station.vote, name=data)
        asked = CropOptions(
            size=size,
            kinds=kinds,
            negatives=0.0 if options.plates else 1.0,
            severity=options.severity,
            glyph_px=options.glyph_px or CropOptions().glyph_px,
        )
        drawn = [plate_crop(options.seed, index, asked) for index in range(options.count)]
        return score_rendered(drawn, worker, worker.session, reader.alphabet, says=station.says, name=data)
    finally:
        worker.close()


def _rendered_options(data: str) -> tuple[str, RenderedOptions]:
    kind, _, query = data.removeprefix(_RENDERED).partition("?")
    if kind not in ("crops", "passes"):
        raise ConfigError("nothing of that kind is rendered", expected="rendered:crops or rendered:passes", got=data)
    try:
        return kind, RenderedOptions.model_validate(dict(parse_qsl(query)))
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"{data} is not written as it should be: {first['loc'][0]}: {first['msg']}",
            expected=", ".join(RenderedOptions.model_fields),
        ) from error

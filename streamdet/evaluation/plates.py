"""How well plates are found and read: on labelled pictures, on crops, on rendered crops with their masks, on passes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from streamdet.datasets.pictures import Rgb, read_picture
from streamdet.datasets.plate_labels import CropLabel, LabelledPicture, PlateLabel
from streamdet.datasets.samples import Objects
from streamdet.evaluation.average_precision import curve, hundred_point_ap
from streamdet.evaluation.matching import Matches, match
from streamdet.evaluation.plate_texts import TextRead, TextScores, bin_name, by_height, score_texts
from streamdet.frames import Detections, Frame
from streamdet.picture import Picture
from streamdet.plates.reader import Look, PlateView
from streamdet.plates.rectify import plate_size
from streamdet.plates.vote import VoteOptions, Voting
from streamdet.scenes.plate_crops import Crop
from streamdet.scenes.plate_passes import PlatePass

Progress = Callable[[int, int], None]
Says = Callable[[Look], str]  # what is made of one look

PLATE_HEIGHTS_PX = (0.0, 10.0, 15.0, 20.0, 30.0, math.inf)
FALSE_PER_PICTURE = 0.1  # at which recall is told
_OVERLAP = 0.5
_PLATE = "plate"  # the class that counts, where a detector has it; all of them otherwise


class Finds(Protocol):
    """A detector for single pictures, giving all that it has."""

    def __call__(self, rgb: Rgb) -> Detections: ...


class Reads(Protocol):
    """A reader's worker."""

    def read(self, frame: Frame, views: Sequence[PlateView]) -> list[Look | None]: ...

    def read_crops(self, crops: npt.NDArray[np.uint8]) -> list[Look]: ...


def _share(value: float) -> float | None:
    return None if math.isnan(value) else value


# ---- pictures


@dataclass(frozen=True)
class FoundScores:
    """Plates found in pictures, at an overlap of 0.5; shares in 0..1, NaN where there is nothing."""

    pictures: int
    plates: int
    ap50: float
    score: float  # the threshold of the next three
    recall: float
    precision: float
    false_per_picture: float
    recall_at_false: float  # where false plates come to FALSE_PER_PICTURE
    recall_by_height: Mapping[str, float] = field(default_factory=dict)
    corner_error: float = math.nan  # mean distance of found corners from the labelled ones, by the plate's height
    corner_error_px: float = math.nan
    corner_error_by_height: Mapping[str, float] = field(default_factory=dict)  # by the plate's height, too

    def as_json(self) -> dict[str, Any]:
        """Every figure."""
        return {
            name: _share(value) if isinstance(value, float) else dict(value) if isinstance(value, Mapping) else value
            for name, value in vars(self).items()
        }


@dataclass(frozen=True)
class PlateScores:
    """What is known after one evaluation; what was not measured is None."""

    data: str
    found: FoundScores | None = None
    texts: TextScores | None = None
    texts_by_height: Mapping[str, TextScores] = field(default_factory=dict)
    segmentation: SegmentationScores | None = None
    passes: PassScores | None = None

    def as_json(self) -> dict[str, Any]:
        """Every figure, without what was not measured."""
        figures: dict[str, Any] = {"data": self.data}
        for name in ("found", "texts", "segmentation", "passes"):
            part = getattr(self, name)
            if part is not None:
                figures[name] = part.as_json()
        if self.texts_by_height:
            figures["texts_by_height"] = {name: each.as_json() for name, each in self.texts_by_height.items()}
        return figures


@dataclass(frozen=True, slots=True)
class _Answer:
    labelled: LabelledPicture
    found: Detections
    matches: Matches
    order: npt.NDArray[np.intp]  # rows of `found`, as the matches have them


def score_pictures(
    pictures: Sequence[LabelledPicture],
    folder: Path,
    find: Finds | None,
    read: Reads | None,
    *,
    says: Says = lambda look: look.text.reveal(),
    threshold: float = 0.25,
    name: str = "plates",
    progress: Progress | None = None,
) -> PlateScores:
    """Plates found by the detector, and read where it found them; without one, where the labels say they are.

    Read are the plates that a careful human can read. One that was not found counts as read wrong.
    """
    answers, texts = [], []
    for number, labelled in enumerate(pictures):
        rgb = read_picture(folder / labelled.file)
        answer = None if find is None else _asked(labelled, find(rgb))
        if answer is not None:
            answers.append(answer)
        if read is not None:
            texts += _read(rgb, labelled, answer, read, says, threshold)
        if progress is not None:
            progress(number + 1, len(pictures))
    found = None if find is None else _found_scores(answers, threshold)
    return PlateScores(name, found, score_texts(texts) if read is not None else None, by_height(texts))


def _asked(labelled: LabelledPicture, found: Detections) -> _Answer:
    if _PLATE in found.names:
        found = found.rows(found.class_id == found.names.index(_PLATE))
    plates = np.array([plate.xyxy for plate in labelled.plates], np.float32).reshape(-1, 4)
    everything = np.concatenate([plates, labelled.ignored])
    truth = Objects(everything, np.zeros(len(everything), np.int64), np.arange(len(everything)) >= len(plates))
    order = np.argsort(-found.score, kind="stable")
    alike = Detections(found.xyxy[order], found.score[order], np.zeros(len(order), np.int32))
    return _Answer(labelled, found, match(alike, truth, _OVERLAP), order)


def _read(
    rgb: Rgb, labelled: LabelledPicture, answer: _Answer | None, read: Reads, says: Says, threshold: float
) -> list[TextRead]:
    views: list[PlateView | None] = []
    wanted = [(row, plate) for row, plate in enumerate(labelled.plates) if plate.readable]
    for row, plate in wanted:
        views.append(_view(plate) if answer is None else _found_view(answer, row, threshold))
    frame = Frame("evaluation", 0, 0.0, Picture((np.ascontiguousarray(rgb),), "rgb24"))
    looks = iter(read.read(frame, [view for view in views if view is not None]))
    texts = []
    for (_, plate), view in zip(wanted, views, strict=True):
        look = None if view is None else next(looks)
        said = None if look is None or not len(look.reading) else says(look)
        texts.append(TextRead(plate.text, said, plate.glyph_px, plate.plate))
    return texts


def _view(plate: PlateLabel) -> PlateView:
    if plate.corners is not None:
        return PlateView(plate.corners, 1.0)
    return PlateView.of(plate.xyxy, None)


def _found_view(answer: _Answer, row: int, threshold: float) -> PlateView | None:
    """Where the detector says that this plate is."""
    hits = np.flatnonzero((answer.matches.row == row) & (answer.matches.score >= threshold))
    if not len(hits):
        return None
    found, which = answer.found, int(answer.order[hits[0]])
    return PlateView.of(found.xyxy[which], None if found.keypoints is None else found.keypoints[which])


def _found_scores(answers: Sequence[_Answer], threshold: float) -> FoundScores:
    plates = sum(len(answer.labelled.plates) for answer in answers)
    counted = [answer.matches.counted for answer in answers]
    score = (
        np.concatenate([a.matches.score[c] for a, c in zip(answers, counted, strict=True)]) if answers else np.zeros(0)
    )
    hit = (
        np.concatenate([a.matches.hit[c] for a, c in zip(answers, counted, strict=True)])
        if answers
        else np.zeros(0, bool)
    )
    points = curve("plate", score.astype(np.float32), hit.astype(np.bool_), plates)
    above = score >= threshold
    right, false = int((hit & above).sum()), int((~hit.astype(bool) & above).sum())
    false_so_far = np.cumsum(~hit[np.argsort(-score, kind="stable")].astype(bool)) if len(score) else np.zeros(0)
    allowed = points.recall[false_so_far <= FALSE_PER_PICTURE * len(answers)]
    errors = _corner_errors(answers, threshold)
    return FoundScores(
        len(answers),
        plates,
        hundred_point_ap(points),
        threshold,
        right / plates if plates else math.nan,
        right / (right + false) if right + false else math.nan,
        false / len(answers) if answers else math.nan,
        float(allowed.max()) if len(allowed) else 0.0,
        _recall_by_height(answers, threshold),
        float(np.mean([error / height for error, height in errors])) if errors else math.nan,
        float(np.mean([error for error, _ in errors])) if errors else math.nan,
        {
            bin_name(low, high): float(np.mean(part))
            for low, high in pairwise(PLATE_HEIGHTS_PX)
            if (part := [error / height for error, height in errors if low <= height < high])
        },
    )


def _recall_by_height(answers: Sequence[_Answer], threshold: float) -> dict[str, float]:
    heights, hits = [], []
    for answer in answers:
        sure = answer.matches.row[answer.matches.score >= threshold].tolist()
        for row, plate in enumerate(answer.labelled.plates):
            heights.append(float(plate.xyxy[3] - plate.xyxy[1]))
            hits.append(row in sure)
    found = {}
    for low, high in pairwise(PLATE_HEIGHTS_PX):
        part = [hit for height, hit in zip(heights, hits, strict=True) if low <= height < high]
        if part:
            found[bin_name(low, high)] = float(np.mean(part))
    return found


def _corner_errors(answers: Sequence[_Answer], threshold: float) -> list[tuple[float, float]]:
    """(mean distance in px, the plate's height) of every plate found whose corners both sides tell."""
    errors = []
    for answer in answers:
        points = answer.found.keypoints
        if points is None or points.shape[1] != 4:
            continue
        for row, plate in enumerate(answer.labelled.plates):
            hits = np.flatnonzero((answer.matches.row == row) & (answer.matches.score >= threshold))
            if plate.corners is None or not len(hits):
                continue
            off = points[answer.order[hits[0]], :, :2] - plate.corners
            errors.append((float(np.hypot(*off.T).mean()), plate_size(plate.corners)[1]))
    return errors


# ---- crops


def score_crops(
    crops: Sequence[CropLabel],
    read: Reads,
    size: tuple[int, int],
    *,
    says: Says = lambda look: look.text.reveal(),
    name: str = "crops",
    progress: Progress | None = None,
) -> PlateScores:
    """Plates that somebody has cut out: stretched to the reader's size, grey."""
    import cv2

    texts = []
    for number, label in enumerate(crops):
        gray = cv2.cvtColor(read_picture(label.path), cv2.COLOR_RGB2GRAY)
        small = gray.shape[0] > size[1]
        fitted = cv2.resize(gray, size, interpolation=cv2.INTER_AREA if small else cv2.INTER_LINEAR)
        look = read.read_crops(np.asarray(fitted, np.uint8)[None, None])[0]
        texts.append(TextRead(label.text, says(look) if len(look.reading) else None, 0.6 * gray.shape[0]))
        if progress is not None:
            progress(number + 1, len(crops))
    return PlateScores(name, None, score_texts(texts), by_height(texts))


# ---- rendered crops, with their masks


@dataclass(frozen=True)
class SegmentationScores:
    """Classes of pixels; shares in 0..1."""

    mean_iou: float  # of the characters that came up, background apart
    background: float
    per_class: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """Every figure."""
        return {"mean_iou": self.mean_iou, "background": self.background, "per_class": dict(self.per_class)}


class Segments(Protocol):
    """A session that gives a reader's arrays."""

    def input(self, n: int) -> npt.NDArray[np.uint8]: ...

    def run(self, n: int) -> Mapping[str, npt.NDArray[Any]]: ...


def score_segmentation(crops: Sequence[Crop], session: Segments, alphabet: str) -> SegmentationScores:
    """Intersection over union of every class, over all pixels of all crops."""
    classes = len(alphabet) + 1
    both, said, true = (np.zeros(classes, np.int64) for _ in range(3))
    for crop in crops:
        session.input(1)[0, 0] = crop.pixels
        guess = np.asarray(session.run(1)["glyph"][0]).argmax(axis=0)
        truth = crop.labels.astype(np.int64)
        both += np.bincount(truth[guess == truth], minlength=classes)
        said += np.bincount(guess.ravel(), minlength=classes)
        true += np.bincount(truth.ravel(), minlength=classes)
    union = said + true - both
    shares = np.divide(both, union, out=np.full(classes, np.nan), where=union > 0)
    seen = [k for k in range(1, classes) if true[k]]
    per_class = {alphabet[k - 1]: float(shares[k]) for k in seen}
    mean = float(np.mean(list(per_class.values()))) if per_class else math.nan
    return SegmentationScores(mean, float(shares[0]), per_class)


def score_rendered(
    crops: Sequence[Crop],
    read: Reads,
    session: Segments,
    alphabet: str,
    *,
    says: Says = lambda look: look.text.reveal(),
    name: str = "rendered",
) -> PlateScores:
    """Texts and masks of crops that we have drawn."""
    texts = []
    for crop in crops:
        look = read.read_crops(crop.pixels[None, None])[0]
        if crop.text:
            texts.append(TextRead(crop.text, says(look) if len(look.reading) else None, crop.glyph_px))
    masks = score_segmentation(crops, session, alphabet)
    return PlateScores(name, None, score_texts(texts), by_height(texts), masks)


# ---- passes


@dataclass(frozen=True)
class PassScores:
    """Plates that went by, look after look; shares in 0..1."""

    passes: int
    single_exact: float  # of single looks at plates
    exact: float  # plates whose final text is right
    wrong: float  # plates with a final text that is wrong
    undecided: float  # never final
    final_on_nothing: float  # of passes of things that are no plate

    def as_json(self) -> dict[str, Any]:
        """Every figure."""
        return {name: _share(value) for name, value in vars(self).items()}


def score_passes(
    passes: Sequence[PlatePass], read: Reads, alphabet: str, vote: VoteOptions | None = None, *, name: str = "passes"
) -> PlateScores:
    """Each look read, and voted on over its pass."""
    single, outcomes, on_nothing = [], [], []
    for each in passes:
        voting, events = Voting(vote or VoteOptions(), alphabet), []
        for seen in each.looks:
            # A crop does not tell how large the plate was in the frame: its characters do.
            height = seen.crop.glyph_px / 0.68
            view = PlateView.of(np.array([0, 0, 4.7 * height, height], np.float32), None)
            voting.due([1], [view], seen.t_s, 1)
            look = replace(read.read_crops(seen.crop.pixels[None, None])[0], size=view.size)
            if each.text:
                single.append(look.text.reveal() == each.text)
            events += voting.add(1, look, seen.frame, seen.t_s)
        events += voting.ended(1)
        finals = [event.fields["text"] for event in events if event.fields.get("state") == "final"]
        said = {getattr(text, "reveal", str)() for text in finals}
        if not each.text:
            on_nothing.append(bool(said))
        else:
            outcomes.append("undecided" if not said else "exact" if said == {each.text} else "wrong")
    shares = {kind: outcomes.count(kind) / max(len(outcomes), 1) for kind in ("exact", "wrong", "undecided")}
    scores = PassScores(
        len(passes),
        float(np.mean(single)) if single else math.nan,
        shares["exact"],
        shares["wrong"],
        shares["undecided"],
        float(np.mean(on_nothing)) if on_nothing else math.nan,
    )
    return PlateScores(name, passes=scores)

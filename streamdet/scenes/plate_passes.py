"""A plate that comes nearer, look after look: what voting over a track is tried on.

`plate_pass(seed, index, options)` gives what a reader is shown, `pass_scenes` the whole pictures. Both depend on their
arguments alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from streamdet.scenes import camera_chain as chain
from streamdet.scenes.backgrounds import Background, plain_ground
from streamdet.scenes.dice import Dice
from streamdet.scenes.pasting import paste
from streamdet.scenes.plate_crops import Crop, CropOptions, Subject, View, cut, random_subject
from streamdet.scenes.poses import Pose, side_heights
from streamdet.scenes.truth import Scene, Truth

_SALT = 17


@dataclass(frozen=True)
class PassOptions:
    """How a plate passes."""

    crops: CropOptions = field(default_factory=lambda: CropOptions(negatives=0.0))
    plates: bool = True  # False: what passes is no plate
    first_px: tuple[float, float] = (7.0, 11.0)  # height of the characters when it is seen first
    last_px: tuple[float, float] = (14.0, 30.0)  # and last
    duration_s: tuple[float, float] = (0.6, 2.4)
    fps: float = 25.0
    dropped: float = 0.3  # share of frames that never come, in runs
    severity: float = 1.0  # of light, noise, transmission and corners
    blur: float = 1.0  # of motion and focus, which differ from look to look


@dataclass(frozen=True, slots=True)
class PassLook:
    """One frame of a pass that came through."""

    frame: int
    t_s: float
    crop: Crop


@dataclass(frozen=True, slots=True)
class PlatePass:
    """All looks at one thing."""

    text: str  # empty where it is no plate
    format_key: str
    looks: tuple[PassLook, ...]


@dataclass(frozen=True, slots=True)
class _Moment:
    frame: int
    t_s: float
    view: View


def plate_pass(seed: int, index: int, options: PassOptions | None = None) -> PlatePass:
    """What the reader sees of pass `index`, frame by frame."""
    options = options or PassOptions()
    subject, moments = _planned(seed, index, options)
    looks = tuple(_look(seed, index, subject, moment, options) for moment in moments)
    if subject.art is None:
        return PlatePass("", "", looks)
    return PlatePass(subject.art.text, subject.art.format_key, looks)


def _look(seed: int, index: int, subject: Subject, moment: _Moment, options: PassOptions) -> PassLook:
    steady, dice = Dice.of(seed, index, _SALT, 1), Dice.of(seed, index, _SALT, 2 + moment.frame)
    view = replace(moment.view, blur=options.blur * dice.between(0.4, 1.6))
    return PassLook(moment.frame, moment.t_s, cut(subject, view, dice, options.crops, steady))


def pass_scenes(
    seed: int, index: int, options: PassOptions | None = None, background: Background | None = None
) -> Iterator[tuple[float, Scene]]:
    """The same pass as pictures of the size of its background (640 × 384 without one), with their time in seconds."""
    options = options or PassOptions()
    subject, moments = _planned(seed, index, options)
    way = Dice.of(seed, index, _SALT, 0)
    ground = background or Background(plain_ground((640, 384), way))
    height, width = ground.bgr.shape[:2]
    start, end = (
        np.array([way.between(0.3, 0.7) * width, way.between(*span) * height]) for span in ((0.3, 0.5), (0.5, 0.8))
    )
    for number, moment in enumerate(moments):
        picture = ground.bgr.copy()
        share = number / max(len(moments) - 1, 1)
        corners = _posed(subject, moment.view) + (start + (end - start) * share).astype(np.float32)
        steady, dice = Dice.of(seed, index, _SALT, 1), Dice.of(seed, index, _SALT, 2 + moment.frame)
        glyph_px = moment.view.glyph_px
        laid = paste(picture, subject.mounted, corners, steady, glyph_px=glyph_px, severity=0.0)
        picture = chain.tone(picture, steady, options.severity * 0.5)
        picture = chain.blur(picture, dice, glyph_px, options.blur * options.severity)
        picture = chain.noise(picture, dice, options.severity, most=8.0)
        picture = chain.transmit(picture, dice, glyph_px, options.severity)
        truth = () if subject.art is None or not laid else (_truth(corners, subject, index),)
        yield moment.t_s, Scene(picture, truth)


def _planned(seed: int, index: int, options: PassOptions) -> tuple[Subject, list[_Moment]]:
    """What passes, and how it stands in every frame that comes through."""
    dice = Dice.of(seed, index, _SALT)
    first, last = dice.log_between(*options.first_px), dice.log_between(*options.last_px)
    subject = random_subject(dice, last, replace(options.crops, negatives=0.0 if options.plates else 1.0))
    frames = max(round(dice.between(*options.duration_s) * options.fps), 2)
    begin, finish = (np.array([dice.normal(deviation) for deviation in (18, 8, 4)]) for _ in range(2))
    distance = dice.log_between(4, 30)
    moments, gone = [], False
    for frame in range(frames):
        # a run of lost frames goes on with 60 %, and begins so often that the wanted share is lost
        gone = dice.chance(0.6) if gone else dice.chance(min(0.4 * options.dropped / max(1 - options.dropped, 0.05), 1))
        if gone and frame not in (0, frames - 1):
            continue
        share = frame / (frames - 1)
        nearness = 1 / (1 / first + (1 / last - 1 / first) * share)  # the distance shrinks evenly
        yaw, pitch, roll = np.clip(begin + (finish * 0.4 + begin * 0.6 - begin) * share, -50, 50).tolist()
        view = View(Pose(yaw, pitch, roll, distance), nearness, options.severity)
        moments.append(_Moment(frame, frame / options.fps, view))
    return subject, moments


def _posed(subject: Subject, view: View) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The corners around the origin, in pixels."""
    width, height = subject.mounted.corners[2] - subject.mounted.corners[0]
    share = 0.6 if subject.art is None else subject.art.glyph_height_px / subject.art.bgr.shape[0]
    posed = view.pose.corners(float(width / height))
    return np.asarray(posed * (view.glyph_px / share / side_heights(posed)), np.float32)


def _truth(corners: np.ndarray[tuple[int, ...], np.dtype[np.float32]], subject: Subject, index: int) -> Truth:
    low, high = corners.min(0), corners.max(0)
    assert subject.art is not None
    return Truth(
        index,
        "plate",
        (float(low[0]), float(low[1]), float(high[0]), float(high[1])),
        tuple((float(x), float(y)) for x, y in corners),
        visible_ratio=1.0,
        text=subject.art.text,
        format_key=subject.art.format_key,
    )

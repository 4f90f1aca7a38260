"""Pictures for a plate detector: plates of the world laid into backgrounds, with their four corners known exactly.

`plate_scene(seed, index, options, backgrounds)` depends on its arguments alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.scenes import camera_chain as chain
from streamdet.scenes.backgrounds import Background, padded, plain_ground, window
from streamdet.scenes.dice import Dice
from streamdet.scenes.mounts import mount
from streamdet.scenes.not_plates import draw_not_plate
from streamdet.scenes.pasting import paste
from streamdet.scenes.plate_kinds import Kinds, random_plate
from streamdet.scenes.poses import Corners, Pose, flat_corners, random_pose, side_heights
from streamdet.scenes.truth import Bgr, Scene, Truth

_SALT = 13
_TRIES = 8
_COUNTS = (0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4)

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class SceneOptions:
    """Which scenes are drawn."""

    size: tuple[int, int] = (640, 384)  # width, height
    plate_px: tuple[float, float] = (6.0, 90.0)  # height of the plates laid in
    kinds: Kinds = field(default_factory=Kinds)
    severity: float = 1.0
    most_negatives: int = 3  # signs, grilles, lettering
    over_known: float = 0.4  # share of the background's own plates that get one of ours laid over them
    whole_share: float = 0.35  # of scenes that show the whole background, as a detector sees a frame
    plain_share: float = 0.05  # of scenes on no background at all


def plate_scene(
    seed: int, index: int, options: SceneOptions | None = None, backgrounds: Sequence[Background] = ()
) -> Scene:
    """Scene `index` of that seed; truth comes with the background's own plates first.

    Plates that are known by their box alone have no corners. Where a plate of ours covers one of the background's, the
    latter is gone from the truth.
    """
    options = options or SceneOptions()
    dice = Dice.of(seed, index, _SALT)
    if backgrounds and not dice.chance(options.plain_share):
        ground = window(dice.pick(backgrounds), options.size, dice, whole_share=options.whole_share)
    else:
        ground = Background(plain_ground(options.size, dice))
    picture = np.ascontiguousarray(ground.bgr)
    board = _Board(picture, options, dice)
    board.keep(ground.truth)
    for _ in range(dice.whole(0, options.most_negatives)):
        board.add_negative()
    for _ in range(dice.pick(_COUNTS)):
        board.add_plate()
    finished = padded(Background(_seen(picture, dice, options.severity), tuple(board.truth)), options.size)
    return Scene(finished.bgr, finished.truth)


class _Board:
    """A picture that is being filled, and what has been put where."""

    def __init__(self, picture: Bgr, options: SceneOptions, dice: Dice) -> None:
        self.picture, self.options, self.dice = picture, options, dice
        self.truth: list[Truth] = []
        self._taken: list[Box] = []

    def keep(self, known: Sequence[Truth]) -> None:
        """Take over what the background shows, some of it covered by plates of ours."""
        for entry in known:
            self.truth.append(entry)
            self._taken.append(entry.xyxy)
        for entry in known:
            if entry.visible_ratio > 0.95 and self.dice.chance(self.options.over_known):
                self._cover(entry)

    def add_plate(self) -> None:
        """A plate at a free place."""
        height = self.dice.log_between(*self.options.plate_px)
        self._lay_plate(height, None, random_pose(self.dice, self.options.severity))

    def add_negative(self) -> None:
        """Something else at a free place; it may lie under a plate."""
        height = self.dice.log_between(*self.options.plate_px)
        thing = draw_not_plate(self.dice, min(max(1.5 * height, 20.0), 90.0))
        corners = self._posed(random_pose(self.dice, self.options.severity), thing.corners, height)
        found = self._free_place(corners)
        if found is not None:
            paste(self.picture, thing, found, self.dice, glyph_px=height, severity=self.options.severity)

    def _cover(self, entry: Truth) -> None:
        """One of ours in the place of one that was there, a little larger."""
        _, top, _, bottom = entry.xyxy
        pose = Pose(self.dice.normal(8), self.dice.normal(5), self.dice.normal(1.5), 20)
        if self._lay_plate((bottom - top) * self.dice.between(0.95, 1.15), entry, pose):
            place = self.truth.index(entry)
            del self.truth[place]
            del self._taken[place]

    def _lay_plate(self, height: float, over: Truth | None, pose: Pose) -> bool:
        dice, options = self.dice, self.options
        art, alphabet = random_plate(dice, height * 0.6, options.kinds)
        thing = mount(art.bgr, alphabet, dice)
        corners = self._posed(pose, thing.corners, height)
        if over is not None:
            corners = _covering(corners, over.xyxy)
        found = self._free_place(corners) if over is None else corners
        glyph_px = height * art.glyph_height_px / art.bgr.shape[0]
        if found is None or not paste(self.picture, thing, found, dice, glyph_px=glyph_px, severity=options.severity):
            return False
        hidden = self._occlude(found) if dice.chance(0.06 * options.severity) else 0.0
        entry = _truth(found, art.text, art.format_key, self.picture.shape, hidden, len(self.truth) + 1000)
        if entry is None:
            return False
        self.truth.append(entry)
        self._taken.append(entry.xyxy)
        return True

    @staticmethod
    def _posed(pose: Pose, corners: Corners, height: float) -> Corners:
        width_px, height_px = corners[2] - corners[0]
        posed = pose.corners(float(width_px / height_px))
        return np.asarray(posed * (height / side_heights(posed)), np.float32)

    def _free_place(self, corners: Corners) -> Corners | None:
        """The corners moved to where nothing else is; now and then partly outside."""
        height, width = self.picture.shape[:2]
        low, high = corners.min(0), corners.max(0)
        over_edge = 0.5 if self.dice.chance(0.06) else 0.0
        room = np.array([width, height]) - (high - low) * (1 - 2 * over_edge)
        if (room <= 0).any():
            return None
        for _ in range(_TRIES):
            spot = self.dice.random.random(2) * room - (high - low) * over_edge
            moved = corners - low + spot
            box = (*moved.min(0).tolist(), *moved.max(0).tolist())
            if not any(_touch(box, other) for other in self._taken):
                return np.asarray(moved, np.float32)
        return None

    def _occlude(self, corners: Corners) -> float:
        """A bar or a rope across the plate; answers the share that it hides."""
        side = side_heights(corners)
        middle = corners.mean(0) + self.dice.random.standard_normal(2) * (corners.max(0) - corners.min(0)) * 0.25
        angle = self.dice.between(0, np.pi)
        along = np.array([np.cos(angle), np.sin(angle)]) * side * 4
        across = np.array([-np.sin(angle), np.cos(angle)]) * max(side * self.dice.between(0.05, 0.25), 0.6)
        bar = np.array(
            [middle - along - across, middle + along - across, middle + along + across, middle - along + across]
        )
        colour = (self.dice.between(5, 120),) * 3
        cv2.fillConvexPoly(self.picture, np.rint((bar - 0.5) * 8).astype(np.int32), colour, cv2.LINE_AA, 3)
        covered, _ = cv2.intersectConvexConvex(corners, bar.astype(np.float32))
        return float(covered) / max(float(cv2.contourArea(corners)), 1e-6)


def _covering(corners: Corners, box: Box) -> Corners:
    """The corners scaled up and moved until they lie over the box."""
    left, top, right, bottom = box
    low, high = corners.min(0), corners.max(0)
    grow = max((right - left) * 1.04 / float(high[0] - low[0]), (bottom - top) * 1.04 / float(high[1] - low[1]), 1.0)
    middle = np.array([left + right, top + bottom]) / 2
    return np.asarray((corners - (low + high) / 2) * grow + middle, np.float32)


def _touch(one: Sequence[float], other: Sequence[float], margin: float = 3.0) -> bool:
    return bool(
        one[0] < other[2] + margin
        and other[0] < one[2] + margin
        and one[1] < other[3] + margin
        and other[1] < one[3] + margin
    )


def _truth(
    corners: Corners, text: str, format_key: str, shape: tuple[int, ...], hidden: float, number: int
) -> Truth | None:
    frame = flat_corners(shape[1], shape[0])
    inside, cut = cv2.intersectConvexConvex(corners, frame)
    if inside <= 0 or cut is None:
        return None
    cut = cut.reshape(-1, 2)
    low, high = cut.min(0), cut.max(0)
    return Truth(
        number,
        "plate",
        (float(low[0]), float(low[1]), float(high[0]), float(high[1])),
        tuple((float(x), float(y)) for x, y in corners),
        visible_ratio=float(np.clip(inside / cv2.contourArea(corners) - hidden, 0, 1)),
        text=text,
        format_key=format_key,
    )


def _seen(picture: Bgr, dice: Dice, severity: float) -> npt.NDArray[np.uint8]:
    """Light, lens, sensor and transmission of the whole picture, milder than on a cut-out: plates had theirs."""
    shape_px = 14.0
    if dice.chance(0.3):
        picture = chain.light(picture, dice, shape_px * 2, severity)
    picture = chain.tone(picture, dice, severity * 0.65)
    if dice.chance(0.05 * severity):
        picture = chain.bloom(picture, dice, shape_px)
    if dice.chance(0.35 * severity):
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), dice.between(0.3, 1.0)), np.uint8)
    picture = chain.noise(picture, dice, severity, most=9.0)
    return chain.transmit(picture, dice, shape_px, severity)

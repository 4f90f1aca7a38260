"""A street with traffic, as a function of time: every picture can be drawn by itself, always the same."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from streamdet.plate_formats import PlateFormat, formats_of
from streamdet.scenes.backdrop import Road, draw_backdrop, haze_share
from streamdet.scenes.camera import NEAREST_M, Camera, Floats
from streamdet.scenes.carbody import Face
from streamdet.scenes.cars import Car, draw_car
from streamdet.scenes.hanging import hang
from streamdet.scenes.mesh import Painting, paint, prepare, region
from streamdet.scenes.truth import Bgr, Scene, Truth

COUNTRIES = ("RO", "DE", "FR", "IT", "ES", "NL", "PL", "GB", "US", "BR")

_FAR_M = 120.0  # where cars come out of the haze or go into it
_FADE_M = 25.0
_ROOM_M = 7.0  # from one bumper to the same of the next car, at least
_BEHIND_M = 6.0  # how far a car drives on after it has left the picture


@dataclass(frozen=True)
class Lane:
    """Cars one after another at one speed."""

    x: float
    face: Face  # front: they come towards the camera
    speed_mps: float
    headway_s: float
    phase_s: float  # when the first car, number 0, passes the camera

    def passes_s(self, number: int, jitter: float) -> float:
        """When that car passes the camera."""
        return self.phase_s + (number + jitter) * self.headway_s


@dataclass(frozen=True, slots=True)
class _Appearance:
    """A car in one picture, prepared for painting."""

    car: Car
    number: int
    lane: int
    depth_m: float
    painting: Painting
    corners: Floats | None  # [4, 2] of its plate; None while it is behind the camera


class Street:
    """Renders the street of one seed at any moment.

    `density` 1 has one to three plates in view. Noise, light and blur are part of the picture, truth is exact.
    """

    def __init__(
        self,
        seed: int,
        size: tuple[int, int] = (1280, 720),
        *,
        density: float = 1.0,
        countries: tuple[str, ...] = COUNTRIES,
        noise: float = 1.0,
    ) -> None:
        random = np.random.default_rng([seed, 1])
        self.seed = seed
        self.size = size
        self.formats: tuple[PlateFormat, ...] = formats_of(countries, "car")
        self.camera = _camera(size, random)
        self.lanes = _lanes(random, density)
        middle = (self.lanes[len(self.lanes) // 2 - 1].x + self.lanes[len(self.lanes) // 2].x) / 2
        road = Road(tuple(lane.x for lane in self.lanes))
        backdrop, self._haze = draw_backdrop(self.camera, road, middle, random)
        self._light = _light(random)
        self._backdrop = _tinted(backdrop, self._light)
        self._haze = np.clip(self._haze * self._light, 0, 255).astype(np.float32)
        self._noise = _grain(size, random)
        self._noise_share = float(noise * random.uniform(0.6, 1.2))
        self._exposure_s = float(random.uniform(0.002, 0.006))
        self._cars: dict[tuple[int, int], Car] = {}

    def frame(self, t_s: float) -> Scene:
        """The picture at that moment (zero or later) and its truth, nearest car last."""
        appearances = self._appearances(t_s)
        picture = self._backdrop.copy()
        for appearance in appearances:
            self._drive(picture, appearance)
        self._expose(picture, t_s)
        truth = tuple(
            entry
            for place, appearance in enumerate(appearances)
            if (entry := self._truth(appearance, appearances[place + 1 :])) is not None
        )
        return Scene(picture, truth)

    def _drive(self, picture: Bgr, appearance: _Appearance) -> None:
        """Paint one car; the farthest ones fade in, so that none pops up."""
        area = region(appearance.painting.hull, self.size)
        strength = min((_FAR_M - appearance.depth_m) / _FADE_M, 1.0)
        if area is None:
            return
        left, top, right, bottom = area
        part = picture[top:bottom, left:right]
        before = part.copy() if strength < 1 else None
        self._shadow(picture, appearance)
        paint(picture, appearance.painting)
        if appearance.corners is not None:
            hang(picture, appearance.car.plate_levels, appearance.corners)
        if before is not None:
            cv2.addWeighted(part, strength, before, 1 - strength, 0, dst=part)
        self._smear(picture, appearance)

    def _appearances(self, t_s: float) -> list[_Appearance]:
        """All cars in view, farthest first."""
        seen: list[_Appearance] = []
        kept: dict[tuple[int, int], Car] = {}
        for index, lane in enumerate(self.lanes):
            sign = 1.0 if lane.face == "front" else -1.0
            reach = sorted((t_s + sign * _FAR_M / lane.speed_mps, t_s - sign * _BEHIND_M / lane.speed_mps))
            first = int(np.floor((reach[0] - lane.phase_s) / lane.headway_s)) - 1
            last = int(np.ceil((reach[1] - lane.phase_s) / lane.headway_s)) + 1
            for number in range(max(first, 0), last + 1):
                jitter = float(np.random.default_rng([self.seed, 2, index, number]).uniform(-0.25, 0.25))
                z = sign * lane.speed_mps * (lane.passes_s(number, jitter) - t_s)
                if not -_BEHIND_M < z < _FAR_M:
                    continue
                car = self._car(index, number)
                kept[index, number] = car
                appearance = self._appear(car, number, index, z)
                if appearance is not None:
                    seen.append(appearance)
        self._cars = kept
        return sorted(seen, key=lambda appearance: -appearance.depth_m)

    def _car(self, lane: int, number: int) -> Car:
        car = self._cars.get((lane, number))
        if car is None:
            random = np.random.default_rng([self.seed, 3, lane, number])
            car = draw_car(self.lanes[lane].face, self.formats, random, self._light)
        return car

    def _appear(self, car: Car, number: int, lane: int, z: float) -> _Appearance | None:
        at = (self.lanes[lane].x, 0.0, z)
        painting = prepare(car.mesh, self.camera, at, haze_share(z), self._haze)
        if painting is None or region(painting.hull, self.size, 0) is None:
            return None
        viewed = self.camera.view(car.plate_corners + np.array(at, np.float32))
        corners = self.camera.picture(viewed) if viewed[:, 2].min() > NEAREST_M else None
        return _Appearance(car, number, lane, z, painting, corners)

    def _shadow(self, picture: Bgr, appearance: _Appearance) -> None:
        """The dark of the road under the car."""
        body, lane = appearance.car.body, self.lanes[appearance.lane]
        half, near = body.width / 2 + 0.12, max(appearance.depth_m - 0.1, NEAREST_M + 0.4)
        far = appearance.depth_m + body.length
        if far <= near:
            return
        ring = [(-half - 0.1, 0.0, far), (half, 0.0, far), (half, 0.0, near), (-half - 0.35, 0.0, near)]
        points = self.camera.project(np.array(ring, np.float32) + np.array([lane.x, 0, 0], np.float32))
        area = region(points, self.size, 16)  # wider than the blur reaches
        if area is None:
            return
        left, top, right, bottom = area
        coarse = 4 if right - left > 160 else 1
        mask = np.zeros((-(-(bottom - top) // coarse), -(-(right - left) // coarse)), np.uint8)
        fixed = np.rint((points - np.array([left, top], np.float32)) / coarse * 8).astype(np.int32)
        cv2.fillConvexPoly(mask, fixed, 150, cv2.LINE_AA, 3)
        mask = cv2.resize(cv2.blur(mask, (7, 3)), (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
        keep = cv2.cvtColor(255 - mask, cv2.COLOR_GRAY2BGR)
        part = picture[top:bottom, left:right]
        cv2.multiply(part, keep, dst=part, scale=1 / 255)

    def _smear(self, picture: Bgr, appearance: _Appearance) -> None:
        """Blur along the way that the car moves while the shutter is open."""
        lane, z = self.lanes[appearance.lane], appearance.depth_m
        step = lane.speed_mps * self._exposure_s
        if z - step < 2:
            return
        before, after = self.camera.project(np.array([(lane.x, 0.6, z), (lane.x, 0.6, z - step)], np.float32))
        move = after - before
        length = float(np.hypot(*move))
        area = region(appearance.painting.hull, self.size)
        if length < 1.0 or area is None:
            return
        left, top, right, bottom = area
        part = picture[top:bottom, left:right]
        blurred = cv2.filter2D(part, -1, _line_kernel(move, length), borderType=cv2.BORDER_REPLICATE)
        mask = np.zeros(part.shape[:2], np.uint8)
        cv2.fillConvexPoly(mask, np.rint(appearance.painting.hull - [left, top]).astype(np.int32), 255)
        cv2.copyTo(blurred, mask, part)

    def _expose(self, picture: Bgr, t_s: float) -> None:
        """Slowly changing light and the sensor's noise, in one pass."""
        gain = 1 + 0.05 * np.sin(2 * np.pi * (t_s / 11 + self.seed * 0.37))
        height, width = picture.shape[:2]
        x, y = np.random.default_rng([self.seed, 4, round(t_s * 1e6)]).integers(0, _NOISE_MARGIN, 2)
        grain = self._noise[y : y + height, x : x + width]
        share = self._noise_share
        cv2.addWeighted(picture, gain, grain, share, -128 * share, dst=picture)

    def _truth(self, appearance: _Appearance, nearer: list[_Appearance]) -> Truth | None:
        corners = appearance.corners
        if corners is None:
            return None
        width, height = self.size
        whole = float(cv2.contourArea(corners))
        frame = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
        inside, cut = cv2.intersectConvexConvex(corners, frame)
        if whole <= 0 or inside <= 0 or cut is None:
            return None
        hidden = max((_overlap(corners, other.painting.hull) for other in nearer), default=0.0)
        cut = cut.reshape(-1, 2)
        hull = appearance.painting.hull
        low, high = np.maximum(hull.min(0), 0), np.minimum(hull.max(0), (width, height))
        return Truth(
            truth_id=appearance.number * len(self.lanes) + appearance.lane,
            name="plate",
            xyxy=_box(cut.min(0), cut.max(0)),
            corners=tuple((float(x), float(y)) for x, y in corners),
            visible_ratio=float(np.clip((inside - hidden) / whole, 0, 1)),
            text=appearance.car.plate.text,
            format_key=appearance.car.plate.format_key,
            carrier_xyxy=_box(low, high),
        )


_NOISE_MARGIN = 64


def _box(low: Floats, high: Floats) -> tuple[float, float, float, float]:
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _overlap(corners: Floats, hull: Floats) -> float:
    if (hull.max(0) < corners.min(0)).any() or (hull.min(0) > corners.max(0)).any():
        return 0.0
    return float(cv2.intersectConvexConvex(corners, hull)[0])


def _camera(size: tuple[int, int], random: np.random.Generator) -> Camera:
    width, height = size
    return Camera(
        size,
        focal_px=width * float(random.uniform(1.15, 1.4)),
        horizon_px=height * float(random.uniform(0.24, 0.32)),
        height_m=float(random.uniform(2.3, 3.2)),
        x_m=float(random.uniform(-1.2, 1.2)),
        yaw_rad=float(random.uniform(-0.05, 0.05)),
    )


def _lanes(random: np.random.Generator, density: float) -> tuple[Lane, ...]:
    """Two or three lanes, those on the left coming towards the camera."""
    layouts: tuple[tuple[Face, ...], ...] = (("front", "rear"), ("front", "rear", "rear"), ("front", "front", "rear"))
    faces = layouts[int(random.integers(len(layouts)))]
    lanes = []
    for index, face in enumerate(faces):
        speed = float(random.uniform(8, 12.5))
        headway = max(float(random.uniform(1.15, 1.5)) * len(faces) / density, 2 * _ROOM_M / speed)
        phase = -(_FAR_M / speed) - 2 * headway + float(random.uniform(0, headway))
        lanes.append(Lane((index - (len(faces) - 1) / 2) * 3.4, face, speed, headway, phase))
    return tuple(lanes)


def _light(random: np.random.Generator) -> Floats:
    """Gains of blue, green and red: a warm or a cool, a bright or a dull day."""
    warmth = float(random.uniform(-0.06, 0.06))
    return np.array([1 - warmth, 1, 1 + warmth], np.float32) * np.float32(random.uniform(0.8, 1.05))


def _tinted(picture: Bgr, light: Floats) -> Bgr:
    return np.asarray(np.clip(picture * light, 0, 255), np.uint8)


def _grain(size: tuple[int, int], random: np.random.Generator) -> Bgr:
    width, height = size[0] + _NOISE_MARGIN, size[1] + _NOISE_MARGIN
    grey = random.normal(128, 3.2, (height, width, 1)) + random.normal(0, 1.2, (height, width, 3))
    return np.asarray(np.clip(grey + 0.5, 0, 255), np.uint8)


def _line_kernel(move: Floats, length: float) -> Floats:
    """A line of that direction and length through the middle of a small square, its weights summing to 1."""
    radius = int(np.ceil(length / 2))
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1), np.float32)
    steps = np.linspace(-0.5, 0.5, 8 * radius + 1)[:, None] * move[None] + radius
    for x, y in steps:
        left, top = int(np.floor(x)), int(np.floor(y))
        for column, across in ((left, 1 - (x - left)), (left + 1, x - left)):
            for row, down in ((top, 1 - (y - top)), (top + 1, y - top)):
                if 0 <= column <= 2 * radius and 0 <= row <= 2 * radius:
                    kernel[row, column] += across * down
    return np.asarray(kernel / kernel.sum(), np.float32)

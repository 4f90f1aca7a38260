"""The pictures that plate-spotter learns from: pieces of rendered streets, and plates pasted on anything."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.plate_formats import FORMATS
from streamdet.scenes.backdrop import cloud_noise
from streamdet.scenes.glyphs import FAMILIES, STROKES, draw_line
from streamdet.scenes.hanging import hang, pyramid
from streamdet.scenes.plates import draw_plate
from streamdet.scenes.street import Street

Boxes = npt.NDArray[np.float32]  # [N, 4]
Asked = npt.NDArray[np.bool_]  # [N]: False where the plate is too small or too hidden to be asked for
Sample = tuple[npt.NDArray[np.uint8], Boxes, Asked]

_TEXT = [character for character in STROKES if character not in "-."]


class Pictures:
    """Endless seeded batches at the scale and size that the recipe asks for."""

    def __init__(self, recipe: dict[str, Any], seed: int) -> None:
        cv2.setNumThreads(1)
        self.random = np.random.default_rng([seed, 6])
        self.crop: tuple[int, int] = tuple(recipe["crop"])
        self.scale = recipe["size"][0] / 1280
        self.street_share: float = recipe["street_share"]
        self.smallest_px: float = recipe["smallest_px"]
        self._first_seed: int = recipe["streets"]
        self._streets: list[tuple[Street, float]] = []
        self._plates = [self._plate() for _ in range(60)]
        self._ready: list[Sample] = []

    def batch(self, count: int) -> tuple[npt.NDArray[np.uint8], list[tuple[Boxes, Asked]]]:
        """RGB pictures [count, 3, H, W] and what is on each."""
        samples = [self._sample() for _ in range(count)]
        pixels = np.stack([picture[:, :, ::-1].transpose(2, 0, 1) for picture, _, _ in samples])
        return np.ascontiguousarray(pixels), [(boxes, asked) for _, boxes, asked in samples]

    def _sample(self) -> Sample:
        if self.random.random() < self.street_share:
            if not self._ready:
                self._ready = self._pieces()
            return self._ready.pop()
        return self._pasted()

    def _pieces(self) -> list[Sample]:
        """Six pieces of one moment of a street, most of them around a plate."""
        street, scene = self._moment()
        truth = scene.truth
        samples = []
        for number in range(6):
            scale = self.scale * float(np.exp(self.random.uniform(-0.45, 0.55)))
            width, height = (round(side / scale) for side in self.crop)
            left = int(self.random.integers(0, max(street.size[0] - width, 0) + 1))
            top = int(self.random.integers(0, max(street.size[1] - height, 0) + 1))
            if truth and number < 4:
                x0, y0, x1, y1 = truth[int(self.random.integers(len(truth)))].xyxy
                left = int((x0 + x1) / 2 - width * self.random.uniform(0.1, 0.9))
                top = int((y0 + y1) / 2 - height * self.random.uniform(0.1, 0.9))
            window = np.array([left, top, left + width, top + height])
            picture = self._cut(scene.bgr, window)
            shown = np.array([entry.xyxy for entry in truth], np.float32).reshape(-1, 4)
            whole = np.array([entry.visible_ratio for entry in truth], np.float32)
            samples.append(self._finished(picture, (shown - np.tile(window[:2], 2)) * self.crop[0] / width, whole))
        return samples

    def _moment(self) -> tuple[Street, Any]:
        """A street out of a handful, a little later than when it was seen last."""
        if len(self._streets) < 8 or self.random.random() < 0.02:
            size = ((1280, 720), (1280, 720), (960, 720), (1600, 900))[int(self.random.integers(4))]
            density, noise = float(self.random.uniform(0.6, 1.8)), float(self.random.uniform(0, 2.5))
            seed = self._first_seed + int(self.random.integers(1_000_000))
            street = Street(seed, size, density=density, noise=noise)
            self._streets = [*self._streets[-7:], (street, float(self.random.uniform(0, 1000)))]
        place = int(self.random.integers(len(self._streets)))
        street, t_s = self._streets[place]
        t_s += float(self.random.uniform(0.1, 0.7))
        self._streets[place] = street, t_s
        scene = street.frame(t_s)
        return street, scene

    def _cut(self, picture: npt.NDArray[np.uint8], window: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """The window, scaled to the crop; what lies outside of the picture is grey like a letterbox's border."""
        left, top, right, bottom = window.tolist()
        height, width = picture.shape[:2]
        border = [max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0)]
        part = picture[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
        part = cv2.copyMakeBorder(part, *border, cv2.BORDER_CONSTANT, value=(114, 114, 114))
        way = (cv2.INTER_LINEAR, cv2.INTER_LINEAR, cv2.INTER_AREA)[int(self.random.integers(3))]
        return cv2.resize(part, self.crop, interpolation=way)

    def _pasted(self) -> Sample:
        """Plates at random places over anything, or only things that are no plates."""
        random, (width, height) = self.random, self.crop
        if random.random() < 0.15:
            self._plates[int(random.integers(len(self._plates)))] = self._plate()
        picture = self._ground()
        for _ in range(int(random.integers(0, 3))):
            self._board(picture)
        self._clutter(picture)
        boxes: list[npt.NDArray[np.float32]] = []
        for _ in range(int(random.integers(0, 4))):
            levels, aspect = self._plates[int(random.integers(len(self._plates)))]
            wide = float(np.exp(random.uniform(np.log(8), np.log(110))))
            corners = self._corners(wide, wide / aspect)
            middle = np.array([random.uniform(0, width), random.uniform(0, height)])
            corners = (corners + middle).astype(np.float32)
            box = np.concatenate([corners.min(0), corners.max(0)])
            if any((box[:2] < other[2:] + 3).all() and (box[2:] + 3 > other[:2]).all() for other in boxes):
                continue
            if random.random() < 0.7:  # the dark frame that most have
                frame = corners + (corners - corners.mean(0)) * [0.06, 0.2]
                cv2.fillConvexPoly(picture, np.rint(frame * 8).astype(np.int32), (24, 24, 26), cv2.LINE_AA, 3)
            gain = float(random.uniform(0.45, 1.1))
            hang(picture, tuple(np.minimum(level * gain, 255).astype(np.uint8) for level in levels), corners)
            boxes.append(box)
        found = np.array(boxes, np.float32).reshape(-1, 4)
        return self._finished(picture, found, np.ones(len(found), np.float32))

    def _plate(self) -> tuple[tuple[npt.NDArray[np.uint8], ...], float]:
        art = draw_plate(FORMATS[int(self.random.integers(len(FORMATS)))], self.random, rear=self.random.random() < 0.5)
        return pyramid(art.bgr), art.size_m[0] / art.size_m[1]

    def _corners(self, wide: float, high: float) -> npt.NDArray[np.float64]:
        """A rectangle around the origin as a camera could see it: turned, sheared, one side nearer."""
        turn, shear = np.deg2rad(self.random.normal(0, 5)), self.random.normal(0, 0.12)
        squeeze = float(self.random.uniform(0.7, 1.0))
        near = float(self.random.uniform(0.9, 1.1))
        x = np.array([-1, 1, 1, -1]) * wide / 2 * squeeze
        y = np.array([-1, -near, near, 1]) * high / 2
        y = y + x * shear
        return np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], 1)

    def _ground(self) -> npt.NDArray[np.uint8]:
        """Clouds of two colours, rough or smooth."""
        random = self.random
        low, high = random.uniform(0, 200, 3), random.uniform(40, 255, 3)
        clouds = cloud_noise(self.crop, int(random.integers(2, 24)), random)[:, :, None]
        rough = self._noise(float(random.uniform(0, 12)))
        return np.asarray(np.clip(low * (1 - clouds) + high * clouds + rough, 0, 255), np.uint8)

    def _noise(self, deviation: float) -> npt.NDArray[np.float32]:
        width, height = self.crop
        return self.random.standard_normal((height, width, 1), np.float32) * np.float32(deviation)

    def _clutter(self, picture: npt.NDArray[np.uint8]) -> None:
        """Boxes, lines, grilles and lettering: what plates are mistaken for."""
        random, (width, height) = self.random, self.crop
        for _ in range(int(random.integers(2, 14))):
            x, y = int(random.integers(-20, width)), int(random.integers(-20, height))
            w, h = int(random.uniform(4, 120)), int(random.uniform(3, 70))
            colour = random.uniform(0, 255, 3)
            if random.random() < 0.5:
                colour[:] = colour.mean()
            kind = int(random.integers(5))
            if kind <= 1:
                cv2.rectangle(picture, (x, y), (x + w, y + h), colour.tolist(), -1)
            elif kind == 2:
                cv2.line(picture, (x, y), (x + w, y + h - 30), colour.tolist(), int(random.integers(1, 5)), cv2.LINE_AA)
            elif kind == 3:
                for row in range(y, y + h, int(random.integers(3, 7))):
                    cv2.line(picture, (x, row), (x + w, row), colour.tolist(), 1, cv2.LINE_AA)
            else:
                self._lettering(picture, (x, y), colour)

    def _board(self, picture: npt.NDArray[np.uint8]) -> None:
        """A shop's sign seen from the side, often cut by the picture's edge, its letters light on dark."""
        random, (width, height) = self.random, self.crop
        board = np.empty((48, int(random.uniform(60, 300)), 3), np.uint8)
        board[:] = random.uniform(20, 130, 3) if random.random() < 0.6 else random.uniform(20, 110)
        self._lettering(board, (int(random.uniform(-20, 20)), 9), random.uniform(190, 255, 3), height=30.0)
        wide = float(np.exp(random.uniform(np.log(20), np.log(260))))
        corners = self._corners(wide, wide * float(random.uniform(0.2, 0.8)))
        corners += [random.uniform(0, width), random.uniform(0, height)]
        if random.random() < 0.4:
            corners[:, 0] += (0 if random.random() < 0.5 else width) - corners[:, 0].mean()
        hang(picture, pyramid(board), corners.astype(np.float32))

    def _lettering(
        self,
        picture: npt.NDArray[np.uint8],
        spot: tuple[int, int],
        colour: npt.NDArray[np.float64],
        height: float | None = None,
    ) -> None:
        random = self.random
        family = FAMILIES[sorted(FAMILIES)[int(random.integers(len(FAMILIES)))]]
        text = "".join(_TEXT[int(k)] for k in random.integers(0, len(_TEXT), int(random.integers(2, 9))))
        mask = np.zeros(picture.shape[:2], np.uint8)
        draw_line(
            mask, text, family, left=spot[0], top=spot[1], height=height or float(random.uniform(5, 60)), group_gap=4
        )
        picture[mask > 127] = colour.astype(np.uint8)

    def _finished(self, picture: npt.NDArray[np.uint8], boxes: Boxes, whole: npt.NDArray[np.float32]) -> Sample:
        """Camera and transmission: blur, light, noise, JPEG; and the boxes cut to the picture."""
        random, (width, height) = self.random, self.crop
        if random.random() < 0.25:
            picture = cv2.GaussianBlur(picture, (0, 0), float(random.uniform(0.3, 1.0)))
        levels = picture.astype(np.float32)
        if random.random() < 0.1:
            levels[:] = levels.mean(2, keepdims=True)
        gains = float(random.uniform(0.5, 1.3)) * random.uniform(0.88, 1.12, 3).astype(np.float32)
        levels = 255 * np.clip(levels * gains / 255, 0, 1) ** np.float32(np.exp(random.uniform(-0.4, 0.4)))
        if random.random() < 0.5:
            levels += self._noise(float(random.uniform(0, 8)))
        picture = np.clip(levels, 0, 255).astype(np.uint8)
        if random.random() < 0.3:
            _, packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(35, 95))])
            picture = cv2.imdecode(packed, cv2.IMREAD_COLOR)
        cut = np.clip(boxes, 0, np.array([width, height, width, height], np.float32)).astype(np.float32)
        area, inside = (np.prod(b[:, 2:] - b[:, :2], axis=1) for b in (boxes, cut))
        kept = (cut[:, 2] - cut[:, 0] > 1) & (cut[:, 3] - cut[:, 1] > 0.5)
        asked = (whole >= 0.6) & (inside > 0.6 * area) & (boxes[:, 2] - boxes[:, 0] >= self.smallest_px)
        return picture, cut[kept], asked[kept]

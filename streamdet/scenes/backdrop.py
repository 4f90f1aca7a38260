"""The street that does not move: sky, houses, trees, signs, pavement and road, drawn once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.scenes.camera import Camera, Floats
from streamdet.scenes.glyphs import FAMILIES, draw_line, line_width
from streamdet.scenes.hanging import hang, pyramid
from streamdet.scenes.mesh import MeshBuilder, paint, prepare
from streamdet.scenes.truth import Bgr

FARTHEST_M = 260.0
_WORDS = (
    "CAFE",
    "BAKERY",
    "HOTEL",
    "FLOWERS",
    "BOOKS",
    "MARKET",
    "PIZZA 24",
    "BANK",
    "TAILOR",
    "RADIO 7",
    "24H",
    "SALE",
)
_BOARDS = ((60, 52, 140), (96, 62, 34), (58, 92, 40), (208, 216, 222), (44, 44, 46), (70, 160, 214), (120, 106, 60))


@dataclass(frozen=True)
class Road:
    """Where the lanes lie across the street."""

    lanes_x: tuple[float, ...]  # centres, left to right
    lane_width: float = 3.4
    pavement_width: float = 2.6

    @property
    def left(self) -> float:
        """The left kerb."""
        return self.lanes_x[0] - self.lane_width / 2 - 0.3

    @property
    def right(self) -> float:
        """The right kerb."""
        return self.lanes_x[-1] + self.lane_width / 2 + 0.3


def draw_backdrop(camera: Camera, road: Road, middle_x: float, random: np.random.Generator) -> tuple[Bgr, Floats]:
    """The empty street and the colour of its haze [3]; `middle_x` parts the two directions."""
    haze = np.array([226, 218, 206], np.float32) + random.normal(0, 5, 3).astype(np.float32)
    picture = _sky(camera, haze, random)
    _ground(picture, camera, road, middle_x, haze, random)
    _hills(picture, camera, haze, random)
    _houses(picture, camera, road, haze, random)
    _shade(picture, camera, road, random)
    _furniture(picture, camera, road, haze, random)
    return picture, haze


def cloud_noise(size: tuple[int, int], cells: int, random: np.random.Generator) -> Floats:
    """Smooth noise over [height, width], 0 to 1, in four octaves starting with `cells` across."""
    width, height = size
    total = np.zeros((height, width), np.float32)
    for octave in range(4):
        across = cells * 2**octave
        down = max(round(across * height / width), 2)
        grid = random.uniform(0, 1, (down, across)).astype(np.float32)
        total += cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC) * np.float32(0.5**octave)
    low, high = float(total.min()), float(total.max())
    return np.asarray((total - low) / (high - low), np.float32)


def haze_share(depth_m: float) -> float:
    """How much of a thing's colour the air takes at that distance."""
    return float(1 - np.exp(-max(depth_m - 8, 0) / 150))


def _sky(camera: Camera, haze: Floats, random: np.random.Generator) -> Bgr:
    width, height = camera.size
    zenith = np.array([196, 142, 92], np.float32) * float(random.uniform(0.85, 1.1))
    share = np.clip(np.arange(height, dtype=np.float32) / max(camera.horizon_px, 1), 0, 1)[:, None, None] ** 0.8
    sky = zenith * (1 - share) + haze * share
    clouds = cloud_noise((width, height), 5, random)
    cover = np.clip((clouds - float(random.uniform(0.42, 0.6))) * 4, 0, 1)[:, :, None] * (1 - 0.6 * share)
    mixed = sky * (1 - cover) + np.array([246, 244, 242], np.float32) * cover
    return np.asarray(np.clip(mixed, 0, 255), np.uint8)


def _hills(picture: Bgr, camera: Camera, haze: Floats, random: np.random.Generator) -> None:
    width = camera.size[0]
    for layer, (tall, share) in enumerate(((0.11, 0.62), (0.07, 0.45), (0.045, 0.25))):
        knots = random.uniform(0.3, 1, 9 + 8 * layer).astype(np.float32)[None]
        line = cv2.resize(knots, (width, 1), interpolation=cv2.INTER_CUBIC)[0]
        top = camera.horizon_px + 2 - line * tall * width * 0.45
        outline = np.concatenate(
            [np.stack([np.arange(width), top], 1), [[width, camera.horizon_px + 7], [0, camera.horizon_px + 7]]]
        )
        colour = np.array([72, 104, 84], np.float32) * (1 - share) + haze * share
        cv2.fillPoly(picture, [np.rint(outline * 8).astype(np.int32)], colour.tolist(), cv2.LINE_AA, 3)


def _ground(
    picture: Bgr, camera: Camera, road: Road, middle_x: float, haze: Floats, random: np.random.Generator
) -> None:
    mesh = MeshBuilder()
    asphalt = (np.array([96, 94, 93]) * float(random.uniform(0.85, 1.1))).tolist()
    left, right, walk = road.left, road.right, road.pavement_width
    _strips(mesh, -60, left - walk, (88, 132, 104))
    _strips(mesh, right + walk, 60, (88, 132, 104))
    _strips(mesh, left - walk, left - 0.15, (150, 152, 154))
    _strips(mesh, right + 0.15, right + walk, (150, 152, 154))
    _strips(mesh, left - 0.15, left, (176, 178, 178))
    _strips(mesh, right, right + 0.15, (176, 178, 178))
    _strips(mesh, left, right, asphalt)
    line = (214, 216, 216)
    for x in (left + 0.3, right - 0.3):
        _strips(mesh, x - 0.06, x + 0.06, line)
    borders = [(a + b) / 2 for a, b in zip(road.lanes_x[:-1], road.lanes_x[1:], strict=True)]
    for x in borders:
        solid = abs(x - middle_x) < 0.1 and len(borders) > 1
        for near in np.arange(0.0, FARTHEST_M, 1.5 if solid else 9.0):
            far = near + (1.5 if solid else 4.0)
            _flat(mesh, x - 0.07, x + 0.07, near, far, line)
    cross = float(random.uniform(26, 44))
    for x in np.arange(left + 0.6, right - 0.6, 1.0):
        _flat(mesh, x, x + 0.5, cross, cross + 3.2, line)
    painting = prepare(mesh.build(), camera, (0, 0, 0), 0.0, haze)
    if painting is not None:
        paint(picture, painting)
    _grain(picture, camera, road, haze, random)


def _strips(mesh: MeshBuilder, left: float, right: float, colour: Sequence[float]) -> None:
    _flat(mesh, left, right, 0.0, FARTHEST_M * 40, colour)


def _flat(mesh: MeshBuilder, left: float, right: float, near: float, far: float, colour: Sequence[float]) -> None:
    mesh.add([(left, 0, far), (right, 0, far), (right, 0, near), (left, 0, near)], colour, glow=True)


def _grain(picture: Bgr, camera: Camera, road: Road, haze: Floats, random: np.random.Generator) -> None:
    """Grit, stains and wheel tracks on the ground, laid out in perspective, and the air in front of it."""
    width, height = camera.size
    top = int(np.ceil(camera.horizon_px)) + 1
    y, x = np.mgrid[top:height, 0:width].astype(np.float32) + np.float32(0.5)
    across, along = camera.ground(x, y)
    grit = random.normal(0, 1, (256, 256)).astype(np.float32)
    grit = cv2.GaussianBlur(np.pad(grit, 8, mode="wrap"), (0, 0), 1.2)[8:-8, 8:-8] * 2
    fine = cv2.remap(grit, np.mod(across * 14, 255), np.mod(along * 14, 255), cv2.INTER_LINEAR)
    broad = cv2.remap(grit, np.mod(across * 1.6, 255), np.mod(along * 0.5, 255), cv2.INTER_LINEAR)
    fade = np.exp(-along / 22)
    texture = fine * fade * 5 + broad * np.exp(-along / 60) * 4
    for lane in road.lanes_x:
        for wheel in (-0.75, 0.75):
            texture -= 7 * np.exp(-(((across - lane - wheel) / 0.32) ** 2)) * np.exp(-along / 80)
    part = picture[top:].astype(np.float32) + texture[:, :, None]
    share = (1 - np.exp(-np.maximum(along - 8, 0) / 150))[:, :, None]
    picture[top:] = np.clip(part * (1 - share) + haze * share, 0, 255).astype(np.uint8)


def _houses(picture: Bgr, camera: Camera, road: Road, haze: Floats, random: np.random.Generator) -> None:
    """Rows of facades on both sides, from far to near."""
    rows: list[tuple[float, float, float, float]] = []
    for side in (-1.0, 1.0):
        edge = (road.left - road.pavement_width) if side < 0 else (road.right + road.pavement_width)
        z = float(random.uniform(6, 12))
        while z < 170:
            length = float(random.uniform(9, 18))
            if random.random() < 0.82:
                rows.append((z, z + length, edge + side * float(random.uniform(0.1, 2.5)), side))
            z += length + (float(random.uniform(2, 9)) if random.random() < 0.4 else 0.0)
    for near, far, x, side in sorted(rows, reverse=True):
        tall = float(random.uniform(6.5, 15))
        warm, cool = float(random.uniform(0, 1)), float(random.uniform(-1, 1))
        wall = np.array([128 + 30 * cool, 150 + 18 * warm, 164 + 28 * warm]) * float(random.uniform(0.75, 1.2))
        wall *= 0.82 if side > 0 else 1.0
        gable = MeshBuilder()
        out = x + side * 9
        ring = [(min(x, out), tall, near), (max(x, out), tall, near), (max(x, out), 0, near), (min(x, out), 0, near)]
        gable.add(ring, (wall * 0.72).tolist(), glow=True)
        painting = prepare(gable.build(), camera, (0, 0, 0), haze_share(near), haze)
        if painting is not None:
            paint(picture, painting)
        facade = _facade(far - near, tall, wall, random)
        air = haze_share((near + far) / 2)
        facade = np.clip(facade * (1 - air) + haze * air, 0, 255).astype(np.uint8)
        start, end = (far, near) if side > 0 else (near, far)
        corners = np.array([(x, tall, start), (x, tall, end), (x, 0, end), (x, 0, start)], np.float32)
        hang(picture, pyramid(facade), camera.project(corners))


def _facade(length: float, tall: float, wall: npt.NDArray[np.float64], random: np.random.Generator) -> Bgr:
    """A house front: plaster, rows of windows, a shop with a sign at street level."""
    per_m = 24
    width, height = int(length * per_m), int(tall * per_m)
    plaster = wall + ((cloud_noise((width, height), 6, random) - 0.5) * 22)[:, :, None]
    face = np.clip(plaster, 0, 255).astype(np.uint8)
    cv2.rectangle(face, (0, 0), (width, per_m // 2), (wall * 0.7).tolist(), -1)
    storey, shop = int(2.9 * per_m), int(3.4 * per_m)
    columns = max(int(length / float(random.uniform(2.2, 3.2))), 1)
    step = width / columns
    frame = (225, 228, 230) if random.random() < 0.6 else (70, 80, 96)
    for floor_top in range(height - shop - storey, -storey // 3, -storey):
        for column in range(columns):
            x0, x1 = int((column + 0.26) * step), int((column + 0.74) * step)
            _window(face, (x0, floor_top + int(0.28 * storey), x1, floor_top + int(0.82 * storey)), frame, random)
    _shop(face, shop, random)
    return face


def _window(
    face: Bgr, box: tuple[int, int, int, int], frame: tuple[int, int, int], random: np.random.Generator
) -> None:
    x0, y0, x1, y1 = box
    if y0 < 4:
        return
    cv2.rectangle(face, (x0 - 3, y0 - 3), (x1 + 3, y1 + 3), frame, -1)
    glass = np.array([96, 84, 74], np.float64) * float(random.uniform(0.55, 1.35))
    cv2.rectangle(face, (x0, y0), (x1, y1), glass.tolist(), -1)
    cv2.line(face, (x0, y1), (x1, y0 + (y1 - y0) // 3), (glass * 1.25).tolist(), 5, cv2.LINE_AA)
    cv2.line(face, ((x0 + x1) // 2, y0), ((x0 + x1) // 2, y1), frame, 3)
    cv2.rectangle(face, (x0 - 6, y1 + 3), (x1 + 6, y1 + 8), (150, 152, 155), -1)


def _shop(face: Bgr, shop: int, random: np.random.Generator) -> None:
    height, width = face.shape[:2]
    top = height - shop
    dark = np.full(3, random.uniform(30, 80)) + random.uniform(-8, 8, 3)
    cv2.rectangle(face, (6, top + 40), (width - 7, height), dark.tolist(), -1)
    panes = max(width // 60, 2)
    for pane in range(panes):
        x0, x1 = 12 + pane * (width - 24) // panes, 4 + (pane + 1) * (width - 24) // panes
        cv2.rectangle(
            face,
            (x0, top + 46),
            (x1, height - 12),
            (random.uniform(70, 130) * np.array([1.15, 1.05, 0.95])).tolist(),
            -1,
        )
    board = np.array(_BOARDS[int(random.integers(len(_BOARDS)))], np.float64)
    cv2.rectangle(face, (6, top + 6), (width - 7, top + 38), board.tolist(), -1)
    mask = np.zeros((height, width), np.uint8)
    word = _WORDS[int(random.integers(len(_WORDS)))]
    family = FAMILIES[("road", "light", "bold", "narrow")[int(random.integers(4))]]
    wide = line_width(word, family, 22, 12)
    draw_line(mask, word, family, left=(width - wide) / 2, top=top + 11, height=22, group_gap=12)
    ink = np.array([245, 245, 245] if board.mean() < 130 else [30, 30, 30], np.float32)
    share = (mask.astype(np.float32) / 255)[:, :, None]
    face[:] = (face * (1 - share) + ink * share).astype(np.uint8)


def _shade(picture: Bgr, camera: Camera, road: Road, random: np.random.Generator) -> None:
    """Soft shadows that houses and trees throw on the ground."""
    width, height = camera.size
    mask = np.zeros((height // 2, width // 2), np.uint8)
    z = float(random.uniform(4, 10))
    while z < 120:
        length, reach = float(random.uniform(4, 14)), float(random.uniform(1.5, 6.5))
        angles = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        x = road.left - road.pavement_width + reach * (0.6 + 0.6 * np.cos(angles))
        points = np.stack([x, np.zeros(14), z + length / 2 * (1 + np.sin(angles))], 1).astype(np.float32)
        cv2.fillConvexPoly(mask, np.rint(camera.project(points) * 4).astype(np.int32), 255, cv2.LINE_AA, 3)
        z += length + float(random.uniform(3, 12))
    mask = cv2.resize(cv2.blur(mask, (9, 5)), (width, height), interpolation=cv2.INTER_LINEAR)
    mask[: int(camera.horizon_px) + 2] = 0
    picture[:] = (picture * (1 - 0.3 * (mask.astype(np.float32) / 255))[:, :, None]).astype(np.uint8)


def _furniture(picture: Bgr, camera: Camera, road: Road, haze: Floats, random: np.random.Generator) -> None:
    """Trees, lamps and signs along both kerbs, from far to near."""
    things: list[tuple[float, float, str]] = []
    for side in (-1, 1):
        kerb = road.left - 0.7 if side < 0 else road.right + 0.7
        z = float(random.uniform(16, 24))
        while z < 150:
            kind = ("tree", "tree", "lamp", "sign")[int(random.integers(4))]
            things.append((z, kerb + side * (0.9 if kind == "tree" else 0.0), kind))
            z += float(random.uniform(7, 16))
    for z, x, kind in sorted(things, reverse=True):
        if kind == "tree":
            _tree(picture, camera, (x, z), haze, random)
        elif kind == "lamp":
            _lamp(picture, camera, (x, z), haze)
        else:
            _sign(picture, camera, (x, z), haze, random)


def _post(
    picture: Bgr,
    camera: Camera,
    spot: tuple[float, float],
    half: float,
    tall: float,
    colour: tuple[int, int, int],
    haze: Floats,
) -> None:
    x, z = spot
    mesh = MeshBuilder()
    for left, right, light in ((x - half, x, 1.1), (x, x + half, 0.8)):
        ring = [(left, tall, z), (right, tall, z), (right, 0, z), (left, 0, z)]
        mesh.add(ring, [channel * light for channel in colour], glow=True)
    painting = prepare(mesh.build(), camera, (0, 0, 0), haze_share(z), haze)
    if painting is not None:
        paint(picture, painting)


def _tree(picture: Bgr, camera: Camera, spot: tuple[float, float], haze: Floats, random: np.random.Generator) -> None:
    x, z = spot
    tall = float(random.uniform(3.6, 5.2))
    _post(picture, camera, spot, 0.14, tall, (58, 74, 92), haze)
    air = haze_share(z)
    green = np.array([float(random.uniform(40, 62)), float(random.uniform(96, 128)), float(random.uniform(66, 100))])
    leaves = max(int(1500 * min(1.0, 16 / z)), 150)
    spread = random.normal(0, 1, (leaves, 3))
    spread /= (
        np.maximum(np.linalg.norm(spread, axis=1, keepdims=True), 1e-6) / random.uniform(0.3, 1, (leaves, 1)) ** 0.4
    )
    spread = spread[np.argsort(spread[:, 1] - spread[:, 2])]
    crown = np.array([x, tall + 0.7, z]) + spread * [1.5, 1.7, 1.5]
    centres = camera.project(crown.astype(np.float32))
    radius = camera.focal_px / z * 0.12
    for centre, (_, up, _), dice in zip(centres, spread, random.uniform(0.8, 1.2, leaves), strict=True):
        colour = np.clip(green * (0.85 + 0.4 * up) * dice, 0, 255) * (1 - air) + haze * air
        point = (round(float(centre[0]) * 8), round(float(centre[1]) * 8))
        cv2.circle(picture, point, max(round(radius * 8 * dice), 6), colour.tolist(), -1, cv2.LINE_AA, 3)


def _lamp(picture: Bgr, camera: Camera, spot: tuple[float, float], haze: Floats) -> None:
    x, z = spot
    _post(picture, camera, spot, 0.07, 7.0, (92, 94, 96), haze)
    arm = -1.6 if x > 0 else 1.6
    mesh = MeshBuilder()
    left, right = sorted((x, x + arm))
    mesh.add([(left, 7.08, z), (right, 7.08, z), (right, 6.98, z), (left, 6.98, z)], (92, 94, 96), glow=True)
    head = sorted((x + arm, x + arm * 0.6))
    mesh.add([(head[0], 7.0, z), (head[1], 7.0, z), (head[1], 6.86, z), (head[0], 6.86, z)], (210, 214, 216), glow=True)
    painting = prepare(mesh.build(), camera, (0, 0, 0), haze_share(z), haze)
    if painting is not None:
        paint(picture, painting)


def _sign(picture: Bgr, camera: Camera, spot: tuple[float, float], haze: Floats, random: np.random.Generator) -> None:
    """A round or a rectangular sign with figures: things with text that are no plates."""
    x, z = spot
    _post(picture, camera, spot, 0.04, 2.3, (150, 150, 150), haze)
    board = np.full((96, 96, 3), 255, np.uint8)
    if random.random() < 0.5:
        wide, text = 0.7, ("30", "50", "40")[int(random.integers(3))]
        frame = np.array(picture[0, 0])
        cv2.rectangle(board, (0, 0), (95, 95), frame.tolist(), -1)
        cv2.circle(board, (48, 48), 47, (40, 36, 190), -1, cv2.LINE_AA)
        cv2.circle(board, (48, 48), 36, (240, 240, 240), -1, cv2.LINE_AA)
        high, ink = 38, (20, 20, 20)
    else:
        wide, text = 1.1, ("P 24H", "BUS 7", "CENTER")[int(random.integers(3))]
        board[:] = (150, 80, 26) if random.random() < 0.5 else (60, 110, 30)
        cv2.rectangle(board, (4, 4), (91, 91), (240, 240, 240), 2)
        high, ink = 30, (245, 245, 245)
    mask = np.zeros(board.shape[:2], np.uint8)
    natural = line_width(text, FAMILIES["road"], high, high * 0.3)
    squeeze = min(1.0, 80 / natural)
    draw_line(
        mask,
        text,
        FAMILIES["road"],
        left=48 - natural * squeeze / 2,
        top=48 - high / 2,
        height=high,
        group_gap=high * 0.3,
        squeeze=squeeze,
    )
    share = (mask.astype(np.float32) / 255)[:, :, None]
    board[:] = (board * (1 - share) + np.array(ink, np.float32) * share).astype(np.uint8)
    air = haze_share(z)
    board = np.clip(board * (1 - air) + haze * air, 0, 255).astype(np.uint8)
    half = wide / 2
    corners = [(x - half, 2.3 + 0.7, z), (x + half, 3.0, z), (x + half, 2.3, z), (x - half, 2.3, z)]
    hang(picture, pyramid(board), camera.project(np.array(corners, np.float32)))

"""Pictures of every pixel format for tests, made from one RGB array."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streamdet.picture import ColourMatrix, Picture, PixelFormat, Plane, Rotation, yuv_to_rgb


def smooth_rgb(width: int, height: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Soft blobs of colour: what resampling keeps, so that two resamplers can be compared."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.full((height, width, 3), 128.0)
    for _ in range(6):
        centre_x, centre_y, radius = random.uniform(0, width), random.uniform(0, height), max(width, height) / 4
        bump = np.exp(-((x - centre_x) ** 2 + (y - centre_y) ** 2) / (2 * radius**2))
        rgb += bump[..., None] * random.uniform(-60, 60, 3)
    return rgb.clip(16, 235).astype(np.uint8)


def picture_of(
    rgb: npt.NDArray[np.uint8],
    pixel_format: PixelFormat,
    *,
    matrix: ColourMatrix = "bt601",
    full_range: bool = False,
    rotation: Rotation = 0,
    extra_stride: int = 0,
    read_only: bool = False,
) -> Picture:
    """The array as planes of that format; `extra_stride` samples lie between the rows, as decoders leave them."""
    planes = tuple(_strided(plane, extra_stride) for plane in _planes(rgb, pixel_format, matrix, full_range))
    for plane in planes:
        plane.flags.writeable = not read_only
    return Picture(planes, pixel_format, full_range=full_range, matrix=matrix, rotation=rotation)


def _planes(
    rgb: npt.NDArray[np.uint8], pixel_format: PixelFormat, matrix: ColourMatrix, full_range: bool
) -> tuple[Plane, ...]:
    if pixel_format == "rgb24":
        return (rgb.copy(),)
    if pixel_format == "bgr24":
        return (np.ascontiguousarray(rgb[:, :, ::-1]),)
    if pixel_format == "gray":
        return (np.ascontiguousarray(rgb[:, :, 1]),)
    to_rgb = yuv_to_rgb(matrix, full_range).astype(np.float64)
    yuv = (rgb - to_rgb[:, 3]) @ np.linalg.inv(to_rgb[:, :3]).T
    y, u, v = (yuv[..., i] for i in range(3))
    down = 1 if pixel_format == "yuv422p" else 2
    u, v = _averaged(u, down), _averaged(v, down)
    if pixel_format == "p010":
        ten = [(plane * 4).round().clip(0, 1023).astype(np.uint16) << 6 for plane in (y, u, v)]
        return ten[0], np.stack(ten[1:], axis=2)
    y8, u8, v8 = (plane.round().clip(0, 255).astype(np.uint8) for plane in (y, u, v))
    return (y8, np.stack([u8, v8], axis=2)) if pixel_format == "nv12" else (y8, u8, v8)


def _averaged(plane: npt.NDArray[np.float64], down: int) -> npt.NDArray[np.float64]:
    """Halved across, and down by `down`; an odd edge repeats."""
    height, width = plane.shape
    padded = np.pad(plane, ((0, -height % down), (0, width % 2)), mode="edge")
    return padded.reshape(padded.shape[0] // down, down, padded.shape[1] // 2, 2).mean(axis=(1, 3))


def _strided(plane: Plane, extra: int) -> Plane:
    height, width, *rest = plane.shape
    wide = np.full((height, width + extra, *rest), 77, plane.dtype)
    wide[:, :width] = plane
    return wide[:, :width]

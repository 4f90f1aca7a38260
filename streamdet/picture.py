"""Picture: planes as they were decoded, on loan, in the host's memory or a GPU's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from streamdet.errors import MissingExtra, PictureReleased

Plane = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

PixelFormat = Literal[
    "yuv420p",  # Y [h, w], U [⌈h/2⌉, ⌈w/2⌉], V the same
    "nv12",  # Y [h, w], UV [⌈h/2⌉, ⌈w/2⌉, 2]
    "yuv422p",  # Y [h, w], U [h, ⌈w/2⌉], V the same
    "p010",  # nv12 in uint16, the ten bits on top
    "rgb24",  # [h, w, 3]
    "bgr24",  # [h, w, 3]
    "gray",  # [h, w], full range
]
PIXEL_FORMATS: tuple[PixelFormat, ...] = get_args(PixelFormat)
ColourMatrix = Literal["bt601", "bt709"]
Rotation = Literal[0, 90, 180, 270]


def yuv_to_rgb(matrix: ColourMatrix, full_range: bool) -> npt.NDArray[np.float32]:
    """[3, 4]: rgb = m[:, :3] @ (y, u, v) + m[:, 3], all in 0..255."""
    red, blue = (0.299, 0.114) if matrix == "bt601" else (0.2126, 0.0722)
    green = 1 - red - blue
    chroma = np.array(
        [
            [1, 0, 2 * (1 - red)],
            [1, -2 * blue * (1 - blue) / green, -2 * red * (1 - red) / green],
            [1, 2 * (1 - blue), 0],
        ]
    )
    if full_range:
        scale, black = np.ones(3), np.array([0, 128, 128])
    else:
        scale, black = np.array([255 / 219, 255 / 224, 255 / 224]), np.array([16, 128, 128])
    linear = chroma * scale
    return np.concatenate([linear, -(linear @ black)[:, None]], axis=1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class DevicePlane:
    """One plane in a GPU's memory, read-only; other libraries take it without a copy, as a CUDA array or by DLPack.

    Valid as long as the lease of its Picture. Whoever wrote it queued that on the GPU's default stream: a reader with a
    stream of its own waits, on the GPU, for that one.
    """

    pointer: int
    shape: tuple[int, ...]  # as the plane's on the host: [h, w] or [h, w, channels]
    stride_bytes: int  # from one row to the next
    dtype: np.dtype[Any]
    device: int  # the GPU's number
    owner: Any = field(default=None, repr=False)  # keeps the memory; what it exports by DLPack is this plane

    @property
    def span_bytes(self) -> int:
        """From the first byte to the last; the last row may end before a whole stride does."""
        return (self.shape[0] - 1) * self.stride_bytes + int(np.prod(self.shape[1:])) * self.dtype.itemsize

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        inner = (self.dtype.itemsize,) if len(self.shape) == 2 else (self.shape[2] * self.dtype.itemsize,)
        strides = (self.stride_bytes, *inner, self.dtype.itemsize)[: len(self.shape)]
        return {
            "version": 3,
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.pointer, True),
            "strides": strides,
            "stream": 1,  # the legacy default stream
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.device  # kDLCUDA

    def __dlpack__(self, *, stream: int | None = None) -> Any:
        if not hasattr(self.owner, "__dlpack__"):
            raise BufferError("the memory's owner does not export DLPack")
        return self.owner.__dlpack__(stream=stream)


@dataclass(frozen=True, slots=True)
class Surface:
    """A picture's planes in a GPU's memory, and the one way to copy them to the host."""

    planes: tuple[DevicePlane, ...]
    download: Callable[[], tuple[Plane, ...]] = field(repr=False)

    @property
    def device(self) -> int:
        """The GPU's number."""
        return self.planes[0].device


class Picture:
    """Planes as they were decoded, on loan.

    Given a Surface, it lies on a GPU: `surface` is what the GPU reads, and whoever asks for `planes` gets a copy on the
    host, made once.

    `width` and `height` are those of the picture as shown: `rotation` (clockwise degrees) is still to be applied to the
    planes by whoever reads pixels, and every reader does. The planes are read-only and may belong to the decoder: they
    are valid until the last holder has called `release`. A picture is born with one hold; `hold` adds one. To keep a
    picture longer, take `host()`, which copies it once.
    """

    __slots__ = (
        "_holds",
        "_lock",
        "_on_release",
        "_planes",
        "_surface",
        "device",
        "format",
        "full_range",
        "height",
        "matrix",
        "rotation",
        "width",
    )

    def __init__(
        self,
        planes: tuple[Plane, ...] | Surface,
        format: PixelFormat,
        *,
        full_range: bool = False,
        matrix: ColourMatrix = "bt601",
        rotation: Rotation = 0,
        on_release: Callable[[], None] | None = None,
    ) -> None:
        self._surface: Surface | None
        self._planes: tuple[Plane, ...] | None
        self.device: int | None  # the GPU that it lies on
        if isinstance(planes, Surface):
            self._surface, self._planes, self.device = planes, None, planes.device
            height, width = planes.planes[0].shape[:2]
        else:
            self._surface, self._planes, self.device = None, planes, None
            height, width = planes[0].shape[:2]
        self._holds = 1
        self._lock = threading.Lock()
        self._on_release = on_release
        self.format: PixelFormat = format
        self.full_range = full_range
        self.matrix: ColourMatrix = matrix
        self.rotation: Rotation = rotation
        self.width, self.height = (height, width) if rotation in (90, 270) else (width, height)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as shown."""
        return self.width, self.height

    @property
    def stored_size(self) -> tuple[int, int]:
        """Width and height of the planes, before they are rotated."""
        return (self.height, self.width) if self.rotation in (90, 270) else self.size

    @property
    def planes(self) -> tuple[Plane, ...]:
        """The planes on the host, not yet rotated; of a picture on a GPU a copy, made when first asked for."""
        planes = self._planes
        if planes is None:
            with self._lock:
                surface = self._still_lent()
                if self._planes is None and surface is not None:
                    self._planes = surface.download()
                planes = self._planes
        assert planes is not None
        return planes

    @property
    def surface(self) -> Surface | None:
        """The planes on the GPU, for those who read them there; None of a picture on the host."""
        with self._lock:
            return self._still_lent()

    def _still_lent(self) -> Surface | None:
        if self._holds == 0:
            raise PictureReleased(
                "the picture was read after its lease had ended", hint="keep a copy: picture.host(), taken in time"
            )
        return self._surface

    @property
    def luma(self) -> Plane:
        """One plane that is enough to see motion: Y, grey, or the green channel; not yet rotated."""
        plane = self.planes[0]
        return plane[:, :, 1] if plane.ndim == 3 else plane

    def hold(self) -> Picture:
        """One more holder; each calls `release` once."""
        with self._lock:
            if self._holds == 0:
                raise PictureReleased("a released picture cannot be held again")
            self._holds += 1
        return self

    def release(self) -> None:
        """One holder less; the last one gives the planes back to where they came from."""
        with self._lock:
            if self._holds == 0:
                return
            self._holds -= 1
            if self._holds:
                return
            self._planes = self._surface = None
            on_release, self._on_release = self._on_release, None
        if on_release is not None:
            on_release()

    def host(self) -> Picture:
        """A copy in this process's own memory, free of any lease."""
        planes = self.planes
        # What was copied from a GPU belongs to nobody else.
        copies: list[Plane] = [plane.copy() if self.device is None else plane for plane in planes]
        return Picture(
            tuple(copies),
            self.format,
            full_range=self.full_range,
            matrix=self.matrix,
            rotation=self.rotation,
        )

    def rgb(self) -> npt.NDArray[np.uint8]:
        """[height, width, 3], rotated as shown: for people and slow paths; engines read the planes."""
        return np.ascontiguousarray(np.rot90(self._upright_later(), k=-self.rotation // 90))

    def _upright_later(self) -> npt.NDArray[np.uint8]:
        planes = self.planes
        if self.format == "rgb24":
            return np.array(planes[0], np.uint8)
        if self.format == "bgr24":
            return np.array(planes[0][:, :, ::-1], np.uint8)
        if self.format == "gray":
            return np.repeat(planes[0][:, :, None], 3, axis=2).astype(np.uint8)
        y, u, v = self._yuv()
        try:
            import cv2
        except ImportError as error:  # pragma: no cover - a base dependency
            raise MissingExtra("opencv", None, "converting a picture to RGB") from error
        height, width = y.shape
        across = 2  # every subsampled format of the list halves the width; 4:2:0 halves the height too
        down = 2 if u.shape[0] < height else 1
        u, v = (
            cv2.resize(plane, (plane.shape[1] * across, plane.shape[0] * down), interpolation=cv2.INTER_LINEAR)[
                :height, :width
            ]
            for plane in (u, v)
        )
        m = yuv_to_rgb(self.matrix, self.full_range)
        return np.asarray(cv2.transform(np.dstack([y, u, v]), m).clip(0, 255), np.uint8)

    def _yuv(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        planes: tuple[npt.NDArray[Any], ...] = self.planes
        if self.format == "p010":
            planes = tuple((plane >> 8).astype(np.uint8) for plane in planes)
        if self.format in ("nv12", "p010"):
            y, uv = planes
            return (
                np.asarray(y, np.uint8),
                np.ascontiguousarray(uv[:, :, 0], np.uint8),
                np.ascontiguousarray(uv[:, :, 1], np.uint8),
            )
        y, u, v = planes
        return np.asarray(y, np.uint8), np.asarray(u, np.uint8), np.asarray(v, np.uint8)

    def __repr__(self) -> str:
        state = f"{self._holds} held" if self._holds else "released"
        place = "" if self.device is None else f" on GPU {self.device}"
        return f"Picture({self.width}x{self.height} {self.format}{place}, {state})"

"""A picture in a GPU's memory: read there without a copy, on the host with one, and given back with its lease."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from device_pictures import OnGpu
from fake_cuda import FakeDriver
from made_pictures import picture_of

from streamdet.errors import PictureReleased
from streamdet.frames import Frame
from streamdet.picture import DevicePlane, Picture
from streamdet.sources.frozen import FrozenWatch


@pytest.fixture
def driver() -> FakeDriver:
    return FakeDriver()


def nv12(seed: int = 0, rotation: int = 0) -> Picture:
    pixels = np.random.default_rng(seed).integers(0, 256, (23, 37, 3), np.uint8)
    return picture_of(pixels, "nv12", rotation=rotation)


def test_its_size_and_place_are_known_without_a_copy(driver: FakeDriver):
    made = OnGpu(driver, nv12(rotation=90))
    assert (23, 37) == made.picture.size
    assert (37, 23) == made.picture.stored_size
    assert 0 == made.picture.device == made.picture.surface.device
    assert None is nv12().device
    assert None is nv12().surface
    assert 0 == made.downloads


def test_whoever_wants_pixels_on_the_host_gets_one_copy_however_often_they_ask(driver: FakeDriver):
    made = OnGpu(driver, nv12())
    kept = made.picture.host()
    assert np.array_equal(nv12().rgb(), made.picture.rgb())
    assert np.array_equal(nv12().luma, made.picture.luma)
    assert 1 == made.downloads
    made.picture.release()
    assert np.array_equal(nv12().rgb(), kept.rgb())
    assert None is kept.device


def test_the_memory_goes_back_with_the_last_holder(driver: FakeDriver):
    made = OnGpu(driver, nv12())
    made.picture.hold().release()
    assert 2 == len(driver.device)
    made.picture.release()
    gc.collect()
    assert {} == driver.device
    assert 1 == made.released
    with pytest.raises(PictureReleased):
        _ = made.picture.surface
    with pytest.raises(PictureReleased):
        _ = made.picture.planes


def test_a_plane_is_a_cuda_array_and_dlpack_on_its_gpu():
    class Exporter:
        def __dlpack__(self, *, stream: int | None) -> str:
            return f"capsule for {stream}"

    plane = DevicePlane(4096, (3, 5, 2), 64, np.dtype(np.uint16), 1, Exporter())
    described = plane.__cuda_array_interface__
    assert ((3, 5, 2), "<u2", (4096, True), (64, 4, 2)) == tuple(
        described[name] for name in ("shape", "typestr", "data", "strides")
    )
    assert 2 * 64 + 5 * 2 * 2 == plane.span_bytes
    assert (2, 1) == plane.__dlpack_device__()
    assert "capsule for None" == plane.__dlpack__()
    with pytest.raises(BufferError):
        DevicePlane(4096, (3, 5), 64, np.dtype(np.uint8), 0).__dlpack__()


def test_the_watch_for_frozen_cameras_copies_a_few_pictures_of_its_limit_not_all(driver: FakeDriver):
    watch = FrozenWatch(10.0)
    made = [OnGpu(driver, nv12()) for _ in range(300)]
    seen = [watch.see(Frame("s", i, i / 25, each.picture), i / 25) for i, each in enumerate(made)]
    assert 24 == sum(each.downloads for each in made)
    assert not any(seen[: 10 * 25])
    assert seen[-1]

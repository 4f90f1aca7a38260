"""A camera that sends, but always the same."""

from __future__ import annotations

import numpy as np

from streamdet.frames import Frame
from streamdet.picture import Picture
from streamdet.sources.frozen import FrozenWatch

RNG = np.random.default_rng(1)


def frame(luma):
    return Frame("gate", 0, 0.0, Picture((luma,), "gray", full_range=True))


def test_the_same_picture_for_the_limit_is_frozen_and_the_first_change_thaws_it():
    watch = FrozenWatch(2.0)
    still = RNG.integers(0, 255, (240, 320), np.uint8)
    assert [False, False, True, True] == [watch.see(frame(still), now_s) for now_s in (0.0, 1.0, 2.0, 3.0)]
    assert not watch.see(frame(RNG.integers(0, 255, (240, 320), np.uint8)), 4.0)
    assert not watch.see(frame(still), 5.0)


def test_the_noise_of_a_sensor_is_alive():
    watch = FrozenWatch(1.0)
    scene = np.full((240, 320), 20, np.int16)
    noisy = [(scene + RNG.normal(0, 1, scene.shape)).clip(0, 255).astype(np.uint8) for _ in range(30)]
    assert not any(watch.see(frame(luma), k / 10) for k, luma in enumerate(noisy))


def test_an_encoders_rounding_does_not_thaw_it():
    watch = FrozenWatch(1.0)
    still = np.full((240, 320), 90, np.uint8)
    flicker = still.copy()
    flicker[::40, ::40] += 1
    assert watch.see(frame(still), 0.0) is False
    assert watch.see(frame(flicker), 2.0) is True


def test_a_change_of_size_is_a_change():
    watch = FrozenWatch(1.0)
    watch.see(frame(np.zeros((240, 320), np.uint8)), 0.0)
    assert not watch.see(frame(np.zeros((480, 640), np.uint8)), 9.0)


def test_tiny_pictures_are_watched_too():
    watch = FrozenWatch(1.0)
    watch.see(frame(np.zeros((1, 1), np.uint8)), 0.0)
    assert watch.see(frame(np.zeros((1, 1), np.uint8)), 2.0)

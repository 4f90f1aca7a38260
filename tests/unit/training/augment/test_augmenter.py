"""Samples depend on their number and seed alone, and their labels on their pixels."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest

from streamdet.datasets.samples import Objects, Sample
from streamdet.errors import ConfigError
from streamdet.training.augment.augmenter import Augmenter
from streamdet.training.augment.letterbox import LetterboxOnly
from streamdet.training.augment.options import AugmentOptions
from tests.made_data_sets import Drawn, drawn, pixels_of

STILL = AugmentOptions(hue=0, saturation=0, brightness=0, least_visible_ratio=0, least_side_px=0)
WILD = AugmentOptions(
    mosaic=0.5,
    mixup=0.3,
    paste=0.5,
    large_jitter=0.5,
    rotate_degrees=30,
    shear_degrees=10,
    perspective=0.1,
    flip_vertical=0.5,
    quarter_turns=0.5,
    noise=0.5,
    blur=0.5,
    jpeg=0.5,
)
SIZE = (160, 128)


def equal(a: Sample, b: Sample) -> bool:
    return (
        a.key == b.key
        and np.array_equal(a.rgb, b.rgb)
        and np.array_equal(a.objects.xyxy, b.objects.xyxy)
        and np.array_equal(a.objects.class_id, b.objects.class_id)
        and np.array_equal(a.objects.ignored, b.objects.ignored)
    )


def test_the_same_number_and_seed_give_the_same_sample() -> None:
    first, second = (Augmenter(drawn(), WILD, SIZE) for _ in range(2))
    order = [3, 0, 5, 1]
    once = {index: first.sample(index, 7) for index in order}
    again = {index: second.sample(index, 7) for index in reversed(order)}
    assert all(equal(once[index], again[index]) for index in order)
    assert not equal(once[3], first.sample(3, 8))


def test_threads_change_nothing() -> None:
    augmenter = Augmenter(drawn(), WILD, SIZE)
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda index: augmenter.sample(index % 6, index), range(24)))
    alone = Augmenter(drawn(), WILD, SIZE)
    assert all(equal(alone.sample(index % 6, index), sample) for index, sample in enumerate(together))


def test_what_memory_holds_changes_nothing() -> None:
    large = drawn(size=(640, 480))
    holding = Augmenter(large, WILD, SIZE)
    holding.load()
    forgetting = Augmenter(large, WILD.model_copy(update={"memory_mb": 0}), SIZE)
    assert all(equal(holding.sample(index, 1), forgetting.sample(index, 1)) for index in range(6))


def _one(index: int) -> tuple[int, int]:
    sample = Augmenter(drawn(), WILD, SIZE).sample(index, 11)
    return int(sample.rgb.sum()), len(sample.objects)


def test_processes_change_nothing() -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert [_one(index) for index in range(4)] == pool.map(_one, range(4))


def test_a_worker_that_is_started_anew_gives_the_same() -> None:
    augmenter, letterbox = Augmenter(drawn(), WILD, SIZE), LetterboxOnly(drawn(), SIZE)
    augmenter.load()
    letterbox.read(0)
    assert equal(augmenter.sample(2, 5), pickle.loads(pickle.dumps(augmenter)).sample(2, 5))
    assert equal(letterbox.sample(2), pickle.loads(pickle.dumps(letterbox)).sample(2))


def check_pixels(sample: Sample, within_px: float = 2.0, hidden: bool = False) -> int:
    """Every object's colour is inside its box and, unless something hides it, fills it; returns how many were seen."""
    looked_at = 0
    for class_id in np.unique(sample.objects.class_id):
        rows = sample.objects.class_id == class_id
        if rows.sum() > 1:  # several rectangles of one colour
            continue
        seen = pixels_of(sample.rgb, int(class_id)).astype(np.uint8)
        if hidden:  # where two colours meet in a soft seam, a third may be seen
            seen = cv2.morphologyEx(seen, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
        y, x = np.nonzero(seen)
        if len(x) < 12:
            continue
        box = sample.objects.xyxy[rows][0]
        gap = np.array([x.min(), y.min(), -x.max() - 1, -y.max() - 1]) - box * (1, 1, -1, -1)
        assert -within_px <= gap.min()
        # A wedge that the picture's edge cuts off may be thinner than a pixel far along.
        touches = (box[:2] <= 0).any() or (box[2:] >= SIZE).any()
        assert hidden or touches or within_px >= gap.max()
        looked_at += 1
    return looked_at


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"mosaic": 0.0},
        {"mosaic": 0.0, "large_jitter": 1.0},
        {"rotate_degrees": 45.0, "shear_degrees": 15.0},
        {"perspective": 0.2},
        {"flip_vertical": 0.5, "quarter_turns": 0.7},
    ],
    ids=lambda changed: "-".join(changed) or "default",
)
def test_labels_agree_with_pixels(changed: dict[str, float]) -> None:
    augmenter = Augmenter(drawn(24, objects=1), STILL.model_copy(update=changed), SIZE)
    looked_at = sum(check_pixels(augmenter.sample(index % 24, index)) for index in range(80))
    assert looked_at > 40


def test_pasted_objects_have_labels_where_their_pixels_are() -> None:
    still = STILL.model_copy(update={"mosaic": 0.0, "paste": 1.0, "scale": (0.7, 1.0)})
    augmenter = Augmenter(drawn(24, objects=1), still, SIZE)
    samples = [augmenter.sample(index % 24, index) for index in range(40)]
    assert max(len(sample.objects) for sample in samples) > 2
    assert sum(check_pixels(sample, hidden=True) for sample in samples) > 30


def test_mixed_pictures_keep_the_objects_of_both() -> None:
    still = STILL.model_copy(update={"mosaic": 0.0, "mixup": 1.0, "scale": (0.9, 1.0), "translate": 0.0})
    assert 6 == len(Augmenter(drawn(), still, SIZE).sample(0, 0).objects)


def test_samples_have_exactly_the_training_size_and_boxes_inside() -> None:
    augmenter = Augmenter(drawn(), WILD, (96, 160))
    for index in range(40):
        sample = augmenter.sample(index % 6, index)
        assert ((160, 96, 3), np.uint8) == (sample.rgb.shape, sample.rgb.dtype)
        boxes = sample.objects.xyxy
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert (boxes >= 0).all()
        assert (boxes <= np.array([96, 160, 96, 160])).all()


def test_pictures_without_objects_can_be_learnt_from() -> None:
    bare = drawn()
    bare = Drawn(bare.pictures, tuple(replace(entry, objects=Objects.empty()) for entry in bare.entries))
    assert 0 == len(Augmenter(bare, WILD, SIZE).sample(0, 0).objects)


def test_objects_that_carry_text_are_never_mirrored() -> None:
    plain = drawn()
    written = Drawn(
        plain.pictures,
        tuple(replace(e, objects=replace(e.objects, texts=("AB123",) * len(e.objects))) for e in plain.entries),
    )
    assert 0.0 == Augmenter(written, AugmentOptions(), SIZE).options.flip_horizontal
    assert 0.5 == Augmenter(plain, AugmentOptions(), SIZE).options.flip_horizontal


def test_keypoints_of_unknown_meaning_are_not_mirrored_by_guess() -> None:
    plain = drawn()
    three = Drawn(
        plain.pictures,
        tuple(replace(e, objects=replace(e.objects, keypoints=e.objects.keypoints[:, :3])) for e in plain.entries),
    )
    with pytest.raises(ConfigError, match="change places"):
        Augmenter(three, AugmentOptions(), SIZE)
    Augmenter(three, AugmentOptions(mirrored_keypoints=(1, 0, 2)), SIZE)
    Augmenter(three, AugmentOptions(flip_horizontal=0), SIZE)


def test_a_span_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(ConfigError, match="no span"):
        Augmenter(drawn(), AugmentOptions(scale=(1.5, 0.5)), SIZE)


def test_the_last_epochs_see_single_pictures() -> None:
    calm = Augmenter(drawn(), AugmentOptions(), SIZE).calm()
    assert (0, 0, 0) == (calm.options.mosaic, calm.options.mixup, calm.options.paste)
    assert all(3 >= len(calm.sample(index, 0).objects) for index in range(6))


def test_a_smaller_variant_shares_the_pictures_in_memory_and_a_larger_one_does_not() -> None:
    augmenter = Augmenter(drawn(), AugmentOptions(), SIZE)
    assert augmenter.pictures is augmenter.variant(size=(80, 64)).pictures
    assert augmenter.pictures is not augmenter.variant(size=(320, 256)).pictures
    assert (64, 80, 3) == augmenter.variant(size=(80, 64)).sample(0, 0).rgb.shape


def test_evaluation_sees_what_the_runtime_sees() -> None:
    from streamdet.infer.preprocess import Letterbox
    from streamdet.manifest import EngineInput
    from streamdet.picture import Picture

    source = drawn(2, size=(96, 60))
    got = LetterboxOnly(source, (64, 64)).read(1)
    expected = np.empty((3, 64, 64), np.uint8)
    placement = Letterbox(EngineInput(name="x", size=(64, 64))).write(Picture((source.pictures[1],), "rgb24"), expected)
    assert np.array_equal(expected.transpose(1, 2, 0), got.sample.rgb)
    assert placement == got.placement
    assert source.entries[1].objects.xyxy == pytest.approx(got.placement.to_frame(got.sample.objects.xyxy), abs=1e-3)
    assert equal(got.sample, LetterboxOnly(source, (64, 64)).sample(1, seed=5))


def test_unaugmented_training_pictures_lie_as_the_runtime_lays_them() -> None:
    off = AugmentOptions(mosaic=0, scale=(1, 1), translate=0, hue=0, saturation=0, brightness=0, flip_horizontal=0)
    source = drawn(1, size=(96, 60))
    sample, expected = Augmenter(source, off, (72, 64)).sample(0, 0), LetterboxOnly(source, (72, 64)).sample(0)
    assert expected.objects.xyxy == pytest.approx(sample.objects.xyxy, abs=1e-3)
    assert 2 > np.abs(sample.rgb.astype(int) - expected.rgb.astype(int)).mean()

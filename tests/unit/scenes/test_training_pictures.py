"""Crops for a reader, pictures for a detector, passes for the vote: what they show is what their truth says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamdet.plate_formats import FORMATS, plain_text
from streamdet.scenes import camera_chain as chain
from streamdet.scenes.alphabets import CHARACTERS, StrokeAlphabet, TypefaceAlphabet, usable_typefaces
from streamdet.scenes.backgrounds import Background, padded, photograph, window
from streamdet.scenes.dice import Dice
from streamdet.scenes.glyph_styles import STYLES, TEST_STYLES, TRAIN_STYLES, mixed_names, mixed_style, style_named
from streamdet.scenes.grouping import regrouped
from streamdet.scenes.mounts import Mounted
from streamdet.scenes.pasting import paste
from streamdet.scenes.plate_crops import CLASSES, Crop, CropOptions, plate_crop
from streamdet.scenes.plate_kinds import Kinds, formats_for
from streamdet.scenes.plate_passes import PassOptions, pass_scenes, plate_pass
from streamdet.scenes.plate_scenes import SceneOptions, plate_scene
from streamdet.scenes.poses import Pose, flat_corners, homography, random_pose, through

CLEAN = CropOptions(severity=0.0, corner_error=0.0, negatives=0.0, upright_share=0.0)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    height, width = (max(a, b) for a, b in zip(one.shape, other.shape, strict=True))
    first, second = (np.pad(m, ((0, height - m.shape[0]), (0, width - m.shape[1]))).astype(float) for m in (one, other))
    return float(np.minimum(first, second).sum() / np.maximum(first, second).sum())


@pytest.mark.parametrize("style", [*sorted(STYLES), *mixed_names()[:24]])
def test_no_two_characters_of_a_style_look_alike(style: str) -> None:
    masks = {character: StrokeAlphabet(style).mask(character, 2, 0) for character in CHARACTERS}
    for place, one in enumerate(CHARACTERS):
        for other in CHARACTERS[place + 1 :]:
            assert overlap(masks[one], masks[other]) < 0.97, (one, other)


def test_no_two_styles_look_alike() -> None:
    assert len(TRAIN_STYLES) >= 8
    names = sorted(STYLES)
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            alike = [
                overlap(StrokeAlphabet(one).mask(c, 2, 1), StrokeAlphabet(other).mask(c, 2, 1)) for c in CHARACTERS
            ]
            assert np.mean(alike) < 0.9, (one, other)


@pytest.mark.parametrize("style", sorted(STYLES))
def test_a_character_fills_its_box(style: str) -> None:
    for character in CHARACTERS:
        mask = StrokeAlphabet(style).mask(character, 2, 0)
        rows = np.flatnonzero(mask.max(1) > 127)
        assert 96 == mask.shape[0]
        assert rows[0] <= 6, character
        assert rows[-1] >= 89, character


def test_mixed_styles_differ_and_are_the_same_every_time() -> None:
    names = mixed_names()
    assert len(set(names)) == len({replace(mixed_style(k), name="") for k in range(len(names))})
    assert not set(names) & set(STYLES)
    again = mixed_style.__wrapped__(7)
    assert mixed_style(7) == again == style_named("mixed-7")


def test_an_odd_text_keeps_its_characters_and_never_takes_a_layout_of_the_tests() -> None:
    held = {"".join("*" if s in "@#*" else s for s in line) for f in FORMATS if f.held_out for line in f.layouts[0]}
    assert "* *** ***" in held
    seen = set()
    for k in range(400):
        (line,) = regrouped(("A123456",), Dice.of(3, k))
        assert "A123456" == plain_text((line,))
        seen.add("".join("*" if c.isalnum() else c for c in line))
    assert len(seen) > 50
    assert not seen & held
    assert regrouped(("%A·12345",), Dice.of(3, 1))[0].startswith("%")


def test_what_tests_show_was_never_learnt_from() -> None:
    assert not {style.name for style in TRAIN_STYLES} & {style.name for style in TEST_STYLES}
    assert not set(formats_for("train", None)) & set(formats_for("test", None))
    train = [plate_crop(1, k) for k in range(60)]
    held = [plate_crop(1, k, CropOptions(kinds=Kinds("test"))) for k in range(60)]
    assert {c.style for c in train} <= {"", *(style.name for style in TRAIN_STYLES)}
    assert {c.style for c in held} <= {"", *(style.name for style in TEST_STYLES)}
    assert {c.format_key for c in held} <= {"", *(f.key for f in FORMATS if f.held_out)}


def test_typefaces_that_are_installed_write_plates() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    found = usable_typefaces(Path(matplotlib.get_data_path()) / "fonts" / "ttf")
    assert any("DejaVuSans-Bold" in path for path in found)
    assert not any("cmsy" in path for path in found)  # symbols are no alphabet
    crop = plate_crop(3, 1, replace(CLEAN, kinds=Kinds(typefaces=found, typeface_share=1.0)))
    assert crop.style in found
    assert crop.text == read(crop)
    assert TypefaceAlphabet(found[0]).mask("A", 2, 0).shape[0] == 96


def read(crop: Crop) -> str:
    """The text by the maps alone: cores sorted by line and place, each with the class most of its ink has."""
    count, parts = cv2.connectedComponents(crop.core, connectivity=4)
    found = []
    for number in range(1, count):
        rows, columns = np.nonzero(parts == number)
        around = np.zeros(crop.core.shape, np.uint8)
        around[rows, columns] = 1
        around = cv2.dilate(around, np.ones((5, 5), np.uint8))
        classes = np.bincount(crop.labels[(around > 0) & (crop.labels > 0)], minlength=len(CLASSES))
        line = int(np.bincount(crop.lines[rows, columns]).argmax())
        found.append((line, float(columns.mean()), CLASSES[int(classes.argmax())]))
    return "".join(character for _, _, character in sorted(found))


def test_the_maps_of_a_crop_spell_its_text() -> None:
    for k in range(120):
        crop = plate_crop(21, k, CLEAN)
        assert crop.text == read(crop), k
        assert len(crop.text) == len(crop.line_of) == len(crop.characters_xyxy)


def test_ink_lies_inside_the_boxes_and_the_boxes_around_ink() -> None:
    for k in range(60):
        crop = plate_crop(22, k, CLEAN)
        for character, (left, top, right, bottom) in zip(crop.text, crop.characters_xyxy / 2, strict=True):
            part = crop.labels[max(int(top), 0) : int(bottom) + 1, max(int(left), 0) : int(right) + 1]
            assert (part == CLASSES.index(character)).sum() > 4
        outside = crop.labels.copy()
        for left, top, right, bottom in crop.characters_xyxy / 2:
            outside[max(int(top) - 1, 0) : int(bottom) + 2, max(int(left) - 1, 0) : int(right) + 2] = 0
        assert 0 == outside.max()


def test_the_ink_of_the_label_map_is_the_ink_of_the_picture() -> None:
    """Between what is marked as ink and what lies beside it in the same boxes there is a contrast."""
    for k in range(60):
        crop = plate_crop(23, k, replace(CLEAN, glyph_px=(24.0, 60.0)))
        small = cv2.resize(crop.pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).astype(float)
        inked, core = crop.labels > 0, cv2.dilate(crop.labels, np.ones((5, 5), np.uint8)) > 0
        beside = core & ~(cv2.dilate(crop.labels, np.ones((3, 3), np.uint8)) > 0)
        assert abs(np.median(small[inked]) - np.median(small[beside])) > 8, k


@pytest.mark.parametrize("options", [CropOptions(), CropOptions(colour="rgb", size=(128, 96))])
def test_a_crop_depends_on_seed_and_number_alone(options: CropOptions) -> None:
    alone = plate_crop(4, 9, options)
    for k in range(5):
        plate_crop(4, k, options)
    again, other = plate_crop(4, 9, options), plate_crop(4, 10, options)
    assert np.array_equal(alone.pixels, again.pixels)
    assert np.array_equal(alone.labels, again.labels)
    assert not np.array_equal(alone.pixels, other.pixels)
    width, height = options.size
    assert (height, width) == alone.pixels.shape[:2]
    assert (height // 2, width // 2) == alone.labels.shape == alone.core.shape == alone.lines.shape


def test_what_is_no_plate_has_no_truth() -> None:
    for k in range(30):
        crop = plate_crop(5, k, CropOptions(negatives=1.0))
        assert "" == crop.text
        assert 0 == crop.labels.max() == crop.core.max() == crop.lines.max()


def test_what_is_pasted_lies_between_its_corners() -> None:
    """A white face on a black mount, laid onto corners: the white is found there, to half a pixel."""
    face = np.zeros((60, 160, 3), np.uint8)
    face[10:50, 20:140] = 255
    thing = Mounted(face, np.full((60, 160), 255, np.uint8), 20, 10, flat_corners(120, 40, 20, 10))
    for k in range(20):
        dice = Dice.of(6, k)
        posed = random_pose(dice).corners(3.0) * dice.between(40, 160)
        target = (posed - posed.min(0) + 40).astype(np.float32)
        picture = np.zeros((260, 320, 3), np.uint8)
        assert paste(picture, thing, target, dice, glyph_px=20, severity=0.0)
        white = picture[:, :, 1] > 0.5 * picture[:, :, 1].max()
        expected = np.zeros((260, 320), np.uint8)
        cv2.fillConvexPoly(expected, np.rint((target - 0.5) * 8).astype(np.int32), 1, cv2.LINE_8, 3)
        inner = cv2.erode(expected, np.ones((3, 3), np.uint8)) > 0
        outer = cv2.dilate(expected, np.ones((3, 3), np.uint8)) > 0
        assert white[inner].all()
        ring = (cv2.dilate(expected, np.ones((7, 7), np.uint8)) > 0) & ~outer
        assert not white[ring].any()


def test_truth_of_a_scene_lies_in_it() -> None:
    options = SceneOptions(size=(416, 256))
    plates = 0
    for k in range(30):
        scene = plate_scene(7, k, options)
        assert (256, 416, 3) == scene.bgr.shape
        for entry in scene.truth:
            left, top, right, bottom = entry.xyxy
            assert 0 <= left < right <= 416
            assert 0 <= top < bottom <= 256
            corners = np.array(entry.corners)
            assert (4, 2) == corners.shape
            low, high = np.maximum(corners.min(0), 0), np.minimum(corners.max(0), (416, 256))
            assert left >= low[0] - 0.01
            assert bottom <= high[1] + 0.01
            assert 0 <= entry.visible_ratio <= 1
            assert entry.text.isalnum()
            plates += 1
    assert plates > 20


def test_a_scene_depends_on_seed_and_number_alone() -> None:
    ground = photograph(np.full((360, 640, 3), 90, np.uint8), np.array([[300, 200, 380, 220]], np.float32))
    options = SceneOptions(size=(320, 192))
    alone = plate_scene(8, 3, options, [ground])
    plate_scene(8, 1, options, [ground])
    again = plate_scene(8, 3, options, [ground])
    assert np.array_equal(alone.bgr, again.bgr)
    assert alone.truth == again.truth
    assert (90 == ground.bgr).all()  # the caller's picture is not drawn into


def test_a_real_plate_stays_in_the_truth_or_is_covered_by_one_of_ours() -> None:
    ground = photograph(np.full((360, 640, 3), 90, np.uint8), np.array([[300, 200, 380, 220]], np.float32))
    options = SceneOptions(size=(640, 360), whole_share=1.0, plain_share=0.0)
    for share, covered in ((0.0, False), (1.0, True)):
        for k in range(8):
            truth = plate_scene(9, k, replace(options, over_known=share), [ground]).truth
            known = [entry for entry in truth if not entry.corners]
            assert covered == (not known)
            if covered:
                assert any(
                    e.xyxy[0] <= 300 and e.xyxy[2] >= 380 and e.xyxy[1] <= 200 and e.xyxy[3] >= 220 for e in truth
                )
            else:
                assert (300, 200, 380, 220) == pytest.approx(known[0].xyxy, abs=0.01)
                assert 80 == pytest.approx(known[0].width_px, abs=0.01)


def test_the_truth_of_a_background_moves_with_its_window() -> None:
    picture = np.zeros((300, 500, 3), np.uint8)
    picture[120:160, 200:300] = 255
    ground = photograph(picture, np.array([[200, 120, 300, 160]], np.float32))
    seen = 0
    for k in range(40):
        part = padded(window(ground, (320, 192), Dice.of(10, k), whole_share=0.3), (320, 192))
        assert (192, 320, 3) == part.bgr.shape
        for entry in part.truth:
            rows, columns = np.nonzero(part.bgr[:, :, 0] > 127)
            found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert entry.xyxy == pytest.approx(found, abs=1.6)
            seen += 1
    assert seen > 20


def test_a_background_without_truth_has_none_in_its_window() -> None:
    assert () == window(Background(np.zeros((90, 160, 3), np.uint8)), (64, 48), Dice.of(1, 1), whole_share=0.0).truth


@pytest.mark.parametrize("shape", [(31, 77), (31, 77, 3)])
def test_the_camera_keeps_the_size_and_at_severity_nought_the_picture(shape: tuple[int, ...]) -> None:
    grid = np.random.default_rng(1).integers(0, 255, (6, 10, *shape[2:])).astype(np.uint8)
    picture = np.asarray(cv2.resize(grid, shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
    for k in range(40):
        harsh = chain.expose(picture, Dice.of(11, k), 12.0)
        assert shape == harsh.shape
        assert np.uint8 == harsh.dtype
        mild = chain.expose(picture, Dice.of(11, k), 12.0, severity=0.0)
        assert np.abs(mild.astype(int) - picture).mean() < 1.5


def test_a_pose_of_no_angle_is_a_rectangle_and_a_homography_goes_there_and_back() -> None:
    flat = Pose(0, 0, 0, 10).corners(4.0)
    assert np.allclose([[-0.5, -0.125], [0.5, -0.125], [0.5, 0.125], [-0.5, 0.125]], flat)
    target = (Pose(40, 10, 5, 5).corners(4.0) * 100 + 90).astype(np.float32)
    there = homography(flat_corners(400, 100), target)
    assert np.allclose(target, through(flat_corners(400, 100), there), atol=1e-3)


def test_a_pass_comes_nearer_and_shows_one_text() -> None:
    for k in range(4):
        one = plate_pass(12, k)
        assert one.text
        assert {one.text} == {look.crop.text for look in one.looks}
        assert (np.diff([look.t_s for look in one.looks]) > 0).all()
        assert (np.diff([look.crop.glyph_px for look in one.looks]) > 0).all()
    again = plate_pass(12, 3)
    assert all(np.array_equal(a.crop.pixels, b.crop.pixels) for a, b in zip(one.looks, again.looks, strict=True))


def test_a_pass_loses_the_share_of_frames_that_was_asked_for() -> None:
    came = frames = 0
    for k in range(12):
        looks = plate_pass(13, k, PassOptions(dropped=0.4)).looks
        came, frames = came + len(looks), frames + looks[-1].frame + 1
    assert 0.45 < came / frames < 0.75
    whole = plate_pass(13, 0, PassOptions(dropped=0.0)).looks
    assert list(range(len(whole))) == [look.frame for look in whole]


def test_what_passes_and_is_no_plate_has_no_text() -> None:
    passed = plate_pass(14, 0, PassOptions(plates=False))
    assert "" == passed.text
    assert all(0 == look.crop.labels.max() for look in passed.looks)
    assert all(() == scene.truth for _, scene in pass_scenes(14, 0, PassOptions(plates=False, duration_s=(0.3, 0.4))))


def test_the_pictures_of_a_pass_have_growing_plates() -> None:
    widths = [scene.truth[0].width_px for _, scene in pass_scenes(15, 2, PassOptions(duration_s=(0.4, 0.6)))]
    assert widths[-1] > 1.2 * widths[0]

"""Scores of detections: equal to pycocotools, to cases counted by hand, and blind to what is ignored."""

from __future__ import annotations

import contextlib
import io
import json
import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from rendered_sets import CLASSES, RenderedSet
from typer.testing import CliRunner

from streamdet.cli.workshop import eval_app
from streamdet.datasets.samples import Objects
from streamdet.errors import ConfigError
from streamdet.evaluation.answers import Answer, ask
from streamdet.evaluation.average_precision import area_ap, best_threshold, curve, eleven_point_ap, hundred_point_ap
from streamdet.evaluation.coco import coco_found, coco_scores, coco_truth
from streamdet.evaluation.confusion import confusion_matrix
from streamdet.evaluation.detections import score_answers, score_detections
from streamdet.evaluation.matching import FALSE, FREE, match
from streamdet.evaluation.plots import draw_all
from streamdet.evaluation.voc import voc_curve, voc_scores
from streamdet.frames import Detections

THREE = ("red", "white", "plate")


def objects(*rows, ignored=()):
    """Rows of class, x1, y1, x2, y2."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    flags = np.zeros(len(table), np.bool_)
    flags[list(ignored)] = True
    return Objects(table[:, 1:], table[:, 0].astype(np.int64), flags)


def detections(*rows, names=()):
    """Rows of score, class, x1, y1, x2, y2."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, 2:], table[:, 0], table[:, 1].astype(np.int32), names)


def answer(truth, found):
    return Answer("picture", (400, 400), truth, found)


def invented_answers(seed, pictures=12, classes=3, ignored=0.15):
    """Truth with jittered, doubled, wrong and missing detections, of all sizes."""
    random = np.random.default_rng(seed)
    answers = []
    for number in range(pictures):
        n = int(random.integers(0, 9))
        corner = random.uniform(0, 300, (n, 2))
        sides = random.uniform(6, 160, (n, 2))
        truth = Objects(
            np.concatenate([corner, corner + sides], axis=1).astype(np.float32),
            random.integers(0, classes, n),
            random.random(n) < ignored,
        )
        seen = np.flatnonzero(random.random(n) < 0.85)
        seen = np.concatenate([seen, seen[random.random(len(seen)) < 0.3]])
        near = truth.xyxy[seen] + random.normal(0, 0.06, (len(seen), 4)) * np.tile(sides[seen], 2)
        lost = random.uniform(0, 300, (4, 2))
        boxes = np.concatenate([near, np.concatenate([lost, lost + random.uniform(5, 90, (4, 2))], axis=1)])
        class_id = np.concatenate([truth.class_id[seen], random.integers(0, classes, 4)])
        wrong = random.random(len(class_id)) < 0.1
        class_id[wrong] = random.integers(0, classes, int(wrong.sum()))
        score = random.random(len(boxes)).astype(np.float32)
        best_first = np.argsort(-score)
        found = Detections(
            boxes.astype(np.float32)[best_first], score[best_first], class_id[best_first].astype(np.int32)
        )
        answers.append(Answer(f"{number}.png", (400, 400), truth, found))
    return answers


def by_pycocotools(answers, classes):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = json.loads(json.dumps(coco_truth(answers, classes)))
        truth.createIndex()
        scored = COCOeval(truth, truth.loadRes(coco_found(answers)), "bbox")
        scored.evaluate()
        scored.accumulate()
        scored.summarize()
    return scored


# ---- COCO


@pytest.mark.parametrize("seed", range(4))
def test_coco_scores_are_those_of_pycocotools(seed):
    answers = invented_answers(seed)
    theirs = by_pycocotools(answers, THREE)
    ours = coco_scores(answers, THREE)
    got = [ours.map50_95, ours.map50, ours.map75, *ours.by_size.values()]
    assert pytest.approx(list(theirs.stats[:6]), abs=1e-12) == got
    per_class = theirs.eval["precision"][:, :, :, 0, 2]
    assert pytest.approx(per_class.mean(axis=(0, 1)), abs=1e-12) == np.array(ours.ap50_95)
    assert pytest.approx(per_class[0].mean(axis=0), abs=1e-12) == np.array(ours.ap50)


@pytest.mark.parametrize("seed", range(4))
def test_our_own_matching_counts_what_coco_counts(seed):
    scores = score_answers(invented_answers(seed), "invented", THREE)
    assert pytest.approx([one.ap50 for one in scores.per_class], abs=1e-9) == [
        hundred_point_ap(one) for one in scores.curves[:-1]
    ]


def test_a_class_without_objects_is_left_out_of_every_mean():
    scores = score_answers([answer(objects((0, 10, 10, 60, 60)), detections((0.9, 0, 10, 10, 60, 60)))], "one", THREE)
    assert (1.0, 1.0, 1.0, 1.0) == (scores.map50_95, scores.map50, scores.voc_11_point, scores.voc_area)
    assert all(math.isnan(one.ap50) for one in scores.per_class[1:])


def test_nothing_found_at_all_is_zero_and_not_an_error():
    scores = score_answers([answer(objects((0, 10, 10, 60, 60)), detections())], "blind", THREE)
    assert (0.0, 0.0, 0.0) == (scores.map50, scores.voc_area, scores.best.f1)
    assert 1 == scores.confusion[0, 3]


def test_pictures_without_any_object_have_no_map():
    scores = score_answers([answer(objects(), detections((0.9, 0, 10, 10, 60, 60)))], "empty", THREE)
    assert math.isnan(scores.map50)
    assert scores.as_json()["map50"] is None
    assert 1 == scores.confusion[3, 0]


# ---- curves and VOC, counted by hand


def test_averages_of_three_hits_in_five_by_hand():
    points = curve("a", np.array([0.9, 0.8, 0.7, 0.6, 0.5], np.float32), np.array([1, 0, 1, 0, 1], bool), 4)
    assert pytest.approx([1, 1 / 2, 2 / 3, 1 / 2, 3 / 5]) == points.precision.tolist()
    assert pytest.approx(1 / 4 * (1 + 2 / 3 + 3 / 5)) == area_ap(points)
    # recall 0, .1, .2 at precision 1; .3, .4, .5 at 2/3; .6, .7 at 3/5; beyond .75 none
    assert pytest.approx((3 * 1 + 3 * 2 / 3 + 2 * 3 / 5) / 11) == eleven_point_ap(points)


def test_a_voc_detection_claims_the_object_it_overlaps_most_even_if_that_is_taken():
    truth = objects((0, 0, 0, 100, 100), (0, 0, 40, 100, 140))
    found = detections((0.9, 0, 0, 0, 100, 100), (0.8, 0, 0, 5, 100, 105))
    voc = voc_curve([answer(truth, found)], 0, "a")
    assert [1.0, 0.5] == voc.precision.tolist()
    assert [0.5, 0.5] == voc.recall.tolist()


def test_a_difficult_object_neither_counts_nor_makes_a_detection_wrong():
    truth = objects((0, 0, 0, 100, 100), (0, 200, 200, 300, 300), ignored=[1])
    found = detections((0.9, 0, 200, 200, 300, 300), (0.8, 0, 0, 0, 100, 100), (0.7, 0, 200, 200, 300, 290))
    scores = score_answers([answer(truth, found)], "difficult", ("a",))
    assert (1.0, 1.0, 1.0) == (scores.map50_95, scores.voc_11_point, scores.voc_area)
    assert (1, 1) == (scores.objects, scores.ignored)
    assert [[1, 0], [0, 0]] == scores.confusion.tolist()


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=30), st.integers(0, 5))
def test_the_area_is_the_sum_over_every_step_of_recall(rows, missed):
    score = np.array([row[0] / 20 for row in rows], np.float32)
    hit = np.array([row[1] for row in rows], bool)
    positives = int(hit.sum()) + missed
    points = curve("a", score, hit, positives)
    if not positives:
        assert math.isnan(area_ap(points))
        return
    ranked = hit[np.argsort(-score, kind="stable")]
    precise = [ranked[: i + 1].sum() / (i + 1) for i in range(len(ranked))]
    expected = sum(max(precise[i:]) for i in range(len(ranked)) if ranked[i]) / positives
    assert pytest.approx(expected) == area_ap(points)


def test_the_best_threshold_lies_between_the_last_good_score_and_the_next():
    points = curve("a", np.array([0.9, 0.8, 0.3, 0.2], np.float32), np.array([1, 1, 0, 0], bool), 2)
    best = best_threshold(points)
    assert pytest.approx(0.55) == best.score
    assert (1.0, 1.0, 1.0) == (best.precision, best.recall, best.f1)


def test_a_threshold_never_parts_detections_of_one_score():
    points = curve("a", np.array([0.5, 0.5, 0.5], np.float32), np.array([1, 0, 0], bool), 1)
    best = best_threshold(points)
    assert pytest.approx((0.25, 1 / 3)) == (best.score, best.precision)


# ---- matching and confusion


def test_a_better_detection_chooses_first_and_a_second_one_is_false():
    found = detections((0.9, 0, 0, 0, 100, 90), (0.8, 0, 0, 0, 100, 100), (0.7, 1, 0, 0, 100, 100))
    assert [0, FALSE, FALSE] == match(found, objects((0, 0, 0, 100, 100))).row.tolist()


def test_any_number_of_detections_is_free_on_a_crowd():
    found = detections((0.9, 0, 0, 0, 20, 20), (0.8, 0, 30, 30, 50, 50), (0.7, 0, 95, 95, 130, 130))
    assert [FREE, FREE, FALSE] == match(found, objects((0, 0, 0, 100, 100), ignored=[0])).row.tolist()


def test_confusion_tells_missed_invented_and_taken_for_another():
    truth = objects((0, 0, 0, 50, 50), (1, 100, 100, 150, 150), (2, 200, 200, 250, 250))
    found = detections(
        (0.9, 0, 0, 0, 50, 50), (0.8, 0, 100, 100, 150, 152), (0.7, 1, 300, 300, 350, 350), (0.1, 2, 200, 200, 250, 250)
    )
    answers = [answer(truth, found)]
    got = confusion_matrix(answers, [match(found, truth)], 3, 0.5)
    assert [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0]] == got.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_every_object_and_every_counted_detection_stands_once_in_the_confusion_matrix(seed):
    answers = invented_answers(seed)
    scores = score_answers(answers, "invented", THREE, score=0.3)
    assert [one.objects for one in scores.per_class] == scores.confusion[:3].sum(axis=1).tolist()
    seen = [match(one.found, one.truth).above(0.3) for one in answers]
    assert sum(int(one.counted.sum()) for one in seen) == scores.confusion[:, :3].sum()
    assert sum(one.hits for one in scores.per_picture) == np.trace(scores.confusion[:3, :3])


def test_voc_and_coco_agree_where_no_object_overlaps_another():
    data = RenderedSet(6, seed=3)
    wobbly = [
        Answer(
            e.key,
            e.size,
            e.objects,
            Detections(
                e.objects.xyxy + 1,
                np.linspace(0.9, 0.5, len(e.objects)).astype(np.float32),
                e.objects.class_id.astype(np.int32),
            ),
        )
        for e in data.entries
    ]
    assert pytest.approx([1.0, 1.0]) == list(voc_scores(wobbly, CLASSES).area)
    assert pytest.approx(1.0) == coco_scores(wobbly, CLASSES).map50


# ---- from pictures to scores


def all_knowing(data, names=CLASSES, order=(0, 1)):
    """A detector that looks the truth up by the picture itself."""
    known = {data.read(i).rgb.tobytes(): data.read(i).objects for i in range(len(data.entries))}

    def find(rgb):
        truth = known[rgb.tobytes()]
        class_id = np.array(order, np.int32)[truth.class_id]
        return Detections(truth.xyxy, np.linspace(1, 0.5, len(truth)).astype(np.float32), class_id, names)

    return find


def test_a_detector_that_knows_the_truth_scores_one_everywhere():
    data = RenderedSet(5)
    told = []
    scores = score_detections(all_knowing(data), data, progress=lambda done, total: told.append((done, total)))
    assert [1.0] * 5 == [scores.map50_95, scores.map50, scores.voc_11_point, scores.voc_area, scores.best.f1]
    assert [(i, 5) for i in range(1, 6)] == told
    assert [1.0] * 5 == [one.quality for one in scores.per_picture]


def test_classes_are_matched_by_name_and_strange_ones_left_out():
    data = RenderedSet(4)
    swapped = all_knowing(data, names=("tree", "square", "disc"), order=(2, 1))
    assert 1.0 == score_detections(swapped, data).map50_95


def test_a_detector_that_does_not_know_a_class_is_refused():
    data = RenderedSet(2)
    with pytest.raises(ConfigError, match="'square'"):
        ask(all_knowing(data, names=("disc", "ball")), data)


def test_worst_pictures_come_worst_first():
    data = RenderedSet(4, seed=2)
    clever = all_knowing(data)
    blind_for = data.read(2).rgb.tobytes()
    scores = score_detections(lambda rgb: Detections.empty() if rgb.tobytes() == blind_for else clever(rgb), data)
    assert "002.png" == scores.worst(1)[0].key
    assert "002.png" == scores.finest(4)[-1].key
    assert 0.0 == scores.worst(1)[0].quality


def test_plots_are_pictures(tmp_path):
    data = RenderedSet(3)
    scores = score_detections(all_knowing(data), data)
    for path in draw_all(scores, data, tmp_path / "plots"):
        assert path.read_bytes().startswith(b"\xff\xd8" if path.suffix == ".jpg" else b"\x89PNG")


def test_a_sheet_of_pictures_is_small_enough_to_send(tmp_path):
    data = RenderedSet(12)
    scores = score_detections(all_knowing(data), data)
    sizes = {path.name: path.stat().st_size for path in draw_all(scores, data, tmp_path)}
    assert max(sizes["worst.jpg"], sizes["best.jpg"]) < 600_000


def test_splits_are_joined_and_chosen_from_on_the_command_line(tmp_path):
    for number, split in enumerate(("train", "valid")):
        images = [
            {"id": i, "file_name": f"{split}{i}.png", "width": 64, "height": 48, "source_clip": f"clip{i}"}
            for i in range(3)
        ]
        boxes = [
            {"id": i, "image_id": i, "category_id": 1, "bbox": [8, 8, 20, 10], "area": 200, "iscrowd": 0}
            for i in range(3)
        ]
        content = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "plate"}]}
        (tmp_path / f"{split}.json").write_text(json.dumps(content))
        for image in images:
            pixels = np.random.default_rng(number).integers(0, 255, (48, 64, 3), np.uint8)
            cv2.imwrite(str(tmp_path / image["file_name"]), pixels)
    told = ["detections", "plate-detector", f"{tmp_path}:train+valid?include=clip0,clip2", "--json"]
    done = CliRunner().invoke(eval_app, [*told, "--out", str(tmp_path / "out")], catch_exceptions=False)
    figures = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert (4, 4, f"{tmp_path.name}/train+valid") == (figures["pictures"], figures["objects"], figures["data"])
    assert 0 == done.exit_code

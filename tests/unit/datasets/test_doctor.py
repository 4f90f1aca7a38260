"""Every check finds its fault, says nothing of a sound set, and training can go on without what is bad."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamdet.cli.verbs import app
from streamdet.datasets.catalogue import data_sets_below, open_data_set
from streamdet.datasets.doctor.examine import CHECKS, Chosen, examine, usable
from streamdet.datasets.doctor.page import as_html
from streamdet.datasets.doctor.report import Case, Check, Report
from streamdet.datasets.doctor.snapshot import Snapshot
from streamdet.datasets.samples import DataSet, Entry, Listed, Objects, Remark
from streamdet.errors import DataError
from tests.made_data_sets import drawn

Sets = dict[str, Listed]
SIZE = (160, 120)


def textured(path: Path, seed: int, size: tuple[int, int] = SIZE) -> None:
    """A picture like no other."""
    noise = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    cv2.imwrite(str(path), cv2.resize(noise, size, interpolation=cv2.INTER_LINEAR))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(70):
        textured(folder / f"{number:02}.jpg", number)
    return folder


def objects(*rows: tuple[float, float, float, float], classes: tuple[int, ...] | None = None) -> Objects:
    class_id = np.array(classes or [row % 2 for row in range(len(rows))], np.int64)
    return Objects(np.array(rows, np.float32).reshape(-1, 4), class_id, np.zeros(len(rows), np.bool_))


SOUND = objects((10, 10, 60, 60), (70, 20, 140, 100))


@pytest.fixture
def sets(pictures: Path) -> Sets:
    """Sixty pictures to learn from, ten to measure with, and nothing wrong."""

    def listed(role: str, numbers: range) -> Listed:
        entries = tuple(
            Entry(f"{number:02}.jpg", pictures / f"{number:02}.jpg", SIZE, SOUND, f"{role}_clip") for number in numbers
        )
        return Listed(f"made/{role}", ("cat", "dog"), entries, "coco")

    return {"train": listed("train", range(60)), "val": listed("val", range(60, 70))}


def with_objects(sets: Sets, given: Objects, role: str = "train", at: int = 3) -> Sets:
    return with_entry(sets, replace(sets[role].entries[at], objects=given), role, at)


def with_entry(sets: Sets, entry: Entry, role: str = "train", at: int = 3) -> Sets:
    entries = list(sets[role].entries)
    entries[at] = entry
    return sets | {role: replace(sets[role], entries=tuple(entries))}


def with_all(sets: Sets, change: Callable[[Objects], Objects], *roles: str) -> Sets:
    changed = {
        role: replace(sets[role], entries=tuple(replace(e, objects=change(e.objects)) for e in sets[role].entries))
        for role in roles
    }
    return sets | changed


def with_picture(sets: Sets, path: Path, size: tuple[int, int] = SIZE, given: Objects = SOUND) -> Sets:
    return with_entry(sets, Entry(path.name, path, size, given))


def with_remark(kind: str) -> Callable[[Sets, Path], Sets]:
    def change(sets: Sets, _: Path) -> Sets:
        remark = Remark(kind, "labels.json", "something", "03.jpg")  # type: ignore[arg-type]
        return sets | {"train": replace(sets["train"], remarks=(remark,))}

    return change


def written(name: str, pixels: np.ndarray, **changed: object) -> Callable[[Sets, Path], Sets]:
    def change(sets: Sets, folder: Path) -> Sets:
        cv2.imwrite(str(folder / name), pixels)
        return with_picture(sets, folder / name, **changed)  # type: ignore[arg-type]

    return change


def truncated(sets: Sets, folder: Path) -> Sets:
    content = sets["train"].entries[3].path.read_bytes()
    (folder / "half.jpg").write_bytes(content[:-40])
    return with_picture(sets, folder / "half.jpg")


def unreadable(sets: Sets, folder: Path) -> Sets:
    (folder / "broken.jpg").write_bytes(b"<html>404</html>")
    return with_picture(sets, folder / "broken.jpg")


def turned(sets: Sets, folder: Path) -> Sets:
    content = sets["train"].entries[3].path.read_bytes()
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x03\0\0\0\0\0\0"
    block = b"Exif\0\0" + tiff
    (folder / "turned.jpg").write_bytes(
        content[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + content[2:]
    )
    return with_picture(sets, folder / "turned.jpg")


def same(role: str) -> Callable[[Sets, Path], Sets]:
    def change(sets: Sets, folder: Path) -> Sets:
        copy = folder / "copy.jpg"
        copy.write_bytes(sets["train"].entries[0].path.read_bytes())
        return with_entry(sets, Entry("copy.jpg", copy, SIZE, SOUND), role)

    return change


def similar(role: str) -> Callable[[Sets, Path], Sets]:
    def change(sets: Sets, folder: Path) -> Sets:
        pixels = cv2.imread(str(sets["train"].entries[0].path))
        cv2.imwrite(str(folder / "again.jpg"), cv2.convertScaleAbs(pixels, alpha=0.9, beta=6))
        return with_entry(sets, Entry("again.jpg", folder / "again.jpg", SIZE, SOUND), role)

    return change


def one_based(labelling: str, low: float) -> Callable[[Sets, Path], Sets]:
    def change(sets: Sets, _: Path) -> Sets:
        changed = with_all(sets, lambda _: objects((low, 10, 60, 60), (70, 20, 160, 120)), "train")
        return changed | {"train": replace(changed["train"], labelling=labelling)}  # type: ignore[arg-type]

    return change


def shared_labels(sets: Sets, folder: Path) -> Sets:
    entries = tuple(replace(entry, labels=folder / f"{at // 2}.txt") for at, entry in enumerate(sets["train"].entries))
    return sets | {"train": replace(sets["train"], entries=entries, labelling="yolo")}


def renamed(*names: str) -> Callable[[Sets, Path], Sets]:
    return lambda sets, _: {role: replace(each, classes=names) for role, each in sets.items()}


def boxed(*rows: tuple[float, float, float, float], classes: tuple[int, ...] | None = None) -> Callable[..., Sets]:
    return lambda sets, _: with_objects(sets, objects(*rows, classes=classes))


def classes_of(train: tuple[int, int], val: tuple[int, int]) -> Callable[[Sets, Path], Sets]:
    def change(sets: Sets, _: Path) -> Sets:
        changed = with_all(sets, lambda given: replace(given, class_id=np.array(train)), "train")
        return with_all(changed, lambda given: replace(given, class_id=np.array(val)), "val")

    return change


def rare(pictures: int) -> Callable[[Sets, Path], Sets]:
    def change(sets: Sets, _: Path) -> Sets:
        entries = [
            replace(entry, objects=replace(SOUND, class_id=np.array([0, 1 if at < pictures else 0])))
            for at, entry in enumerate(sets["train"].entries)
        ]
        return sets | {"train": replace(sets["train"], entries=tuple(entries))}

    return change


def colliding(sets: Sets, folder: Path) -> Sets:
    textured(folder / "cat.jpg", 800)
    textured(folder / "Cat.jpg", 801)
    sets = with_entry(sets, Entry("cat.jpg", folder / "cat.jpg", SIZE, SOUND), at=3)
    return with_entry(sets, Entry("Cat.jpg", folder / "Cat.jpg", SIZE, SOUND), at=4)


def tiny_picture(sets: Sets, folder: Path) -> Sets:
    textured(folder / "tiny.jpg", 900, (40, 30))
    return with_picture(sets, folder / "tiny.jpg", (40, 30), objects((5, 5, 25, 25)))


NOISE = np.random.default_rng(5).integers(0, 256, (120, 160, 4), np.uint8)
NAN = float("nan")
POINTS = replace(SOUND, keypoints=np.array([[[30, 30, 1]], [[5, 5, 1]]], np.float32))
OUTLINED = replace(
    SOUND, polygons=((np.array([(10, 10), (20, 10), (20, 20)], np.float32),), (np.zeros((0, 2), np.float32),)[:0])
)

FAULTS: dict[str, Callable[[Sets, Path], Sets]] = {
    "picture_missing": lambda sets, folder: with_picture(sets, folder / "gone.jpg"),
    "picture_unreadable": unreadable,
    "picture_truncated": truncated,
    "picture_flat": written("black.png", np.zeros((120, 160, 3), np.uint8)),
    "picture_flat_bare": written("grey.png", np.full((120, 160, 3), 90, np.uint8), given=Objects.empty()),
    "picture_faint": written("fog.png", 120 + NOISE[..., :3] // 20),
    "size_differs": lambda sets, _: with_picture(sets, sets["train"].entries[3].path, (320, 240)),
    "exif_rotation": turned,
    "grey": written("grey.jpg", NOISE[..., 0]),
    "alpha": written("alpha.png", NOISE),
    "deep": written("deep.png", NOISE[..., :3].astype(np.uint16) * 256),
    "small": tiny_picture,
    "bare": lambda sets, _: with_objects(sets, Objects.empty()),
    "box_not_finite": boxed((10, 10, NAN, 60)),
    "box_inverted": boxed((60, 10, 10, 60)),
    "box_no_area": boxed((60, 10, 60, 50)),
    "box_outside": boxed((170, 10, 190, 50)),
    "box_beyond_edge": boxed((100, 10, 190, 50)),
    "counted_from_one": one_based("voc", 0),
    "looks_one_based": one_based("coco", 1),
    "voc_from_zero": one_based("voc", -1),
    "doubled": boxed((10, 10, 60, 60), (12, 10, 62, 60), classes=(1, 1)),
    "two_classes": boxed((10, 10, 60, 60), (11, 10, 61, 60), classes=(0, 1)),
    "tiny": boxed((10, 10, 12, 60)),
    "giant": boxed((0, 0, 160, 119)),
    "long": boxed((0, 10, 150, 16)),
    "class_unknown": boxed((10, 10, 60, 60), classes=(-1,)),
    "points_astray": lambda sets, _: with_objects(sets, POINTS),
    "outline_differs": lambda sets, _: with_objects(sets, OUTLINED),
    "crowded": boxed(*[(x, y, x + 5, y + 5) for x in range(2, 150, 6) for y in range(2, 110, 6)]),
    "nothing_there": lambda sets, _: sets | {"val": replace(sets["val"], entries=())},
    "same_picture": same("train"),
    "same_across": same("val"),
    "similar_picture": similar("train"),
    "similar_across": similar("val"),
    "shared_groups": lambda sets, _: with_entry(sets, replace(sets["val"].entries[3], group="train_clip"), "val"),
    "classes_differ": lambda sets, _: sets | {"val": replace(sets["val"], classes=("dog", "cat"))},
    "class_not_learnt": classes_of((0, 0), (0, 1)),
    "class_not_measured": classes_of((0, 1), (0, 0)),
    "class_empty": renamed("cat", "dog", "horse"),
    "class_few": rare(7),
    "imbalance": rare(7),
    "few_pictures": lambda sets, _: sets | {"train": replace(sets["train"], entries=sets["train"].entries[:9])},
    "class_names": renamed("cat", "Cat "),
    "case_collision": colliding,
    "shared_labels": shared_labels,
    "labels_orphan": with_remark("orphan_labels"),
    "picture_orphan": with_remark("orphan_picture"),
    "class_fractional": with_remark("fractional_class"),
    "duplicate_id": with_remark("duplicate_id"),
    "other_name": with_remark("other_name"),
    "absolute_path": with_remark("absolute_path"),
    "out_of_order": with_remark("out_of_order"),
    "left_out": with_remark("left_out"),
}


def found(report: Report) -> set[str]:
    return {finding.check for finding in report.findings}


def test_a_sound_set_has_no_findings(sets: Sets) -> None:
    report = examine(sets, size=SIZE)
    assert set() == found(report)
    report.refuse()


def test_every_check_has_a_fault_to_find() -> None:
    assert {check.name for check in CHECKS} == set(FAULTS)
    assert len(CHECKS) == len(FAULTS)


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found(name: str, sets: Sets, tmp_path: Path) -> None:
    report = examine(FAULTS[name](sets, tmp_path), size=SIZE)
    assert name in found(report)
    assert not [each for each in report.findings if "crashed" in each.title]


@pytest.mark.parametrize("name", [check.name for check in CHECKS if check.level == "error"])
def test_what_is_bad_can_be_left_out(name: str, sets: Sets, tmp_path: Path) -> None:
    faulty = FAULTS[name](sets, tmp_path)
    report = examine(faulty, size=SIZE)
    with pytest.raises(DataError, match="has errors") as refused:
        report.refuse()
    assert "--skip-bad" in str(refused.value)
    rest, skipped = {}, []
    for role, data_set in faulty.items():
        rest[role], left_out = usable(data_set, report)
        skipped.extend(left_out)
    if report.lasting_errors:
        with pytest.raises(DataError):
            report.refuse(skip_bad=True)
    else:
        report.refuse(skip_bad=True)
        assert skipped
        assert () == examine(rest, size=SIZE).errors


def test_leaving_out_an_object_keeps_the_others(sets: Sets) -> None:
    faulty = with_objects(sets, objects((10, 10, 60, 60), (60, 10, 60, 50), (70, 20, 140, 100)))
    report = examine(faulty, size=SIZE)
    rest, skipped = usable(faulty["train"], report)
    assert isinstance(rest, Chosen)
    assert [("03.jpg", 1)] == [(case.key, case.row) for case in skipped]
    assert [[10, 10, 60, 60], [70, 20, 140, 100]] == rest.read(3).objects.xyxy.tolist()
    assert 60 == len(rest.entries)
    untouched, nothing = usable(faulty["val"], report)
    assert untouched is faulty["val"]
    assert () == nothing


def test_leaving_out_a_picture_keeps_the_right_pixels(sets: Sets, tmp_path: Path) -> None:
    faulty = unreadable(sets, tmp_path)
    rest, _ = usable(faulty["train"], examine(faulty, size=SIZE))
    assert 59 == len(rest.entries)
    assert np.array_equal(faulty["train"].read(4).rgb, rest.read(3).rgb)


def test_a_check_that_crashes_is_an_error_and_hides_nothing(sets: Sets) -> None:
    def crash(_: Snapshot) -> list[Case]:
        raise ZeroDivisionError("on purpose")

    broken = Check("broken", "info", "", "", "", crash)
    report = examine(with_objects(sets, objects((60, 10, 60, 50))), size=SIZE, checks=[broken, *CHECKS])
    assert {"broken", "box_no_area"} <= {each.check for each in report.errors}
    assert "on purpose" in report.errors[0].cases[0].note
    with pytest.raises(DataError, match="broken crashed"):
        report.refuse(skip_bad=True)


def test_pictures_in_memory_can_be_examined() -> None:
    assert "few_pictures" in found(examine([drawn()], size=(96, 72)))
    assert () == examine([drawn()], size=(96, 72)).errors


def test_progress_is_told(sets: Sets) -> None:
    seen: list[tuple[int, int]] = []
    examine(sets, size=SIZE, progress=lambda done, total: seen.append((done, total)))
    assert [(at, 70) for at in range(1, 71)] == seen


def test_the_page_needs_nothing_else_and_shows_the_pictures(sets: Sets, tmp_path: Path) -> None:
    faulty = with_objects(sets, objects((10, 10, 60, 60), (12, 10, 62, 60), classes=(1, 1)))
    faulty = {"train": replace(faulty["train"], classes=("cat", "<b>dog</b>")), "val": faulty["val"]}
    page = as_html([examine(similar("val")(faulty, tmp_path), size=SIZE)])
    assert "objects labelled twice" in page
    assert page.count("data:image/jpeg;base64,") >= 2
    assert "http" not in page
    assert "<b>dog" not in page


def run(*words: str) -> tuple[int, str]:
    from typer.testing import CliRunner

    outcome = CliRunner().invoke(app(), ["data", *words])
    if outcome.exception is not None and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    return outcome.exit_code, outcome.stdout


def coco_folder(folder: Path, box: tuple[float, ...]) -> Path:
    for split, first in (("train", 0), ("val", 60)):
        images, annotations = [], []
        for number in range(first, first + (60 if split == "train" else 10)):
            (folder / "images").mkdir(parents=True, exist_ok=True)
            textured(folder / "images" / f"{number}.jpg", number)
            images.append({"id": number, "file_name": f"{number}.jpg", "width": 160, "height": 120})
            annotations.append({"id": number, "image_id": number, "category_id": 1, "bbox": box})
        whole = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}
        (folder / f"{split}.json").write_text(json.dumps(whole))
    return folder


def test_the_verb_ends_with_1_on_errors_and_0_without(tmp_path: Path) -> None:
    code, text = run("doctor", str(coco_folder(tmp_path / "good", (10, 10, 50, 50))), "--size", "160")
    assert 0 == code
    assert "fit for training" in text
    code, text = run("doctor", str(coco_folder(tmp_path / "bad", (10, 10, 0, 50))), "--html", str(tmp_path / "x.html"))
    assert 1 == code
    assert "boxes without area: 70" in text
    assert "boxes without area" in (tmp_path / "x.html").read_text()


def test_the_verb_speaks_json(tmp_path: Path) -> None:
    code, text = run("doctor", str(coco_folder(tmp_path, (10, 10, 0, 50))), "--json")
    (report,) = json.loads(text)["reports"]
    assert 1 == code
    (finding,) = [each for each in report["findings"] if each["level"] == "error"]
    assert ("box_no_area", 70) == (finding["check"], finding["count"])
    assert [10, 10, 10, 60] == finding["cases"][0]["xyxy"]


def test_sheets_show_plain_and_augmented_pictures(tmp_path: Path) -> None:
    folder = coco_folder(tmp_path / "set", (10, 10, 50, 50))
    for extra in ([], ["--augmented", "--size", "160"]):
        out = tmp_path / f"sheets{len(extra)}"
        assert 0 == run("show", f"{folder}:train", "--out", str(out), "--count", "15", *extra)[0]
        assert ["sheet_001.jpg", "sheet_002.jpg"] == sorted(path.name for path in out.iterdir())


@pytest.fixture(scope="module")
def real(shared_data: Path) -> dict[str, Report]:
    reports = {}
    for specs in data_sets_below(str(shared_data)):
        data_sets: list[DataSet] = [open_data_set(spec) for spec in specs]
        reports[data_sets[0].name.partition("/")[0]] = examine(data_sets, size=(320, 320))
    return reports


def keys(report: Report, check: str) -> set[str]:
    return {case.key or "" for finding in report.findings if finding.check == check for case in finding.cases}


def test_the_black_pictures_and_the_leakage_of_the_plates_are_found(real: dict[str, Report]) -> None:
    report = real["plates_ro"]
    assert {"train_0108.jpg", "train_0168.jpg"} == keys(report, "picture_flat")
    assert 4 == next(each for each in report.findings if each.check == "shared_groups").count
    assert len(keys(report, "similar_across")) >= 10
    assert ["picture_flat"] == [each.check for each in report.errors]


def test_the_faults_of_the_blood_cells_are_found(real: dict[str, Report]) -> None:
    report = real["bccd"]
    assert {"BloodImage_00338", "BloodImage_00343"} == keys(report, "box_no_area")
    doubled = ("00013", "00020", "00100", "00104", "00251", "00284", "00331", "00403")
    assert {f"BloodImage_{number}" for number in doubled} == keys(report, "doubled")
    assert 3 == next(each for each in report.findings if each.check == "counted_from_one").count
    assert ["box_no_area"] == [each.check for each in report.errors]
    rest = [usable(data_set, report)[0] for data_set in report.data_sets]
    assert 4886 == sum(len(entry.objects) for data_set in rest for entry in data_set.entries)

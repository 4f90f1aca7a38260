"""What every backend promises, asked of each one that runs here, with the tail as a kernel and in the graph."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_engines import BOX_STEP_PX, parrot, scene

from streamdet.boxes import greedy_nms
from streamdet.errors import InferenceFailed
from streamdet.infer.backends import CATALOGUE, available, open_backend
from streamdet.infer.contract import Backend
from streamdet.manifest import Nms

HERE = [found.name for found in available() if found.usable]
N = 64
CLASSES = 3
NMS = Nms(candidates=32, max_detections=16)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return parrot(
        tmp_path_factory.mktemp("shelf") / "parrot", n_classes=CLASSES, n_candidates=N, n_keypoints=2, nms=NMS
    )


@pytest.fixture(scope="module", params=[(name, tail) for name in HERE for tail in ("kernel", "graph")], ids="-".join)
def backend(request: pytest.FixtureRequest, engine: Path) -> Iterator[Backend]:
    name, tail = request.param
    if tail == "kernel" and not name.startswith(("onnx-cpu", "openvino")):
        pytest.skip("on a GPU the tail stays in the graph")
    opened = open_backend(engine, name, tail=tail)
    yield opened
    opened.close()


def picture(boxes: list[list[int]], scores: list[list[int]]) -> np.ndarray:
    return scene(np.array(boxes, np.uint8).reshape(-1, 4), np.array(scores, np.uint8).reshape(-1, CLASSES), N, 6)


def random_picture(random: np.random.Generator) -> np.ndarray:
    """A crowd with ties: few levels for scores, boxes on a grid."""
    n = int(random.integers(0, N + 1))
    low = random.integers(0, 12, (n, 2))
    boxes = np.concatenate([low, low + random.integers(1, 6, (n, 2))], axis=1).astype(np.uint8)
    scores = (random.integers(0, 13, (n, CLASSES)) * 20).astype(np.uint8)
    made = scene(boxes, scores, N, 6)
    made[0, :, 4 + CLASSES :] = random.integers(0, 256, (N, 6))
    return made


def run(backend: Backend, *pictures: np.ndarray) -> dict[str, np.ndarray]:
    session = backend.session()
    try:
        session.input(len(pictures))[:] = np.stack(pictures)
        return {meaning: np.array(array) for meaning, array in session.run(len(pictures)).items()}
    finally:
        session.close()


def test_every_backend_of_the_catalogue_that_runs_here_is_asked():
    assert set(HERE) <= set(CATALOGUE)
    assert "onnx-cpu" in HERE


def test_it_says_what_it_is(backend: Backend):
    assert backend.name in CATALOGUE
    assert backend.device in ("cpu", "cuda")
    assert "fp32" == backend.precision
    assert "parrot" == backend.manifest.name


def test_the_input_is_writable_uint8_and_the_same_memory_at_every_call(backend: Backend):
    session = backend.session()
    first, again = session.input(2), session.input(2)
    assert (2, 3, N, 4 + CLASSES + 6) == first.shape
    assert np.uint8 == first.dtype
    first[:] = 5
    assert (again == 5).all()
    assert first.ctypes.data == again.ctypes.data
    session.close()


def test_overlapping_boxes_of_one_class_become_one_and_the_best_stands_first(backend: Backend):
    boxes = [[10, 10, 20, 20], [11, 10, 21, 20], [10, 10, 20, 20], [40, 40, 50, 50]]
    scores = [[100, 0, 0], [200, 0, 0], [0, 90, 0], [0, 0, 255]]
    out = run(backend, picture(boxes, scores))
    assert 3 == out["count"][0]
    assert [2, 0, 1] == out["class_id"][0, :3].tolist()
    assert np.array_equal(np.array([boxes[3], boxes[1], boxes[2]]) * BOX_STEP_PX, out["xyxy"][0, :3])
    assert np.allclose([1.0, 200 / 255, 90 / 255], out["score"][0, :3], atol=1e-6)


def test_the_arrays_have_the_shapes_and_types_of_the_contract(backend: Backend):
    out = run(backend, picture([[1, 1, 5, 5]], [[9, 0, 0]]), picture([], []))
    d = backend.manifest.nms.max_detections
    shapes = {meaning: (array.dtype.name, array.shape) for meaning, array in out.items()}
    assert {
        "count": ("int32", (2,)),
        "xyxy": ("float32", (2, d, 4)),
        "score": ("float32", (2, d)),
        "class_id": ("int32", (2, d)),
        "keypoints": ("float32", (2, d, 2, 3)),
        "converged": ("bool", (2,)),
        "truncated": ("int32", (2,)),
    } == shapes


def test_rows_beyond_count_are_zero_also_after_a_fuller_picture(backend: Backend):
    full = picture([[4 * i, 0, 4 * i + 3, 3] for i in range(16)], [[200, 0, 0]] * 16)
    session = backend.session()
    session.input(1)[0] = full
    assert 16 == session.run(1)["count"][0]
    session.input(1)[0] = picture([], [])
    out = session.run(1)
    assert 0 == out["count"][0]
    assert all(not out[meaning].any() for meaning in ("xyxy", "score", "class_id", "keypoints"))
    session.close()


def test_random_crowds_with_ties_equal_plain_greedy_suppression_bit_for_bit(backend: Backend):
    random = np.random.default_rng(7)
    session = backend.session()
    for _ in range(40):
        made = random_picture(random)
        session.input(1)[0] = made
        out = session.run(1)
        boxes = made[0, :, :4].astype(np.float32) * np.float32(BOX_STEP_PX)
        scores = made[0, :, 4 : 4 + CLASSES].astype(np.float32) * np.float32(1 / 255)
        best, kind = scores.max(axis=1), scores.argmax(axis=1).astype(np.int32)
        above = int((best > np.float32(NMS.floor)).sum())
        order = np.argsort(-best, kind="stable")[: min(above, NMS.candidates)]
        rows = order[greedy_nms(boxes[order], best[order], kind[order], NMS.iou)][: NMS.max_detections]
        n = int(out["count"][0])
        assert out["converged"][0]
        assert len(rows) == n
        assert np.array_equal(boxes[rows], out["xyxy"][0, :n])
        assert np.array_equal(best[rows], out["score"][0, :n])
        assert np.array_equal(kind[rows], out["class_id"][0, :n])
        points = made[0, rows, 4 + CLASSES :].reshape(n, 2, 3)
        assert np.array_equal(points, out["keypoints"][0, :n])
        assert max(above - NMS.candidates, 0) == out["truncated"][0]
    session.close()


def test_a_picture_in_a_batch_gets_the_answer_that_it_gets_alone(backend: Backend):
    random = np.random.default_rng(11)
    pictures = [random_picture(random) for _ in range(4)]
    together = run(backend, *pictures)
    for i, alone in enumerate(run(backend, one) for one in pictures):
        assert all(np.array_equal(alone[meaning][0], together[meaning][i]) for meaning in together)


def test_batches_of_changing_size_do_not_disturb_each_other(backend: Backend):
    random = np.random.default_rng(12)
    session = backend.session()
    for n in (1, 4, 2, 3, 1, 4):
        pictures = [random_picture(random) for _ in range(n)]
        session.input(n)[:] = np.stack(pictures)
        got = {meaning: np.array(array) for meaning, array in session.run(n).items()}
        expected = run(backend, *pictures)
        assert all(np.array_equal(expected[meaning], got[meaning]) for meaning in expected)
    session.close()


def test_sessions_of_several_threads_do_not_disturb_each_other(backend: Backend):
    pictures = [random_picture(np.random.default_rng(seed)) for seed in range(3)]
    expected = [run(backend, one) for one in pictures]
    wrong: list[int] = []

    def work(i: int) -> None:
        session = backend.session()
        for _ in range(30):
            session.input(1)[0] = pictures[i]
            out = session.run(1)
            if any(not np.array_equal(expected[i][meaning], out[meaning]) for meaning in expected[i]):
                wrong.append(i)
        session.close()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == wrong


def test_a_session_may_have_threads_of_its_own(backend: Backend):
    session = backend.session(threads=2)
    session.input(1)[0] = picture([[1, 1, 5, 5]], [[0, 80, 0]])
    assert [1] == session.run(1)["count"].tolist()
    session.close()


def test_a_batch_that_does_not_fit_is_refused(backend: Backend):
    session = backend.session()
    for n in (0, 5):
        with pytest.raises(InferenceFailed, match="does not fit"):
            session.input(n)
    session.close()


def test_a_closed_session_says_so_and_may_be_closed_again(backend: Backend):
    session = backend.session()
    session.close()
    session.close()
    with pytest.raises(InferenceFailed, match="closed"):
        session.run(1)


def test_a_closed_backend_gives_no_session(engine: Path, backend: Backend):
    other = open_backend(engine, backend.name)
    session = other.session()
    other.close()
    other.close()
    session.input(1)[0] = picture([[1, 1, 5, 5]], [[0, 80, 0]])
    assert [1] == session.run(1)["count"].tolist()  # what is open lives on
    with pytest.raises(InferenceFailed, match="closed"):
        other.session()


@pytest.mark.parametrize("name", HERE)
def test_an_engine_of_a_fixed_batch_takes_fewer_pictures_too(name: str, tmp_path: Path):
    engine = parrot(tmp_path / "fixed", n_classes=CLASSES, n_candidates=N, n_keypoints=2, nms=NMS, batch=(3, 3))
    backend = open_backend(engine, name)
    random = np.random.default_rng(5)
    pictures = [random_picture(random) for _ in range(3)]
    whole = run(backend, *pictures)
    part = run(backend, *pictures[:2])
    assert [2] == [len(part["count"])]
    assert all(np.array_equal(whole[meaning][:2], part[meaning]) for meaning in whole)
    backend.close()

"""The compiled arithmetic against boxes.iou, SciPy and the textbook."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from streamdet import boxes
from streamdet.tracking import columns as c
from streamdet.tracking import kernels, twins

finite = st.floats(-2000, 4000, width=32)
side = st.floats(0.5, 1500, width=32)
box = st.tuples(finite, finite, side, side).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


@settings(deadline=None)
@given(box, box)
def test_the_overlap_of_two_boxes_is_that_of_the_box_module(a, b):
    expected = boxes.iou(np.array([a], np.float64), np.array([b], np.float64))[0, 0]
    assert expected == pytest.approx(kernels.iou(*a, *b), abs=1e-9)


@settings(deadline=None)
@given(box, box)
def test_the_height_modulated_overlap_is_that_of_the_twin(a, b):
    expected = twins.similarity(np.array([a], np.float64), np.array([b], np.float64), modulated=True)[0, 0]
    got = kernels.iou(*a, *b) * kernels.height_overlap(a[1], a[3], b[1], b[3])
    assert expected == pytest.approx(got, abs=1e-9)


def solve(cost, limit, work):
    """The kernel's answer for a whole cost matrix: pairs of row and column."""
    rows, cols = cost.shape
    near_rows, near_cols = np.nonzero(cost < limit)
    work.edge_col[: len(near_cols)] = near_cols
    work.edge_cost[: len(near_cols)] = cost[near_rows, near_cols] - limit
    work.slot[c.EDGE_START, : rows + 1] = np.searchsorted(near_rows, np.arange(rows + 1))
    kernels.assign(rows, cols, work)
    col_of_row = work.slot[c.SLOT_COL, :rows]
    taken = np.flatnonzero(col_of_row >= 0)
    assert all(row == work.row[c.COL_SLOT, col_of_row[row]] for row in taken)
    return taken, col_of_row[taken]


def least(cost, limit):
    """SciPy's answer on min(cost − limit, 0), without the pairs that cost nothing."""
    limited = np.minimum(cost - limit, 0)
    rows, cols = linear_sum_assignment(limited)
    worth = limited[rows, cols] < 0
    return rows[worth], cols[worth]


def test_assignment_is_that_of_scipy_over_ten_thousand_cases():
    rng = np.random.default_rng(7)
    work = c.make_scratch(64, 64, 64 * 64)
    for case in range(10_000):
        rows, cols = rng.integers(1, 25, 2) if case % 100 else rng.integers(1, 64, 2)
        cost = rng.uniform(0, 1, (rows, cols))
        limit = rng.choice([0.05, 0.3, 0.5, 0.9, 1.1])
        got, expected = solve(cost, limit, work), least(cost, limit)
        assert np.array_equal(expected[0], got[0])
        assert np.array_equal(expected[1], got[1])


def test_assignment_with_equal_costs_has_the_least_total():
    rng = np.random.default_rng(8)
    work = c.make_scratch(40, 40, 40 * 40)
    for _ in range(1_000):
        rows, cols = rng.integers(1, 30, 2)
        cost = rng.integers(0, 4, (rows, cols)) / 4.0
        expected = sum((cost[row, col] - 0.75) for row, col in zip(*least(cost, 0.75), strict=True))
        got = sum((cost[row, col] - 0.75) for row, col in zip(*solve(cost, 0.75, work), strict=True))
        assert expected == pytest.approx(got, abs=1e-9)


def test_assignment_of_a_few_rows_is_the_best_of_all():
    rng = np.random.default_rng(10)
    work = c.make_scratch(8, 8, 64)
    for _ in range(150):
        cost = rng.uniform(0, 1, rng.integers(1, 7, 2))
        limit = float(rng.uniform(0.2, 1.1))
        rows, cols = solve(cost, limit, work)
        assert twins.least_cost(cost, limit) == pytest.approx((cost[rows, cols] - limit).sum(), abs=1e-9)


def test_a_heap_of_boxes_that_all_overlap_is_assigned_in_bounded_time():
    cost = np.random.default_rng(9).uniform(0, 0.5, (400, 400))
    got = solve(cost, 0.9, c.make_scratch(400, 400, 400 * 400))
    expected = least(cost, 0.9)
    assert np.array_equal(expected[1], got[1])


def one_track(measured):
    real = np.zeros((c.REAL_ROWS, 1))
    x, y, width, height = measured
    kernels.begin_filter(real, 0, x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return real


def dense_blocks(real):
    """The four filters as one mean and one covariance."""
    covariance = np.zeros((8, 8))
    for axis in range(4):
        covariance[axis, axis] = real[c.PP + axis, 0]
        covariance[axis, axis + 4] = covariance[axis + 4, axis] = real[c.PV + axis, 0]
        covariance[axis + 4, axis + 4] = real[c.VV + axis, 0]
    return real[c.POSITION : c.POSITION + 8, 0], covariance


def test_the_four_small_filters_are_the_textbook_filter_of_eight_by_eight():
    rng = np.random.default_rng(3)
    measured = np.array([300.0, 200.0, 40.0, 90.0])
    real, dense = one_track(measured), twins.DenseFilter(measured)
    for _ in range(200):
        skipped = int(rng.integers(1, 5))
        for _ in range(skipped):
            dense.predict_one_frame()
        kernels.predict(real, 0, float(skipped))
        measured = measured + rng.normal(0, 2, 4)
        measured[2:] = np.maximum(measured[2:], 8)
        dense.correct(measured)
        x, y, width, height = measured
        kernels.correct(real, 0, x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        mean, covariance = dense_blocks(real)
        np.testing.assert_allclose(mean, dense.mean, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(covariance, dense.covariance, rtol=1e-9, atol=1e-9)


@settings(max_examples=300, deadline=None)
@given(st.floats(0, 90), st.floats(0, 90), st.integers(0, 2**32 - 1))
def test_predicting_over_two_times_together_is_predicting_over_one_then_the_other(first, second, seed):
    rng = np.random.default_rng(seed)
    together = one_track(rng.uniform(20, 400, 4))
    together[c.VELOCITY : c.VELOCITY + 4, 0] = rng.normal(0, 5, 4)
    apart = together.copy()
    kernels.predict(together, 0, first + second)
    kernels.predict(apart, 0, first)
    kernels.predict(apart, 0, second)
    np.testing.assert_allclose(together[: c.SCALE], apart[: c.SCALE], rtol=1e-9, atol=1e-7)


@settings(deadline=None)
@given(st.floats(0.1, 30), st.floats(-20, 20), st.floats(-20, 20))
def test_with_much_doubt_a_velocity_is_the_way_between_the_last_two_measurements(steps, across, down):
    real = one_track(np.array([300.0, 200.0, 40.0, 90.0]))
    kernels.predict(real, 0, steps)
    kernels.doubt(real, 0, steps, 1e3)
    x, y = 300 + steps * across, 200 + steps * down
    kernels.correct(real, 0, x - 20, y - 45, x + 20, y + 45)
    np.testing.assert_allclose(real[c.POSITION : c.POSITION + 2, 0], [x, y], atol=0.01)
    np.testing.assert_allclose(real[c.VELOCITY : c.VELOCITY + 2, 0], [across, down], atol=0.01)


@settings(deadline=None)
@given(st.floats(0.001, 60))
def test_no_elapsed_time_makes_the_filter_surer_than_it_may_be(steps):
    real = one_track(np.array([300.0, 200.0, 40.0, 90.0]))
    kernels.predict(real, 0, steps)
    for axis in range(4):
        pp, pv, vv = real[c.PP + axis, 0], real[c.PV + axis, 0], real[c.VV + axis, 0]
        assert pp > 0
        assert vv > 0
        assert pp * vv > pv * pv


@settings(deadline=None)
@given(st.floats(-0.2, 0.2), st.floats(0.8, 1.25), finite, finite)
def test_a_camera_that_moves_and_moves_back_leaves_the_track_where_it_was(angle, zoom, across, down):
    real = one_track(np.array([300.0, 200.0, 40.0, 90.0]))
    real[c.VELOCITY, 0] = 3.0
    before = real.copy()
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    there = np.hstack([turn, [[across], [down]]])
    back = np.hstack([np.linalg.inv(turn), -np.linalg.inv(turn) @ [[across], [down]]])
    kernels.move(real, 0, there)
    kernels.move(real, 0, np.ascontiguousarray(back))
    np.testing.assert_allclose(real[: c.PP], before[: c.PP], rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(real[c.BOX : c.BOX + 4], before[c.BOX : c.BOX + 4], rtol=1e-6, atol=1e-4)

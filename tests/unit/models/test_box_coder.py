"""Boxes as offsets: there and back, and what must not blow up."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from streamdet.models.box_coder import ANCHOR_SCALE, PROPOSAL_SCALE, decode, encode

torch.set_num_threads(1)

edges = st.floats(-500, 500, width=32)
sides = st.floats(1, 600, width=32)
boxes = st.tuples(edges, edges, sides, sides).map(lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]])


@given(boxes, boxes, st.sampled_from([ANCHOR_SCALE, PROPOSAL_SCALE]))
def test_what_is_encoded_decodes_to_itself(box: list[float], reference: list[float], scale: tuple[float, ...]):
    growth = max((box[i + 2] - box[i]) / (reference[i + 2] - reference[i]) for i in (0, 1))
    if growth > 60:
        return  # no network may say so
    wanted, origin = torch.tensor([box]), torch.tensor([reference])
    torch.testing.assert_close(wanted, decode(encode(wanted, origin, scale), origin, scale), atol=0.02, rtol=1e-4)


def test_offsets_by_hand():
    got = encode(torch.tensor([[10.0, 0.0, 30.0, 40.0]]), torch.tensor([[0.0, 0.0, 20.0, 20.0]]), PROPOSAL_SCALE)
    torch.testing.assert_close(torch.tensor([[0.5 / 0.1, 0.5 / 0.1, 0.0, 0.6931472 / 0.2]]), got)


def test_boxes_without_size_have_finite_offsets():
    empty = torch.zeros(1, 4)
    full = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    assert encode(empty, full).isfinite().all()
    assert encode(full, empty).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_whatever_the_network_says_the_box_is_finite_and_float32(dtype: torch.dtype):
    got = decode(torch.full((1, 4), 1e4, dtype=dtype), torch.tensor([[0.0, 0.0, 10.0, 10.0]]))
    assert got.isfinite().all()
    assert torch.float32 == got.dtype

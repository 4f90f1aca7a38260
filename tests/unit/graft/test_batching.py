"""Batches baked into a network are set free where that is proven right, and left alone elsewhere."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import toy_networks

from streamdet.graft.batching import free_batch
from streamdet.graft.probe import feeds
from streamdet.graft.raw import Runner, inputs_of


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_batch_in_reshapes_is_set_free(batch):
    model = toy_networks.yolox((96, 64), batch=batch)
    free = free_batch(model, (96, 64))
    assert free is not None
    assert inputs_of(free)[0].shape[0] is None
    pictures = np.random.default_rng(0).random((2 * batch, 3, 64, 96), np.float32)
    together = Runner(free, "free").run(feeds(free, pictures))["output"]
    own = Runner(model, "own")
    apart = [own.run(feeds(model, pictures[start : start + batch]))["output"] for start in (0, batch)]
    np.testing.assert_allclose(np.concatenate(apart), together, rtol=1e-4, atol=1e-5)


def test_the_network_itself_is_left_as_it_was():
    model = toy_networks.yolox(batch=1)
    before = model.SerializeToString()
    free_batch(model, (64, 64))
    assert before == model.SerializeToString()


def test_a_batch_that_sits_elsewhere_stays():
    assert free_batch(toy_networks.with_baked_batch(batch=2), (64, 64)) is None


def test_a_network_that_mixes_its_pictures_stays():
    toy = toy_networks.Toy(batch=2)
    x = toy.conv(toy.trunk(8), 8, 4)
    mixed = toy.op("Sub", x, toy.op("ReduceMean", x, axes=[0], keepdims=1))
    toy.op("Identity", mixed, name="features")
    assert free_batch(toy.model({"features": [2, 4, 8, 8]}), (64, 64)) is None


def test_a_number_of_rows_that_depends_on_the_picture_stays():
    assert free_batch(toy_networks.torchvision(), (64, 64)) is None


def test_a_free_network_stays_valid():
    free = free_batch(toy_networks.yolox(batch=1), (64, 64))
    onnx.checker.check_model(free, full_check=True)

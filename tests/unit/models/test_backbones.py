"""Backbones and the pyramid above them: shapes, and the plans of the paper."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from streamdet.models.backbone_choice import BackboneName, backbone
from streamdet.models.pyramid import FeaturePyramid
from streamdet.models.resnet import BasicBlock, Bottleneck, ResNet

torch.set_num_threads(1)


@pytest.mark.parametrize("name", get_args(BackboneName))
def test_every_backbone_gives_its_levels_at_their_strides(name: BackboneName):
    network = backbone(name).eval()
    with torch.no_grad():
        levels = network(torch.rand(1, 3, 64, 96))
    expected = {level: (1, channels, 64 // 2**level, 96 // 2**level) for level, channels in network.channels.items()}
    assert expected == {level: tuple(features.shape) for level, features in levels.items()}
    assert [2, 3, 4, 5] == list(levels)


# Millions of weights without the classifier, as published: 11.69, 21.80 and 25.56 with 1000 classes on top.
@pytest.mark.parametrize(
    ("name", "published", "classifier"),
    [("resnet18", 11_689_512, 513_000), ("resnet34", 21_797_672, 513_000), ("resnet50", 25_557_032, 2_049_000)],
)
def test_the_resnets_have_the_published_number_of_weights(name, published: int, classifier: int):
    assert published - classifier == sum(parameter.numel() for parameter in ResNet(name).parameters())


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_a_residual_block_begins_as_the_identity(block):
    network = ResNet("resnet18" if block is BasicBlock else "resnet50")
    second = network.stages[0][1].eval()
    assert isinstance(second, block)
    x = torch.rand(1, 64 if block is BasicBlock else 256, 8, 8)
    torch.testing.assert_close(x, second(x))


@pytest.mark.parametrize(("first", "last"), [(2, 5), (3, 5), (3, 6), (4, 7)])
def test_the_pyramid_goes_beyond_the_backbone(first: int, last: int):
    network = backbone("tiny").eval()
    neck = FeaturePyramid(network.channels, first, last, channels=12).eval()
    with torch.no_grad():
        levels = neck(network(torch.rand(2, 3, 96, 160)))
    expected = {level: (2, 12, -(-96 // 2**level), -(-160 // 2**level)) for level in range(first, last + 1)}
    assert expected == {level: tuple(features.shape) for level, features in levels.items()}


def test_every_level_of_the_pyramid_sees_the_coarsest():
    neck = FeaturePyramid({3: 4, 4: 4, 5: 4}, 3, 5, channels=4).eval()
    levels = {
        level: torch.rand(1, 4, 32 // 2**level * 8, 8 * 32 // 2**level, requires_grad=True) for level in (3, 4, 5)
    }
    (slope,) = torch.autograd.grad(neck(levels)[3].sum(), levels[5])
    assert (slope != 0).any()

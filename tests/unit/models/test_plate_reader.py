"""The plate reader: what it says, what a wrong answer costs, and that it can learn to read."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from streamdet.evaluation.plate_texts import edits
from streamdet.models import plate_reader as reader
from streamdet.models.plate_reader import PlateReader, PlateReaderOptions, ReaderTargets
from streamdet.scenes.alphabets import CHARACTERS
from streamdet.scenes.plate_crops import CropOptions, plate_crop
from streamdet.training.muon import Muon
from streamdet.training.optimiser import OptimiserOptions, build_optimiser
from streamdet.training.reader_crops import JudgedCrop, joined
from streamdet.training.reader_judge import read_crops

CLEAR = CropOptions(size=(128, 48), glyph_px=(30.0, 50.0), severity=0.1, negatives=0.0, upright_share=0.0)
STEPS = 260


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.mark.parametrize("encoder", ["tiny", "small", "resnet18"])
def test_maps_have_half_the_size_and_the_sequence_has_both_lines(encoder: str) -> None:
    network = PlateReader(36, PlateReaderOptions.model_validate({"encoder": encoder})).eval()
    with torch.no_grad():
        said = network(torch.rand(2, 1, 64, 192))
    assert (2, 37, 32, 96) == tuple(said.glyph.shape)
    assert (2, 32, 96) == tuple(said.core.shape) == tuple(said.line.shape)
    assert (2, 2 * 48, 37) == tuple(said.sequence.shape)
    assert all(each.dtype == torch.float32 for each in said)


def test_the_shipped_size_fits_three_megabytes() -> None:
    assert 4 * PlateReader(36).parameter_count() < 3e6 - 30e3, "the graph around the weights wants some, too"


def test_what_it_says_of_a_crop_does_not_depend_on_its_neighbours() -> None:
    network, crops = PlateReader.tiny().eval(), torch.rand(3, 1, 64, 192)
    with torch.no_grad():
        together, alone = network(crops), network(crops[1:2])
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one[1:2], other, atol=1e-5, rtol=1e-4)


def _inputs() -> dict[str, tuple[Tensor, ...]]:
    labels = torch.randint(0, 4, (2, 4, 5))
    logits = torch.randn(2, 4, 4, 5, dtype=torch.float64)
    plane = torch.randn(2, 4, 5, dtype=torch.float64)
    steps = torch.randn(2, 7, 4, dtype=torch.float64)
    return {
        "glyph_error": (logits, labels, torch.tensor(3.0)),
        "middle_error": (plane, (labels > 0).double(), labels),
        "line_error": (plane, labels),
        "dice_error": (plane.sigmoid(), (labels > 0).double()),
        "sequence_error": (steps, torch.tensor([[1, 2, 2], [3, 0, 0]])),
    }


@pytest.mark.parametrize("name", ["glyph_error", "middle_error", "line_error", "dice_error", "sequence_error"])
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    said, *wanted = _inputs()[name]
    error = getattr(reader, name)
    assert torch.autograd.gradcheck(lambda x: error(x, *wanted), said.requires_grad_(), eps=1e-6, atol=1e-4)


def test_a_right_answer_costs_nothing_and_a_wrong_one_much() -> None:
    labels = torch.tensor([[[0, 1], [2, 0]]])
    sure = 20.0 * torch.nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2).float()
    assert float(reader.glyph_error(sure, labels, 3.0)) < 1e-6
    assert float(reader.glyph_error(-sure, labels, 3.0)) > 5
    inked = (labels > 0).float()
    assert float(reader.middle_error(40 * inked - 20, inked, labels)) < 1e-6
    assert 0 == float(reader.dice_error(inked, inked))
    assert float(reader.dice_error(1 - inked, inked)) > 0.3


def test_ink_counts_more_than_nothing() -> None:
    labels, nothing = torch.tensor([[[1, 0]]]), torch.zeros(1, 2, 1, 2)
    nothing[:, 0] = 5.0  # says nothing everywhere: wrong in the one pixel of ink
    assert reader.glyph_error(nothing, labels, 3.0) > 1.4 * reader.glyph_error(nothing, labels, 1.0)


def test_a_plate_without_text_wants_blanks_and_stays_finite() -> None:
    blank = torch.full((1, 8, 37), -10.0)
    blank[..., 0] = 10.0
    nobody = torch.zeros(1, 16, dtype=torch.int64)
    assert float(reader.sequence_error(blank, nobody)) < 1e-3
    assert float(reader.sequence_error(-blank, nobody)) > 1
    network = PlateReader.tiny().train()
    empty = torch.zeros(2, 32, 96, dtype=torch.uint8)
    targets = ReaderTargets(empty, empty, empty, torch.zeros(2, 16, dtype=torch.int64))
    terms = network.losses(torch.rand(2, 1, 64, 192), targets)
    assert all(bool(torch.isfinite(term)) for term in terms.values())


def test_it_learns_a_few_rendered_plates_by_heart_two_lines_too() -> None:
    crops = [plate_crop(3, index, CLEAR) for index in range(40)]
    single = [crop for crop in crops if max(crop.line_of) == 0][:1]
    double = [crop for crop in crops if max(crop.line_of) == 1][:1]
    batch = joined([*single, *double])
    network = PlateReader.tiny().train()
    how = OptimiserOptions(kind="muon", rate=0.01, weight_decay=0.0, momentum=0.9)
    optimiser = build_optimiser(network, how)
    assert isinstance(optimiser, Muon)
    pixels = batch.pixels.float() / 255
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = 0.01 * (1 - step / STEPS)
        torch.stack(list(network.losses(pixels, batch.targets).values())).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()
    for module in network.modules():  # the few batches have not settled the norms' running figures
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
    with torch.no_grad():
        network(pixels)
    judged = [JudgedCrop(crop.pixels, crop.text, crop.glyph_px) for crop in (*single, *double)]
    read = ["".join(CHARACTERS[each] for each in one.classes) for one in read_crops(network, judged)]
    assert [crop.text for crop in judged] == read


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [("", "", 0), ("B12ABC", "B12ABC", 0), ("B12", "812", 1), ("AB", "", 2), ("AB", "BA", 2)],
)
def test_edits_are_counted(one: str, other: str, wanted: int) -> None:
    assert wanted == edits(one, other)

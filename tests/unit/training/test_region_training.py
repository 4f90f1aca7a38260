"""Fast R-CNN and R-CNN learn rendered shapes with the trainer of all others, regions searched on the way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from streamdet.boxes import iou
from streamdet.datasets.samples import Entry, Objects, Sample
from streamdet.errors import TrainingFailed
from streamdet.models.catalogue import RcnnFamily
from streamdet.models.rcnn import FittingOptions, Rcnn, RcnnOptions
from streamdet.models.weights import Trained, load_trained, save_trained
from streamdet.proposals.catalogue import open_proposer
from streamdet.training.batches import Batch, resized
from streamdet.training.crop_features import CropReader, FeatureShelf
from streamdet.training.rcnn import fit_last_steps
from streamdet.training.regions import Proposed, WithRegions, collate_regions
from streamdet.training.reporting import Reporter
from streamdet.training.run_folder import RunFolder

torch.set_num_threads(1)

SIZE = (96, 96)
SEARCH = "selective-search?strategy=single&smallest_px=20"


@dataclass
class Shapes:
    """Pictures of noise with a disc or a square each."""

    count: int
    name: str = "shapes"
    classes: tuple[str, ...] = ("disc", "square")

    def _draw(self, index: int) -> Sample:
        import cv2

        chance = np.random.default_rng(index)
        rgb = chance.integers(0, 40, (96, 96, 3)).astype(np.uint8)
        side, left, top = int(chance.integers(20, 40)), int(chance.integers(0, 50)), int(chance.integers(0, 50))
        if index % 2:
            cv2.rectangle(rgb, (left, top), (left + side - 1, top + side - 1), (60, 120, 240), -1)
        else:
            cv2.circle(rgb, (left + side // 2, top + side // 2), side // 2, (230, 90, 60), -1)
        box = np.array([[left, top, left + side, top + side]], np.float32)
        return Sample(str(index), rgb, Objects(box, np.array([index % 2]), np.zeros(1, np.bool_)))

    @property
    def entries(self) -> list[Entry]:
        drawn = [self._draw(index) for index in range(self.count)]
        return [Entry(each.key, Path(each.key), SIZE, each.objects) for each in drawn]

    def read(self, index: int) -> Sample:
        return self._draw(index)

    def sample(self, index: int, seed: int) -> Sample:
        return self._draw(index)


def test_regions_come_with_every_sample_and_follow_its_size() -> None:
    samples = WithRegions(Shapes(4), open_proposer(SEARCH), 50)
    given = [samples.sample(index, 0) for index in range(2)]
    assert all(len(each.regions) <= 50 for each in given)
    assert all(iou(each.regions, each.sample.objects.xyxy).max() > 0.5 for each in given)
    given[1] = Proposed(given[1].sample, given[1].regions[:3])
    batch = collate_regions(given)
    regions = batch.targets.regions
    assert (2, len(given[0].regions), 4) == regions.shape
    assert (regions[1, 3:] == 0).all()
    half = resized(Batch(batch.keys, batch.pixels.float(), batch.targets), (48, 48))
    torch.testing.assert_close(half.targets.regions, regions / 2)


def tiny_rcnn(**fitting: object) -> RcnnFamily:
    return RcnnFamily(
        backbone="tiny",
        crop_px=32,
        width=16,
        proposals=SEARCH,
        regions=60,
        samples=16,
        fitting=FittingOptions(damping=1.0, **fitting),
    )


def tuned(options: RcnnOptions, steps: int = 40) -> Rcnn:
    """A network that can tell crops of the shapes apart."""
    torch.manual_seed(0)
    model = Rcnn(2, options)
    model.enter(model.phases()[0])
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.momentum = 0.1
    samples = WithRegions(Shapes(8), open_proposer(SEARCH), 60)
    batch = collate_regions([samples.sample(index, 0) for index in range(8)])
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=5e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        terms = model.losses(batch.pixels.float() / 255, batch.targets)
        assert ["class"] == list(terms)
        terms["class"].backward()
        optimiser.step()
    return model


@pytest.fixture(scope="module")
def network() -> Rcnn:
    return tuned(tiny_rcnn())


def saved(network: Rcnn, options: RcnnFamily, path: Path) -> RunFolder:
    path.mkdir(exist_ok=True)
    model = Rcnn(2, options)
    model.load_state_dict(network.state_dict())
    folder = RunFolder(path)
    save_trained(folder.best, Trained(model, options, ("disc", "square"), SIZE))
    return folder


def test_before_it_is_fitted_the_network_speaks_and_boxes_stay(network: Rcnn) -> None:
    regions = torch.tensor([[[10.0, 10, 40, 40], [0, 0, 0, 0], [30, 5, 90, 95]]])
    cut = network.eval()(torch.rand(1, 3, 96, 96), regions)
    torch.testing.assert_close(regions, cut.xyxy, atol=1e-3, rtol=0)
    assert (cut.scores[0, 1] == 0).all()
    assert (cut.scores[0].sum(dim=-1) <= 1).all()


def test_a_crop_is_its_region_with_its_surroundings() -> None:
    model = Rcnn(2, RcnnOptions(backbone="tiny", crop_px=32, context=0.25, width=16))
    pixels = torch.zeros(1, 3, 96, 96)
    pixels[..., 32:64, 16:48] = 1
    crop = model.crops(pixels, torch.tensor([[[16.0, 32.0, 48.0, 64.0]]]))[0, 0, 0]
    assert (32, 32) == crop.shape
    assert (crop[9:23, 9:23] > 0.999).all()
    assert (crop[:7] == 0).all()
    assert (crop[:, 25:] == 0).all()


def test_svms_and_boxes_are_fitted_and_their_way_back_leads_to_the_objects(network: Rcnn, tmp_path: Path) -> None:
    folder = saved(network, tiny_rcnn(), tmp_path)
    with Reporter(quiet=True) as reporter:
        fit_last_steps(folder, Shapes(16), reporter)
        fitted = load_trained(folder.best).model
        written = folder.best.stat().st_mtime_ns
        fit_last_steps(folder, Shapes(16), reporter)
    assert written == folder.best.stat().st_mtime_ns  # what is fitted is left alone
    assert isinstance(fitted, Rcnn)
    assert not list(tmp_path.glob("features-*"))
    before, after, hits = [], [], 0
    reader = CropReader(fitted, Shapes(24), SIZE, open_proposer(SEARCH), 0.6)
    for index in range(16, 24):
        sample = Shapes(24).read(index)
        regions = torch.from_numpy(reader(index).xyxy[:-1])[None]
        pixels = torch.from_numpy(sample.rgb).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            cut = fitted(pixels, regions)
        best = int(cut.scores[0].amax(dim=1).argmax())
        hits += int(cut.scores[0, best].argmax()) == index % 2
        overlap = iou(regions[0].numpy(), sample.objects.xyxy)[:, 0]
        near = np.flatnonzero(overlap > 0.6)
        before += overlap[near].tolist()
        after += iou(cut.xyxy[0].numpy()[near], sample.objects.xyxy)[:, 0].tolist()
    assert hits >= 7
    assert np.mean(after) > np.mean(before)


def test_what_was_seen_is_on_disk_within_the_bound_and_taken_up_again(network: Rcnn, tmp_path: Path) -> None:
    seen = []
    reader = CropReader(network, Shapes(4), SIZE, open_proposer(SEARCH), 0.6)

    def read(index: int):
        seen.append(index)
        return reader(index)

    shelf = FeatureShelf(tmp_path / "features", 1, read)
    first = [shelf(index) for index in (0, 1, 0)]
    assert [0, 1] == seen
    np.testing.assert_array_equal(first[0].dense, first[2].dense)
    again = FeatureShelf(tmp_path / "features", 1, read)
    again(1)
    assert [0, 1] == seen
    full = FeatureShelf(tmp_path / "none", 0, read)
    full(0)
    full(0)
    assert [0, 1, 0, 0] == seen


def test_asked_to_stop_it_says_how_to_go_on(network: Rcnn, tmp_path: Path) -> None:
    folder = saved(network, tiny_rcnn(), tmp_path)
    calls = []

    def stop() -> bool:
        calls.append(1)
        return len(calls) > 3

    with Reporter(quiet=True) as reporter, pytest.raises(TrainingFailed, match="asked to stop"):
        fit_last_steps(folder, Shapes(6), reporter, stop)
    assert 3 == len(list(next(tmp_path.glob("features-*")).glob("*.npz")))
    with Reporter(quiet=True) as reporter:
        fit_last_steps(folder, Shapes(6), reporter)
    assert load_trained(folder.best).model.fitted == 1

"""Pictures and objects for every step, prepared ahead: which ones follows from the seed and the step alone.

Nothing here remembers anything. Step 4711 has the same pictures, augmented the same way, whether it is reached in one
go or after a resume, and however many workers prepare it.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset

from streamdet.datasets.areas import labels_of, masks_of
from streamdet.datasets.samples import Objects, Sample
from streamdet.errors import StreamdetError, TrainingFailed
from streamdet.models.contract import Targets
from streamdet.models.segmentation.contract import LabelTargets

_AHEAD = 2  # batches prepared per worker
_SILENCE_S = 300.0  # a batch that takes longer than this will never come


class Samples(Protocol):
    """What is learnt from, all of one size; `batch` says how several become one."""

    def sample(self, index: int, seed: int) -> Any:
        """Number `index` as it is learnt from this time; the same for the same seed."""


@dataclass(frozen=True)
class Batch:
    """One process's part of a step, or of one of its parts where gradients are accumulated."""

    keys: tuple[str, ...]
    pixels: torch.Tensor  # u8 [B, C, H, W]
    targets: Any  # what the model's losses take: a dataclass of tensors

    def to(self, device: torch.device) -> Batch:
        """On that device; from pinned memory without waiting."""
        if device.type == "cpu":
            return self
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """Where a GPU can fetch it by itself."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        given: dict[str, Any] = vars(self.targets)
        changed: dict[str, Any] = {name: None if tensor is None else change(tensor) for name, tensor in given.items()}
        return Batch(self.keys, change(self.pixels), type(self.targets)(**changed))


Joined = Callable[[Sequence[Any]], Batch]  # samples of one size → one batch


@dataclass(frozen=True)
class Order:
    """Which picture comes when: every one once, in a new order each time."""

    pictures: int
    seed: int

    def at(self, place: int) -> tuple[int, int]:
        """The picture at a place counted from the beginning of the training, and the seed of its augmentation."""
        epoch, within = divmod(place, self.pictures)
        index = int(self._permutation(epoch)[within])
        return index, seed_of(self.seed, 1, place)

    def _permutation(self, epoch: int) -> npt.NDArray[np.int64]:
        return np.random.default_rng([self.seed, 0, epoch]).permutation(self.pictures)


def seed_of(*numbers: int) -> int:
    """One seed out of several numbers, unlike that of any others."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


@dataclass(frozen=True)
class Share:
    """How a step's pictures are dealt: `batch` at once over all processes, `accumulate` times."""

    batch: int
    accumulate: int = 1
    rank: int = 0
    world: int = 1

    @property
    def per_step(self) -> int:
        """Pictures that one step of the optimiser sees."""
        return self.batch * self.accumulate

    def places(self, step: int, part: int) -> range:
        """The places in the order that this process takes."""
        first = step * self.per_step + part * self.batch
        return range(first + self.rank, first + self.batch, self.world)


class _Steps(Dataset["tuple[Batch, ...] | StreamdetError"]):
    """step → its batches. A mistake comes back as a value: raised in a worker it would lose its words."""

    def __init__(self, samples: Samples, order: Order, share: Share, joined: Joined) -> None:
        self._samples = samples
        self._order = order
        self._share = share
        self._joined = joined

    def __getitem__(self, step: int) -> tuple[Batch, ...] | StreamdetError:
        try:
            return tuple(self._batch(self._share.places(step, part)) for part in range(self._share.accumulate))
        except StreamdetError as error:
            return error

    def _batch(self, places: Sequence[int]) -> Batch:
        return self._joined([self._samples.sample(*self._order.at(place)) for place in places])


def prepared(
    samples: Samples,
    order: Order,
    share: Share,
    steps: range,
    *,
    joined: Joined | None = None,
    workers: int,
    pin: bool = False,
) -> Generator[tuple[Batch, ...], None, None]:
    """The batches of these steps, in order: by worker processes, or with none of them by one thread beside the loop."""
    source = _Steps(samples, order, share, joined or collate)
    way = _by_thread(source, steps, pin) if workers == 0 else _by_processes(source, steps, workers, pin)
    with closing(way):
        for batches in way:
            if isinstance(batches, StreamdetError):
                raise batches
            yield batches


Prepared = Generator["tuple[Batch, ...] | StreamdetError", None, None]


def _by_thread(source: _Steps, steps: range, pin: bool) -> Prepared:
    waiting: deque[Future[tuple[Batch, ...] | StreamdetError]] = deque()
    with ThreadPoolExecutor(1, "batches") as pool:
        try:
            for step in steps:
                waiting.append(pool.submit(source.__getitem__, step))
                if len(waiting) > _AHEAD:
                    yield _pinned(waiting.popleft().result(_SILENCE_S), pin)
            while waiting:
                yield _pinned(waiting.popleft().result(_SILENCE_S), pin)
        except TimeoutError as error:
            raise _silence() from error
        finally:
            for future in waiting:
                future.cancel()


def _pinned(batches: tuple[Batch, ...] | StreamdetError, pin: bool) -> tuple[Batch, ...] | StreamdetError:
    if not pin or isinstance(batches, StreamdetError):
        return batches
    return tuple(batch.pin_memory() for batch in batches)


def _by_processes(source: _Steps, steps: range, workers: int, pin: bool) -> Prepared:
    loader = DataLoader(
        source,
        sampler=steps,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=_AHEAD,
        worker_init_fn=_quiet,
        timeout=_SILENCE_S,
        collate_fn=_as_it_is,
    )
    iterator = iter(loader)
    while True:
        try:
            batches = next(iterator)
        except StopIteration:
            return
        except RuntimeError as error:
            if "DataLoader" not in str(error):
                raise
            raise _silence(str(error).splitlines()[0]) from error
        yield _pinned(batches, pin)


def _silence(got: str = "nothing") -> TrainingFailed:
    return TrainingFailed(
        "pictures stopped coming",
        expected=f"a batch within {_SILENCE_S:.0f} s",
        got=got,
        hint="a killed worker means too little memory (fewer workers, a smaller batch); silence, a disk that hangs",
    )


def _as_it_is(batches: Any) -> Any:
    return batches


def _quiet(_: int) -> None:
    """A worker leaves Ctrl-C to the trainer and uses one thread."""
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cv2.setNumThreads(0)


def collate_masks(samples: Sequence[Sample]) -> Batch:
    """As `collate`, with the objects' masks; an object without an outline has its box for one."""
    batch = collate(samples)
    height, width = batch.pixels.shape[2:]
    masks = torch.zeros(*batch.targets.class_id.shape, height, width, dtype=torch.uint8)
    for picture, sample in enumerate(samples):
        masks[picture, : len(sample.objects)] = torch.from_numpy(masks_of(sample.objects, (width, height)))
    return replace(batch, targets=replace(batch.targets, masks=masks))


def collate_labels(samples: Sequence[Sample]) -> Batch:
    """Samples of one size → one batch, and of every pixel the object that it belongs to."""
    pixels = torch.from_numpy(np.stack([sample.rgb for sample in samples])).permute(0, 3, 1, 2)
    height, width = pixels.shape[2:]
    labels = np.stack([labels_of(sample.objects, (width, height)) for sample in samples])
    return Batch(tuple(sample.key for sample in samples), pixels, LabelTargets(torch.from_numpy(labels)))


def collate(samples: Sequence[Sample]) -> Batch:
    """Samples of one size → one batch, objects padded to the picture that has most."""
    pixels = torch.from_numpy(np.stack([sample.rgb for sample in samples])).permute(0, 3, 1, 2)
    objects = [sample.objects for sample in samples]
    rows = max(1, *(len(each) for each in objects)) if objects else 1
    xyxy = torch.zeros(len(objects), rows, 4)
    class_id = torch.full((len(objects), rows), -1)
    ignored = torch.zeros(len(objects), rows, dtype=torch.bool)
    for picture, each in enumerate(objects):
        n = len(each)
        xyxy[picture, :n] = torch.from_numpy(each.xyxy)
        class_id[picture, :n] = torch.from_numpy(each.class_id)
        ignored[picture, :n] = torch.from_numpy(each.ignored)
    targets = Targets(xyxy, class_id, ignored, _keypoints(objects, rows))
    return Batch(tuple(sample.key for sample in samples), pixels, targets)


def _keypoints(objects: Sequence[Objects], rows: int) -> torch.Tensor | None:
    """[B, M, P, 3]; None where no picture has any."""
    points = {each.keypoints.shape[1] for each in objects if each.keypoints is not None}
    if not points:
        return None
    found = torch.zeros(len(objects), rows, max(points), 3)
    for picture, each in enumerate(objects):
        if each.keypoints is not None:
            found[picture, : len(each), : each.keypoints.shape[1]] = torch.from_numpy(each.keypoints)
    return found


def resized(batch: Batch, size: tuple[int, int]) -> Batch:
    """The batch at another size (width, height), boxes, points and masks with it."""
    width, height = size
    if (height, width) == tuple(batch.pixels.shape[2:]):
        return batch
    scale = torch.tensor([width / batch.pixels.shape[3], height / batch.pixels.shape[2]])
    pixels = torch.nn.functional.interpolate(batch.pixels, size=(height, width), mode="bilinear", antialias=True)
    if isinstance(batch.targets, LabelTargets):
        return Batch(batch.keys, pixels, LabelTargets(_coarser(batch.targets.labels[:, None], size)[:, 0]))
    targets = replace(batch.targets, xyxy=batch.targets.xyxy * scale.repeat(2))
    if targets.keypoints is not None:
        targets = replace(targets, keypoints=targets.keypoints * torch.cat([scale, torch.ones(1)]))
    if targets.regions is not None:
        targets = replace(targets, regions=targets.regions * scale.repeat(2))
    if targets.masks is not None:
        targets = replace(targets, masks=_coarser(targets.masks, size))
    return Batch(batch.keys, pixels, targets)


def _coarser(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Maps u8 [B, n, H, W] at another size, each place as the nearest pixel has it."""
    return torch.nn.functional.interpolate(maps, size=(size[1], size[0]), mode="nearest-exact")

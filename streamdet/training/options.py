"""TrainOptions: one training, wholly described; what a file under configs/training/ holds."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from streamdet.datasets.catalogue import DataSpec
from streamdet.models.catalogue import ModelOptions
from streamdet.models.contract import Phase
from streamdet.training.augment.options import AugmentOptions
from streamdet.training.optimiser import OptimiserOptions
from streamdet.training.rendered_plates import RenderedPlates
from streamdet.training.schedule import Stretch, stretches

Precision = Literal["auto", "fp32", "bf16", "fp16"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _parsed(value: Any) -> Any:
    return DataSpec.parse(value) if isinstance(value, str) else value


def _square(value: Any) -> Any:
    return (value, value) if isinstance(value, int) else value


Data = Annotated[DataSpec, BeforeValidator(_parsed)]
Side = Annotated[int, Field(ge=32, le=4096, multiple_of=32)]
Share = Annotated[float, Field(ge=0, le=1)]


class DataOptions(_Section):
    """Labelled pictures: PATH:SPLIT?key=value, or the same as keys and values."""

    train: Annotated[Data, Field(description="Pictures to learn from.")]
    valid: Annotated[
        Data | None, Field(description="Pictures to choose the best weights by. None: some of `train` are held out.")
    ] = None
    skip_bad: Annotated[
        bool, Field(description="Learn from what is sound; errors are left out and listed, instead of refused.")
    ] = False
    hold_out: Annotated[float, Field(gt=0, lt=1, description="How many, where `valid` is not given.")] = 0.2
    test: Annotated[Data | None, Field(description="Pictures scored once, at the end, with the best weights.")] = None


class ScoringOptions(_Section):
    """How often the model is scored, and what follows from it."""

    times: Annotated[int, Field(ge=1, description="Over the whole training, evenly.")] = 20
    from_share: Annotated[Share, Field(description="Not before this share: the beginning scores nothing.")] = 0.1
    patience: Annotated[
        int | None, Field(ge=1, description="End after so many scorings without a better one. None: never early.")
    ] = None


class DetectionScoringOptions(ScoringOptions):
    """How boxes are scored."""

    nms_iou: Annotated[
        float,
        Field(gt=0, le=1, description="Overlap above which the weaker answer goes; engines are exported with it."),
    ] = 0.65


class AverageOptions(_Section):
    """The moving average of the weights."""

    horizon: Annotated[float, Field(gt=0, le=1, description="As a share of all steps: what is averaged over.")] = 0.05
    decay_at_most: Annotated[float, Field(gt=0, lt=1, description="However long the training is.")] = 0.9998


class LearningOptions(_Section):
    """What every training has, whatever is learnt: its steps, its scorings, its machine."""

    batch: Annotated[int, Field(ge=1, description="Pictures at once, over all processes.")] = 8
    accumulate: Annotated[int, Field(ge=1, description="Batches whose gradients make one step.")] = 1
    optimiser: OptimiserOptions = OptimiserOptions()
    average: AverageOptions = AverageOptions()
    evaluation: ScoringOptions = ScoringOptions()
    precision: Annotated[
        Precision, Field(description="auto: bf16 where the machine computes in it, fp32 elsewhere.")
    ] = "auto"
    device: Annotated[Literal["auto", "cpu", "cuda"], Field(description="auto: a GPU if there is one.")] = "auto"
    threads: Annotated[int | None, Field(ge=1, description="CPU threads of torch; None: one per core.")] = None
    workers: Annotated[
        int | None,
        Field(ge=0, le=64, description="Processes that prepare pictures; 0: a thread. None: what suits the device."),
    ] = None
    seed: Annotated[int, Field(ge=0, description="The same seed, the same result.")] = 0
    checkpoint_s: Annotated[float, Field(ge=0, description="Seconds from one checkpoint to the next.")] = 300.0
    broken_at_most: Annotated[
        int, Field(ge=1, description="Steps in a row that may give no finite numbers; then it is given up.")
    ] = 20

    @property
    def per_step(self) -> int:
        """Pictures that one step of the optimiser sees."""
        return self.batch * self.accumulate

    @abstractmethod
    def steps(self, pictures: int) -> int:
        """Steps of the whole training, with so many pictures to learn from."""

    @abstractmethod
    def plan(self, steps: int, phases: Sequence[Phase]) -> list[Stretch]:
        """What is done at which step, in order."""

    def size_spread(self) -> float:
        """Up to this share, a step's pictures are made smaller or larger."""
        return 0.0

    def learnt_from(self) -> dict[str, Any]:
        """What decides the result: all but how fast it is computed and how often it is saved.

        Without what is as ever, so that an option that is new in this version changes nothing.
        """
        return self.model_dump(mode="json", exclude={"workers", "threads", "checkpoint_s"}, exclude_defaults=True)


class PictureTrainOptions(LearningOptions):
    """One training on labelled pictures, whatever is learnt of them."""

    data: DataOptions
    pictures: Annotated[int | None, Field(ge=1, description="The budget: pictures seen, repeats counted.")] = None
    epochs: Annotated[float | None, Field(gt=0, description="The budget, as times that each picture is seen.")] = None
    at_least_steps: Annotated[
        int, Field(ge=0, description="With epochs: a small data set is seen until so many steps are taken.")
    ] = 0
    size: Annotated[
        tuple[Side, Side],
        BeforeValidator(_square),
        Field(description="Width and height of the input, or one for both."),
    ] = (640, 640)
    augment: AugmentOptions = AugmentOptions()
    small_share: Annotated[Share, Field(description="Share of the steps at the beginning with small pictures.")] = 0.0
    small_ratio: Annotated[float, Field(gt=0, le=1, description="How small the pictures of the beginning are.")] = 0.5
    plain_share: Annotated[Share, Field(description="Share of the steps at the end without mosaic and mixup.")] = 0.15
    plain_strength: Annotated[
        Share, Field(description="How far pictures are still scaled and shifted then, against before.")
    ] = 0.5
    multi_scale: Annotated[
        float, Field(ge=0, lt=1, description="Each step at a size of its own, up to this share smaller or larger.")
    ] = 0.0

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if (self.pictures is None) == (self.epochs is None):
            raise ValueError("say either `pictures` or `epochs`: how much is learnt")
        return self

    def steps(self, pictures: int) -> int:
        """Steps of the whole training, with so many pictures to learn from."""
        if self.pictures is not None:
            return max(1, round(self.pictures / self.per_step))
        assert self.epochs is not None
        return max(1, self.at_least_steps, round(self.epochs * pictures / self.per_step))

    def plan(self, steps: int, phases: Sequence[Phase]) -> list[Stretch]:
        """Small pictures at the beginning, plain ones at the end."""
        return stretches(steps, phases, small_share=self.small_share, plain_share=self.plain_share)

    def size_spread(self) -> float:
        """As multi_scale says."""
        return self.multi_scale

    def small_size(self) -> tuple[int, int]:
        """The size of the beginning, in the network's strides."""
        width, height = (max(32, round(side * self.small_ratio / 32) * 32) for side in self.size)
        return width, height


class TrainOptions(PictureTrainOptions):
    """One training of a detector."""

    model: Annotated[ModelOptions, Field(description="The network; `family` says which.")]
    rendered: Annotated[
        RenderedPlates | None, Field(description="Plates drawn into pictures, to learn from besides the labelled ones.")
    ] = None
    evaluation: DetectionScoringOptions = DetectionScoringOptions()

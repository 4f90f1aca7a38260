"""The loop: resumed, stopped, spoiled and interrupted, it comes to what it would have come to."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import Centre, Squares, options_with, same, train_here
from torch import Tensor

from streamdet.datasets.samples import Sample
from streamdet.errors import DataError, PictureUnreadable, TrainingFailed
from streamdet.models.contract import DetectionModel, Phase, Targets
from streamdet.training import checkpoint as checkpoints
from streamdet.training import trainer
from streamdet.training.checkpoint import Progress
from streamdet.training.run_folder import RunFolder, read_metrics


def weights(folder: Path) -> dict[str, Any]:
    state = torch.load(folder / "last.pt", weights_only=True)
    return {name: state[name] for name in ("weights", "average", "average_updates", "optimiser")}


class StopAfter:
    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self) -> bool:
        self.left -= 1
        return self.left <= 0


def test_a_training_learns(tmp_path: Path) -> None:
    progress, _ = train_here(
        tmp_path,
        options_with(pictures=120 * 4, optimiser={"kind": "adamw", "rate": 0.01}),
        make=lambda: Centre(drop=0.0),
    )
    assert "the budget is used up" == progress.ended
    assert 120 == progress.step
    assert progress.best > 0.2  # within four pixels
    rows = read_metrics(RunFolder(tmp_path))
    losses = [float(row["loss"]) for row in rows if row["loss"]]
    assert losses[-1] < losses[0] / 4


@pytest.mark.parametrize("step", [1, 7, 10, 29])
def test_stopped_and_resumed_is_uninterrupted_bit_for_bit(tmp_path: Path, step: int) -> None:
    train_here(tmp_path / "whole")
    stopped, _ = train_here(tmp_path / "parts", stop=StopAfter(step))
    assert ("stopped", step) == (stopped.ended, stopped.step)
    torch.manual_seed(1234)  # nothing of the world around it matters
    ended, _ = train_here(tmp_path / "parts")
    assert 30 == ended.step
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


class TwoPhases(Centre):
    """The answer learns alone first, then the features alone."""

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("answer", 0.5, ("answer.",)), Phase("features", 0.5, ("features.",)))


@pytest.mark.parametrize("step", [8, 15, 22])
def test_a_model_of_phases_is_resumed_within_and_between_them(tmp_path: Path, step: int) -> None:
    _, model = train_here(tmp_path / "whole", make=TwoPhases)
    assert isinstance(model, Centre)
    train_here(tmp_path / "parts", make=TwoPhases, stop=StopAfter(step))
    train_here(tmp_path / "parts", make=TwoPhases)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    assert not any(parameter.requires_grad for parameter in model.answer.parameters())


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_nothing(tmp_path: Path, workers: int) -> None:
    train_here(tmp_path / "thread")
    train_here(tmp_path / "processes", workers=workers)
    assert same(weights(tmp_path / "thread"), weights(tmp_path / "processes"))


def test_another_seed_is_another_training(tmp_path: Path) -> None:
    train_here(tmp_path / "a", options_with(seed=1))
    train_here(tmp_path / "b", options_with(seed=2))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_accumulated_batches_are_one_large_one_where_losses_are_means_over_pictures(tmp_path: Path) -> None:
    def plain() -> Centre:
        return Centre(norm=False, drop=0.0)

    _, one = train_here(tmp_path / "a", options_with(batch=4), make=plain)
    _, two = train_here(tmp_path / "b", options_with(batch=2, accumulate=2), make=plain)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


class Spoiled(Centre):
    """Breaks at the chosen steps, in the middle of the network, so that its norm sees broken numbers too."""

    def __init__(self, *steps: int, only_loss: bool = False) -> None:
        super().__init__()
        self.steps, self.seen, self.only_loss = steps, 0, only_loss

    def losses(self, pixels: Tensor, targets: Targets) -> dict[str, Tensor]:
        self.seen += 1
        broken = self.seen in self.steps
        terms = super().losses(pixels * float("nan") if broken and not self.only_loss else pixels, targets)
        return {**terms, "extent": terms["extent"] * float("inf")} if broken and self.only_loss else terms


@pytest.mark.parametrize("only_loss", [True, False])
def test_broken_steps_are_skipped_counted_and_leave_no_trace(tmp_path: Path, only_loss: bool) -> None:
    progress, model = train_here(tmp_path, make=lambda: Spoiled(3, 4, 17, only_loss=only_loss))
    assert 3 == progress.skipped
    assert "the budget is used up" == progress.ended
    assert all(torch.isfinite(tensor).all() for tensor in model.state_dict().values())
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path)["average"].values())


def test_a_broken_step_moves_nothing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    before = Spoiled().state_dict()
    train_here(tmp_path, options_with(pictures=4), make=lambda: Spoiled(1))
    after = weights(tmp_path)["weights"]
    del before["features.1.num_batches_tracked"], after["features.1.num_batches_tracked"]  # it merely counts
    assert same(before, after)


def test_when_broken_steps_persist_the_training_ends_with_a_diagnosis(tmp_path: Path) -> None:
    options = options_with(broken_at_most=5)
    with pytest.raises(TrainingFailed) as caught:
        train_here(tmp_path, options, make=lambda: Spoiled(*range(12, 40), only_loss=True))
    message = str(caught.value)
    assert "5 steps in a row" in message
    assert "step 16" in message
    assert "extent" in message
    assert "learning rate" in message
    assert any(f"{picture:02}" in message for picture in range(12))
    assert "hint" in message


def test_it_ends_early_when_nothing_gets_better(tmp_path: Path) -> None:
    options = options_with(evaluation={"times": 10, "patience": 2, "from_share": 0.1})
    progress, _ = train_here(tmp_path, options, judge=lambda model: {"map50_95": 0.25})
    assert "2 scorings without a better one" == progress.ended
    assert 3 == progress.best_step
    assert progress.step < 30
    again, _ = train_here(tmp_path, options, judge=lambda model: {"map50_95": 0.9})
    assert progress.step == again.step  # what has ended stays so


def test_a_full_disk_costs_a_checkpoint_and_leaves_the_one_before_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = options_with(checkpoint_s=0)
    real = checkpoints.write_whole
    full = iter([False] * 5 + [True] * 10 + [False] * 100)

    def write(path: Path, write_into: Any) -> None:
        def refused(file: Any) -> None:
            file.write(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")

        real(path, refused if path.name == "last.pt" and next(full) else write_into)

    monkeypatch.setattr(checkpoints, "write_whole", write)
    kept = []
    train_here(tmp_path, options, stop=lambda: kept.append(_step_in(tmp_path)) is not None)
    assert [5] * 10 == kept[5:15]  # ten times refused
    assert 30 == _step_in(tmp_path)
    assert [] == [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def _step_in(folder: Path) -> int:
    path = folder / "last.pt"
    return int(torch.load(path, weights_only=True)["progress"]["step"]) if path.exists() else 0


def test_a_disk_that_is_full_at_the_end_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, checkpoint: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(trainer, "write_checkpoint", refuse)
    with pytest.raises(TrainingFailed, match="No space left"):
        train_here(tmp_path)


def test_other_options_or_pictures_are_refused_on_resume(tmp_path: Path) -> None:
    train_here(tmp_path, stop=StopAfter(5))
    with pytest.raises(DataError, match="options are not what they were"):
        train_here(tmp_path, options_with(batch=2))
    ended, _ = train_here(tmp_path, options_with(checkpoint_s=1.0))  # what does not change the result may change
    assert 30 == ended.step


def test_a_checkpoint_cut_off_is_told_apart_from_one(tmp_path: Path) -> None:
    train_here(tmp_path, stop=StopAfter(5))
    path = tmp_path / "last.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match="cannot be read"):
        train_here(tmp_path)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_picture_that_cannot_be_read_keeps_its_message(tmp_path: Path, workers: int) -> None:
    class Broken(Squares):
        def sample(self, index: int, seed: int) -> Sample:
            if index == 7:
                raise PictureUnreadable("a picture cannot be decoded", where="seven.jpg")
            return super().sample(index, seed)

    with pytest.raises(PictureUnreadable) as caught:
        train_here(tmp_path, samples=Broken(), workers=workers)
    assert "a picture cannot be decoded\n  where: seven.jpg" == str(caught.value)


def test_best_weights_that_the_disk_refuses_are_not_counted_as_kept(tmp_path: Path) -> None:
    refusals = iter([True, False, False])

    def keep(model: DetectionModel, progress: Progress) -> None:
        if next(refusals):
            raise OSError(errno.ENOSPC, "No space left on device")

    scores = iter([0.9, 0.5, 0.4])
    progress, _ = train_here(tmp_path, judge=lambda model: {"map50_95": next(scores)}, keep=keep)
    assert 0.5 == progress.best


def test_rows_that_were_never_saved_are_taken_back_on_resume(tmp_path: Path) -> None:
    train_here(tmp_path, stop=StopAfter(12))
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("20,80,1.0,0.1\n")
    train_here(tmp_path)
    steps = [int(row["step"]) for row in read_metrics(RunFolder(tmp_path)) if row["loss"]]
    assert [3, 10, 12, 17, 20, 30] == steps

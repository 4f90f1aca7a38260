"""benchmarks/lineage.py: the lines of its table, of trainings that are there and of those that are not."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "lineage.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lineage_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    made = sys.modules["lineage_benchmark"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def _folder(place: Path, *names: str) -> Path:
    place.mkdir(parents=True)
    for name in names:
        (place / name).touch()
    return place


def _rows(benchmark: ModuleType, slow_s: tuple[float, ...], learnt: object = None) -> tuple[list[object], dict]:
    """R-CNN and Fast R-CNN on three pictures of 100 regions, and two that need none."""
    regional = {"R-CNN": slow_s, "Fast R-CNN": (0.1, 0.1, 0.2)}
    alone = {"Faster R-CNN": (0.05,) * 3, "YOLOv1": (0.01,) * 3}
    times = {name: benchmark.Times([0.04, 0.05, 0.06], list(taken), [100] * 3) for name, taken in regional.items()}
    times |= {name: benchmark.Times([], list(taken), [800] * 3) for name, taken in alone.items()}
    systems = {system.name: system for system in benchmark.SYSTEMS}
    rows = [benchmark.row_of(systems[name], told, 1_500_000, learnt, "") for name, told in times.items()]
    return rows, times


def test_what_is_not_trained_is_a_line_with_its_command_and_no_error(benchmark: ModuleType, tmp_path: Path):
    system = benchmark.SYSTEMS[0]
    assert system.finished(tmp_path) is None
    command = " ".join(["streamdet", *system.command(tmp_path)])
    assert f"streamdet train configs/training/bccd-rcnn.yaml --out {tmp_path}/bccd-rcnn" == command
    row = benchmark.row_of(system, benchmark.Times([0.04], [4.0], [1500]), 11_800_000, None, command)
    told = benchmark.table([row])
    assert "| R-CNN, 2014 | not trained | - | 40 ms | 4.00 s | 1,500 | 11.8 M | - | - |" in told
    assert f"R-CNN is not trained: `{command}`" in told


def test_what_was_stopped_is_gone_on_with(benchmark: ModuleType, tmp_path: Path):
    system = benchmark.SYSTEMS[0]
    folder = _folder(tmp_path / "bccd-rcnn", "config.yaml", "best.pt")
    assert system.finished(tmp_path) is None
    assert ["train", "--resume", str(folder)] == system.command(tmp_path)


def test_a_finished_training_counts_wherever_a_benchmark_made_it(benchmark: ModuleType, tmp_path: Path):
    system = benchmark.SYSTEMS[0]
    _folder(tmp_path / "bccd-rcnn", "config.yaml")
    other = _folder(tmp_path / "benchmark" / "ours-bccd-rcnn-full-s0", "scores.json")
    assert other == system.finished(tmp_path)


def test_standing_still_is_no_learning_but_scoring_may_take_long(benchmark: ModuleType, tmp_path: Path):
    metrics = tmp_path / "metrics.csv"
    metrics.write_text("step,pictures,seconds\n10,80,5\n20,160,10\n20,,90\n30,240,95\n40,320,1000\n50,400,1005\n")
    pictures, seconds, still_s = benchmark.learning(metrics)
    assert 400 == pictures
    assert 5 * 5 + 80 == pytest.approx(seconds)
    assert 900 == pytest.approx(still_s)


def test_the_ratio_is_that_of_the_networks_picture_by_picture(benchmark: ModuleType):
    rows, times = _rows(benchmark, (2.5, 2.0, 6.0))
    *_, order, ratio = benchmark.verdicts(rows, times)
    assert "R-CNN 2.55 s > Fast R-CNN 150 ms > Faster R-CNN 50 ms > YOLOv1 10 ms: met" == order
    assert "R-CNN : Fast R-CNN, the networks, the same regions: 25.0 (20.0 to 30.0), at least 20: met" == ratio
    assert benchmark.verdicts(*_rows(benchmark, (0.5, 0.5, 0.5)))[-1].endswith("NOT met")


def test_scores_are_held_against_what_they_have_to_be(benchmark: ModuleType):
    rows, times = _rows(benchmark, (2.5, 2.0, 6.0), benchmark.Learnt(8000, 3600.0, 0.0, 0.7, 0.4))
    assert "R-CNN: mAP50 0.700, at least 0.60: met" in benchmark.verdicts(rows, times)
    assert "Fast R-CNN: mAP50 0.700, at least 0.72: NOT met" in benchmark.verdicts(rows, times)
    assert "| **0.700** | 0.400 | 50 ms | 2.50 s | 100 | 1.5 M | 8,000 | 60 min |" in benchmark.table(rows)


def test_the_plot_takes_trained_and_untrained(benchmark: ModuleType, tmp_path: Path):
    trained, _ = _rows(benchmark, (2.5, 2.0, 6.0), benchmark.Learnt(8000, 3600.0, 0.0, 0.7, 0.4))
    untrained, _ = _rows(benchmark, (2.5, 2.0, 6.0))
    benchmark.plot([trained[0], *untrained[1:]], "bccd/test", tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 10_000

"""MOTChallenge CSV, judged by the tool that reads it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from made_results import make_picture, make_result

from streamdet.boxes import xywh_to_xyxy
from streamdet.errors import SinkLost
from streamdet.frames import Detections, Frame, Result, Tracks, TrackState
from streamdet.sinks.mot import Mot, MotOptions


def test_a_line_counts_frames_and_classes_from_one(tmp_path):
    sink = Mot(MotOptions(path=tmp_path / "tracks.csv"))
    sink.open()
    sink.write(make_result(0, objects=1))
    sink.write(make_result(4, objects=2))
    sink.close()
    assert [
        "1,7,2.25,6.25,16.00,20.00,0.9300,1,-1",
        "5,7,2.25,6.25,16.00,20.00,0.9300,1,-1",
        "5,8,12.25,16.25,16.00,20.00,0.5000,1,-1",
    ] == (tmp_path / "tracks.csv").read_text().splitlines()


def test_the_filters_boxes_are_written_where_asked(tmp_path):
    sink = Mot(MotOptions(path=tmp_path / "tracks.csv", boxes="smoothed"))
    sink.open()
    sink.write(make_result(0, objects=1))
    sink.close()
    assert "1,7,2.75,6.75,16.00,20.00,0.9300,1,-1\n" == (tmp_path / "tracks.csv").read_text()


def test_objects_without_a_track_and_unknown_frames_are_left_out(tmp_path):
    sink = Mot(MotOptions(path=tmp_path / "tracks.csv"))
    sink.open()
    half = make_result(0, objects=2)
    assert half.tracks is not None
    half.tracks.track_id[0] = -1
    for result in (half, make_result(1, known=False), make_result(2, tracked=False), make_result(3, objects=0)):
        sink.write(result)
    sink.close()
    assert ["1,8,"] == [line[:4] for line in (tmp_path / "tracks.csv").read_text().splitlines()]


def test_only_confirmed_tracks_are_written(tmp_path):
    sink = Mot(MotOptions(path=tmp_path / "tracks.csv"))
    sink.open()
    half = make_result(0, objects=2)
    assert half.tracks is not None
    half.tracks.state[0] = TrackState.TENTATIVE
    sink.write(half)
    sink.close()
    assert ["1,8,"] == [line[:4] for line in (tmp_path / "tracks.csv").read_text().splitlines()]


def test_each_stream_and_epoch_has_a_file_and_opening_again_goes_on_with_it(tmp_path):
    sink = Mot(MotOptions(path=tmp_path / "tracks"))
    for number in range(3):
        sink.open()
        sink.write(make_result(number, stream="gate", objects=1))
        sink.close()
        sink.close()
    sink.open()
    sink.write(make_result(0, stream="gate", epoch=1))
    sink.write(make_result(0, stream="yard"))
    sink.write(make_result(0, stream="yard"))  # numbers run backwards: removed, and added again
    sink.close()
    assert {"gate.csv", "gate-epoch1.csv", "yard.csv", "yard-2.csv"} == set(os.listdir(tmp_path / "tracks"))
    assert 3 == len((tmp_path / "tracks" / "gate.csv").read_text().splitlines())


def test_a_frame_is_written_wholly_or_not_at_all(tmp_path, full_after):
    sink = Mot(MotOptions(path=tmp_path / "tracks.csv"))
    sink.open()
    with full_after(500), pytest.raises(SinkLost, match="may not grow"):  # noqa: PT012 - which frame is not ours to say
        for number in range(100):
            sink.write(make_result(number, objects=3))
    sink.close()
    lines = (tmp_path / "tracks.csv").read_text().splitlines()
    assert 0 == len(lines) % 3
    assert all(9 == len(line.split(",")) for line in lines)


def test_trackeval_reads_what_was_written_and_finds_it_perfect(tmp_path, shared_data, monkeypatch):
    trackeval = pytest.importorskip("trackeval")
    # TrackEval still uses names that numpy has dropped.
    for name, kind in (("float", float), ("int", int), ("bool", bool)):
        monkeypatch.setattr(np, name, kind, raising=False)
    sequence = "MOT17-09-FRCNN"
    truth = np.loadtxt(shared_data / "mot17_half" / "MOT17-val" / sequence / "gt" / "gt.txt", delimiter=",")
    truth = truth[(truth[:, 6] == 1) & (truth[:, 7] == 1)]
    folder = tmp_path / "MOT17-val" / "ours" / "data"
    sink = Mot(MotOptions(path=folder / f"{sequence}.csv"))
    sink.open()
    picture = make_picture(2, 2, 0)
    for number in range(int(truth[:, 0].max())):
        rows = truth[truth[:, 0] == number + 1]
        xyxy = xywh_to_xyxy(rows[:, 2:6].astype(np.float32))
        found = Detections(xyxy, np.ones(len(rows), np.float32), np.zeros(len(rows), np.int32), ("person",))
        tracks = Tracks(rows[:, 1].astype(np.int64), xyxy, np.full(len(rows), 2, np.uint8))
        sink.write(Result(Frame("street", number, number / 30, picture), found, tracks))
    sink.close()
    (folder / f"{sequence}.csv").rename(folder / f"{sequence}.txt")
    assert 1.0 == pytest.approx(hota(trackeval, shared_data / "mot17_half", tmp_path, sequence), abs=1e-6)


def hota(trackeval, truth: Path, trackers: Path, sequence: str) -> float:
    settings = {
        "GT_FOLDER": str(truth),
        "TRACKERS_FOLDER": str(trackers),
        "TRACKERS_TO_EVAL": ["ours"],
        "BENCHMARK": "MOT17",
        "SPLIT_TO_EVAL": "val",
        "SEQ_INFO": {sequence: None},
        "PRINT_CONFIG": False,
    }
    dataset = trackeval.datasets.MotChallenge2DBox(settings)
    raw = dataset.get_raw_seq_data("ours", sequence)
    metric = trackeval.metrics.HOTA()
    return float(np.mean(metric.eval_sequence(dataset.get_preprocessed_seq_data(raw, "pedestrian"))["HOTA"]))

"""Scores of tracks: known answers for tracks made by hand, and one clear message for every malformed file."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from streamdet.cli.workshop import eval_app
from streamdet.errors import ConfigError, MissingExtra
from streamdet.evaluation.tracks import Sequence, evaluate_tracks, read_mot, score_tracks

FRAMES = 20


def truth_rows(people=2):
    return np.array(
        [[f, p, 100 * p + 2 * f, 50, 30, 60, 1, 1, 1] for f in range(1, FRAMES + 1) for p in range(1, people + 1)],
        float,
    )


def tracked_rows(truth):
    return np.hstack([truth[:, :6], np.ones((len(truth), 1)), -np.ones((len(truth), 3))])


def score(truth, tracked):
    return score_tracks({"street": Sequence(truth, tracked, FRAMES)})[-1]


def test_tracks_that_are_the_truth_score_a_hundred():
    truth = truth_rows()
    got = score(truth, tracked_rows(truth))
    assert (100, 100, 100, 100, 100, 0) == (got.hota, got.det_a, got.ass_a, got.mota, got.idf1, got.switches)


def test_two_who_swap_their_ids_half_way_are_two_switches():
    truth = truth_rows()
    tracked = tracked_rows(truth)
    late = tracked[:, 0] > FRAMES / 2
    tracked[late, 1] = 3 - tracked[late, 1]
    got = score(truth, tracked)
    assert 2 == got.switches
    assert 100 * (1 - 2 / 40) == pytest.approx(got.mota)
    assert 50 == pytest.approx(got.idf1)
    assert 100 == pytest.approx(got.det_a)


def test_half_of_the_people_missed_halve_the_detections():
    truth = truth_rows()
    got = score(truth, tracked_rows(truth)[truth[:, 1] == 1])
    assert 50 == pytest.approx(got.mota)
    assert 50 == pytest.approx(got.det_a)
    assert 100 == pytest.approx(got.ass_a)


def test_no_tracks_at_all_score_nothing():
    got = score(truth_rows(), np.zeros((0, 6)))
    assert (0, 0) == (got.hota, got.mota)


def write(folder, truth, tracked, name="street-01"):
    (folder / "gt" / name / "gt").mkdir(parents=True)
    np.savetxt(folder / "gt" / name / "gt" / "gt.txt", truth, delimiter=",", fmt="%g")
    (folder / "gt" / name / "seqinfo.ini").write_text(f"[Sequence]\nseqLength={FRAMES}\n")
    (folder / "pred").mkdir(exist_ok=True)
    np.savetxt(folder / "pred" / f"{name}.txt", tracked, delimiter=",", fmt="%g")


@pytest.fixture
def street(tmp_path):
    truth = truth_rows()
    write(tmp_path, truth, tracked_rows(truth))
    return tmp_path


def test_folders_are_read_at_either_depth(street):
    (street / "deep").mkdir()
    (street / "gt").rename(street / "deep" / "split")
    rows = evaluate_tracks(street / "pred", street / "deep")
    assert ["street-01", "all"] == [row.sequence for row in rows]
    assert 100 == pytest.approx(rows[-1].hota)


def test_rows_of_other_classes_are_left_out_and_mot15_counts_everything(street):
    cars = truth_rows(1)
    cars[:, 1] += 10
    cars[:, 2] += 1000
    tracked = np.vstack([np.hstack([truth_rows(), -np.ones((40, 1))]), np.hstack([cars, -np.ones((20, 1))])])
    tracked[:, 7] = np.where(tracked[:, 1] > 10, 3, 1)
    np.savetxt(street / "pred" / "street-01.txt", tracked, delimiter=",", fmt="%g")
    assert 100 == pytest.approx(evaluate_tracks(street / "pred", street / "gt")[-1].mota)
    assert 50 == pytest.approx(evaluate_tracks(street / "pred", street / "gt", benchmark="MOT15")[-1].mota)


def test_csv_files_as_the_mot_sink_writes_them_are_taken(street):
    (street / "pred" / "street-01.txt").rename(street / "pred" / "street-01.csv")
    assert 100 == pytest.approx(evaluate_tracks(street / "pred", street / "gt")[-1].hota)


def test_the_length_is_that_of_the_truth_where_no_seqinfo_tells(street):
    (street / "gt" / "street-01" / "seqinfo.ini").unlink()
    assert 100 == pytest.approx(evaluate_tracks(street / "pred", street / "gt")[-1].hota)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1,2,3", "line 2"),
        ("1,2,3,4,five,6", "line 2"),
        ("1;2;3;4;5;6", "line 2"),
        ("1,2,nan,4,5,6", "line 2"),
        ("0,1,3,4,5,6,1,-1,-1,-1", "frame outside"),
        ("21,1,3,4,5,6,1,-1,-1,-1", "1 to 20"),
        ("1,1,3,4,5,6,1,-1,-1,-1", "id 1 twice in frame 1"),
    ],
)
def test_a_malformed_line_is_named(street, line, said):
    path = street / "pred" / "street-01.txt"
    first = path.read_text().splitlines()[0]
    path.write_text(f"{first}\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        evaluate_tracks(street / "pred", street / "gt")
    assert said in str(caught.value)


def test_missing_files_are_named(street, tmp_path):
    with pytest.raises(ConfigError, match="no ground truth"):
        evaluate_tracks(street / "pred", street / "pred")
    (street / "pred" / "street-01.txt").rename(street / "pred" / "another.txt")
    with pytest.raises(ConfigError) as caught:
        evaluate_tracks(street / "pred", street / "gt")
    assert "street-01.txt" in str(caught.value)
    assert "another.txt" in str(caught.value)
    with pytest.raises(ConfigError, match="no tracks of sequence"):
        evaluate_tracks(tmp_path / "nowhere", street / "gt")
    (street / "gt" / "street-01" / "seqinfo.ini").write_text("[Sequence]\nseqLength=many\n")
    (street / "pred" / "another.txt").rename(street / "pred" / "street-01.txt")
    with pytest.raises(ConfigError, match=r"seqinfo\.ini"):
        evaluate_tracks(street / "pred", street / "gt")


def test_an_empty_file_has_no_rows(tmp_path):
    (tmp_path / "empty.txt").write_text("\n")
    assert (0, 6) == read_mot(tmp_path / "empty.txt", columns=6).shape


def test_the_verb_prints_one_table_and_nothing_of_trackeval(street):
    answer = CliRunner().invoke(eval_app, ["tracks", str(street / "pred"), str(street / "gt")])
    assert 0 == answer.exit_code
    assert "street-01" in answer.output
    assert 10 == answer.output.count("100.00")
    assert "Evaluat" not in answer.output


def test_without_trackeval_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "trackeval", None)  # what Python finds where it is not installed
    with pytest.raises(MissingExtra, match="trackeval") as caught:
        score(truth_rows(), tracked_rows(truth_rows()))
    assert "streamdet[eval]" in str(caught.value)


def test_an_unknown_benchmark_is_refused(street):
    answer = CliRunner().invoke(eval_app, ["tracks", str(street / "pred"), str(street / "gt"), "--benchmark", "MOT99"])
    assert isinstance(answer.exception, ConfigError)

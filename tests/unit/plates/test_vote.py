"""The vote: many poor looks make one good text, and what should not be said is not said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdet.errors import ConfigError
from streamdet.frames import PlateText
from streamdet.plate_formats import FORMATS, KNOWN_COUNTRIES, plain_text, plate_format
from streamdet.plates.alignment import align, distance, likeness, swap_cost
from streamdet.plates.ballot import Ballot
from streamdet.plates.grammar import Grammar
from streamdet.plates.privacy import KEY_VARIABLE, Veil, veil
from streamdet.plates.reader import Look, PlateView
from streamdet.plates.vote import PlateEvent, VoteOptions, Voting
from streamdet.plates.watch import Watched, WatchList, read_watch_list
from streamdet.testing import look_at
from streamdet.testing.reading import ALPHABET

TEXTS = st.text(ALPHABET, min_size=4, max_size=9)
A = len(ALPHABET)


def view_at(height_px: float, x: float = 0.0, y: float = 0.0) -> PlateView:
    return PlateView.of(np.array([x, y, x + 4.7 * height_px, y + height_px], np.float32), None)


def passed(voting: Voting, says: list[str | Look | None], track_id: int = 1, fps: float = 25.0) -> list[PlateEvent]:
    """One track, a frame for each entry, all that is due being read; then it ends."""
    events: list[PlateEvent] = []
    for frame, said in enumerate(says):
        view = view_at(20.0 + 0.5 * frame)
        if voting.due([track_id], [view], frame / fps, 4):
            look = look_at(said, view.size[1]) if isinstance(said, str) else said
            events += voting.add(track_id, look, frame, frame / fps)
    return events + voting.ended(track_id)


def texts_of(events: list[PlateEvent], kind: str = "plate_final") -> list[tuple[object, str]]:
    found = []
    for event in events:
        if event.kind == kind:
            text = event.fields["text"]
            assert isinstance(text, PlateText)
            found.append((event.fields.get("state"), text.reveal()))
    return found


# ---- alignment


@given(TEXTS, TEXTS)
def test_the_distance_is_a_metric_of_sorts(a: str, b: str) -> None:
    assert 0 == distance(a, a)
    assert distance(a, b) == pytest.approx(distance(b, a))
    assert abs(len(a) - len(b)) <= distance(a, b) <= max(len(a), len(b))


def test_what_looks_alike_is_near() -> None:
    assert swap_cost("0", "O") < 0.5 < swap_cost("0", "X")
    assert distance("B123ABC", "8I23A8C") < 1.0 < distance("B123ABC", "B123XYC")
    assert np.array_equal(likeness(ALPHABET), likeness(ALPHABET).T)


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 2**32 - 1))
def test_an_alignment_uses_everything_once_and_in_order(m: int, n: int, seed: int) -> None:
    dice = np.random.default_rng(seed)
    match, skip, insert = dice.normal(size=(m, n)), dice.normal(size=m).tolist(), dice.normal(size=n).tolist()
    pairs = align(match, skip, insert)
    assert list(range(m)) == [row for row, _ in pairs if row is not None]
    assert list(range(n)) == [column for _, column in pairs if column is not None]
    gain = 0.0
    for row, column in pairs:
        if row is None or column is None:
            gain += insert[column] if column is not None else skip[row] if row is not None else 0.0
        else:
            gain += match[row, column]
    assert gain >= sum(skip) + sum(insert) - 1e-9


# ---- one plate


@settings(max_examples=40)
@given(TEXTS, st.integers(1, 5))
def test_equal_looks_say_what_they_say(text: str, times: int) -> None:
    ballot = Ballot(ALPHABET)
    for _ in range(times):
        ballot.add(look_at(text).reading.posterior, 1.0)
    assert text == ballot.verdict().text


@settings(max_examples=40)
@given(TEXTS, st.integers(0, 8), st.sampled_from(ALPHABET), st.integers(0, 4))
def test_one_wrong_look_among_four_is_outvoted_wherever_it_comes(text: str, at: int, letter: str, when: int) -> None:
    place = at % len(text)
    wrongs = [
        text[:place] + letter + text[place + 1 :],
        text[:place] + text[place + 1 :],
        text[:place] + letter + text[place:],
    ]
    for wrong in wrongs:
        looks = [text] * 4
        looks.insert(when, wrong)
        ballot = Ballot(ALPHABET)
        for each in looks:
            ballot.add(look_at(each).reading.posterior, 1.0)
        assert text == ballot.verdict().text


def test_a_good_look_outweighs_a_poor_one() -> None:
    ballot = Ballot(ALPHABET)
    ballot.add(look_at("B123ABC").reading.posterior, 1.5)
    ballot.add(look_at("B123AXC").reading.posterior, 0.2)
    assert "B123ABC" == ballot.verdict().text


def test_more_agreement_is_worth_more() -> None:
    scores = []
    for times in (1, 2, 4):
        ballot = Ballot(ALPHABET)
        for _ in range(times):
            ballot.add(look_at("B123ABC").reading.posterior, 1.0)
        scores.append(ballot.verdict().score)
    assert scores == sorted(scores)
    assert scores[0] < 0.95 < scores[2]


# ---- grammar


def test_a_country_settles_what_looks_alike() -> None:
    grammar = Grammar(["RO"], ALPHABET)
    for read, meant in (("8123ABC", "B123ABC"), ("B1O3ABC", "B103ABC"), ("CJ0IABC", "CJ01ABC"), ("SB99XYZ", "SB99XYZ")):
        ballot = Ballot(ALPHABET, grammar)
        for _ in range(2):
            ballot.add(look_at(read, sure=0.6).reading.posterior, 1.0)
        verdict = ballot.verdict()
        assert meant == verdict.text
        assert verdict.format_key.startswith("RO/")


def test_what_has_one_stamp_is_settled_by_the_format_however_often_it_was_read_the_other_way() -> None:
    grammar = Grammar(["GB"], ALPHABET)
    texts = ("XJ04JB0", "XJ04JBO"), ("WDI8YOU", "WD18YOU"), ("XJ04JBD", "XJ04JBD"), ("X0044JBO", "X0044JBO")
    for read, meant in texts:
        ballot = Ballot(ALPHABET, grammar)
        for _ in range(30):
            ballot.add(look_at(read, sure=0.999).reading.posterior, 1.0)
        assert meant == ballot.verdict().text


def looks_torn(text: str, place: int, pair: str, share: float, grammar: Grammar | None, times: int = 12) -> Ballot:
    """Looks that give the first of a pair, at one place of a text, that share, and the second what is left."""
    posterior = np.zeros((len(text), len(ALPHABET)), np.float32)
    for slot, character in enumerate(text):
        posterior[slot, ALPHABET.index(character)] = 1.0
    posterior[place] = 0.0
    posterior[place, [ALPHABET.index(each) for each in pair]] = share, 1 - share
    ballot = Ballot(ALPHABET, grammar)
    for _ in range(times):
        ballot.add(posterior, 1.0)
    return ballot


def test_looks_that_know_the_letter_from_the_digit_are_believed_against_formats_of_the_world() -> None:
    grammar = Grammar(KNOWN_COUNTRIES, ALPHABET)
    assert "F092MDT" == looks_torn("F092MDT", 1, "0O", 0.9, grammar).verdict().text
    assert "FO92MDT" == looks_torn("F092MDT", 1, "0O", 0.55, grammar).verdict().text


def test_where_no_format_tells_a_letter_with_a_digits_stamp_is_the_digit_unless_looks_know_it() -> None:
    for share, meant in ((0.6, "7XK40M20"), (0.95, "7XK4OM20")):
        verdict = looks_torn("7XK4OM20", 4, "O0", share, Grammar(["RO"], ALPHABET)).verdict()
        assert meant == verdict.text
        assert verdict.score > 0.9


def test_where_two_formats_make_two_texts_of_the_same_stamps_neither_is_sure() -> None:
    grammar = Grammar(["PL", "US"], ALPHABET)  # XG 09022, XGO-9022
    assert looks_torn("XGO9022", 2, "O0", 0.5, grammar).verdict().score < 0.9
    assert looks_torn("XGR9022", 2, "RB", 0.9, grammar).verdict().score > 0.99


def test_looks_agree_with_a_text_that_has_the_same_stamps() -> None:
    events = passed(Voting(VoteOptions(countries=("GB",)), ALPHABET), ["XJ04JB0"] * 2 + ["XJ04JBO"] * 2)
    assert [("final", "XJ04JBO")] == texts_of(events)
    assert [4] == [event.fields["agreeing"] for event in events if event.kind == "plate_final"]


def test_a_plate_that_fits_no_format_is_still_read() -> None:
    ballot = Ballot(ALPHABET, Grammar(["RO"], ALPHABET))
    for _ in range(4):
        ballot.add(look_at("7XK4420M").reading.posterior, 1.0)
    assert ("7XK4420M", "") == (ballot.verdict().text, ballot.verdict().format_key)


@pytest.mark.parametrize("key", [entry.key for entry in FORMATS])
def test_every_format_accepts_what_it_draws(key: str) -> None:
    entry, dice = plate_format(key), np.random.default_rng(1)
    grammar = Grammar([entry.country], ALPHABET)
    for _ in range(3):
        text = plain_text(entry.draw(dice))
        belief = np.log(np.full((len(text), A), 1e-4))
        belief[np.arange(len(text)), [ALPHABET.index(letter) for letter in text]] = 0.0
        found = grammar.best(belief)
        assert found is not None
        assert text == found.text


def test_an_unknown_country_is_said() -> None:
    with pytest.raises(ConfigError, match="no plate formats"):
        Grammar(["QQ"], ALPHABET)


# ---- tracks


def noisy(text: str, dice: np.random.Generator, noise: float, steady: np.ndarray, height_px: float) -> Look:
    """A look whose errors are of every kind: alike characters first, some the same in every look, sure of itself."""
    rows = [ALPHABET.index(letter) for letter in text]
    logits = 3 * likeness(ALPHABET)[rows] + steady[: len(text)] + dice.normal(0, noise, (len(text), A))
    logits[np.arange(len(text)), rows] += 6
    share = np.exp(2 * logits)
    posterior = list(share / share.sum(axis=1, keepdims=True))
    if dice.random() < 0.03:
        del posterior[int(dice.integers(len(posterior)))]
    if dice.random() < 0.03:
        posterior.insert(int(dice.integers(len(posterior) + 1)), dice.dirichlet(np.full(A, 0.1)))
    plain = look_at("A" * len(posterior), height_px)
    confident = np.array([row.max() for row in posterior], np.float32)
    reading = type(plain.reading)(np.array(posterior, np.float32), plain.reading.xyxy, plain.reading.line, confident)
    return Look(reading, ALPHABET, plain.size, float(dice.uniform(0.3, 0.7)), 1.0, plain.crop)


def test_three_hundred_passes_with_dropped_frames_end_right() -> None:
    dice = np.random.default_rng(11)
    single = []
    outcome = {"right": 0, "wrong": 0, "single": 0}
    for number in range(300):
        text = plain_text(FORMATS[number % len(FORMATS)].draw(dice))
        steady, frames = dice.normal(0, 0.5, (12, A)), int(dice.integers(10, 30))
        voting, events = Voting(VoteOptions(), ALPHABET), []
        for frame in range(frames):
            view, pts_s = view_at(12 + 20 * frame / frames), frame / 12.5
            if dice.random() < 0.3 or not voting.due([1], [view], pts_s, 4):
                continue
            look = noisy(text, dice, 1.35 - 0.35 * frame / frames, steady, view.size[1])
            single.append(look.text.reveal() == text)
            events += voting.add(1, look, frame, pts_s)
        events += voting.ended(1)
        assert [] == [event for event in events if event.kind == "plate_split"]
        for state, said in texts_of(events):
            outcome["single" if state == "single" else "right" if said == text else "wrong"] += 1
    assert 0.6 <= np.mean(single) <= 0.8
    assert outcome["right"] >= 0.95 * 300
    assert outcome["wrong"] <= 0.01 * 300


def test_no_text_is_final_on_what_is_no_plate() -> None:
    dice = np.random.default_rng(5)
    for _ in range(100):
        voting = Voting(VoteOptions(), ALPHABET)
        says: list[str | Look | None] = []
        for _ in range(15):
            n = int(dice.integers(0, 8))
            posterior = dice.dirichlet(np.full(A, 0.05), n).astype(np.float32).reshape(n, A)
            plain = look_at("A" * n)
            confident = posterior.max(axis=1) if n else np.zeros(0, np.float32)
            reading = type(plain.reading)(posterior, plain.reading.xyxy, plain.reading.line, confident)
            says.append(Look(reading, ALPHABET, (94.0, 20.0), 0.5, 1.0, plain.crop))
        assert [] == [text for state, text in texts_of(passed(voting, says)) if state == "final"]


def test_one_look_is_single_and_two_that_agree_are_final() -> None:
    assert [("single", "B123ABC")] == texts_of(passed(Voting(VoteOptions(), ALPHABET), ["B123ABC"]))
    assert [("final", "B123ABC")] == texts_of(passed(Voting(VoteOptions(), ALPHABET), ["B123ABC"] * 3))


def test_a_track_without_a_text_ends_in_silence() -> None:
    assert [] == passed(Voting(VoteOptions(), ALPHABET), [None] * 5)
    assert [] == passed(Voting(VoteOptions(), ALPHABET), ["A1"] * 5)


def test_two_plates_on_one_track_are_two_plates() -> None:
    voting = Voting(VoteOptions(), ALPHABET)
    events = passed(voting, ["B123ABC"] * 20 + ["CJ99XYZ"] * 30)
    assert [("final", "B123ABC"), ("final", "CJ99XYZ")] == texts_of(events)
    (split,) = [event for event in events if event.kind == "plate_split"]
    assert (1, 1) == (split.fields["track_id"], split.fields["part"])


def test_one_strange_look_splits_nothing() -> None:
    events = passed(Voting(VoteOptions(), ALPHABET), ["B123ABC"] * 3 + ["CJ99XYZ"] + ["B123ABC"] * 3)
    assert [("final", "B123ABC")] == texts_of(events)


def test_the_same_text_soon_after_is_the_same_plate_come_back() -> None:
    voting = Voting(VoteOptions(memory_s=10), ALPHABET)
    first = passed(voting, ["B123ABC"] * 5, track_id=1)
    again = passed(voting, ["B123ABC"] * 5, track_id=2)
    other = passed(voting, ["CJ99XYZ"] * 5, track_id=3)
    assert ["plate_final", "plate_rejoined", "plate_final"] == [each[-1].kind for each in (first, again, other)]
    assert [1, 1, 2] == [each[-1].fields["plate"] for each in (first, again, other)]


def test_after_its_memory_a_text_is_a_new_plate() -> None:
    voting = Voting(VoteOptions(memory_s=0.5), ALPHABET)
    passed(voting, ["B123ABC"] * 5, track_id=1)
    for frame in range(100, 105):
        view = view_at(20)
        for _ in voting.due([2], [view], frame / 25, 4):
            voting.add(2, look_at("B123ABC"), frame, frame / 25)
    assert [("final", "B123ABC")] == texts_of(voting.ended(2))


def test_the_evidence_is_the_best_look_that_read_it() -> None:
    voting = Voting(VoteOptions(evidence="crop"), ALPHABET)
    says = [look_at("B123ABC", 20, sharpness=s) for s in (0.2, 0.9, 0.3)] + [look_at("B123AXC", 20, sharpness=0.99)]
    (final,) = passed(voting, list(says))
    evidence = final.fields["evidence"]
    assert isinstance(evidence, dict)
    assert 1 == evidence["frame"]
    assert says[1].sha256 == evidence["sha256"]
    assert evidence["crop_png"].startswith("iVBOR")


@pytest.mark.parametrize(("grows", "direction"), [(1.04, "approaching"), (0.96, "departing"), (1.0, "across")])
def test_which_way_it_went(grows: float, direction: str) -> None:
    voting = Voting(VoteOptions(line=((0, 50), (500, 50))), ALPHABET)
    for frame in range(20):
        view = view_at(25 * grows**frame, 10.0 * frame, 10.0 + 5 * frame)
        if voting.due([1], [view], frame / 25, 4):
            voting.add(1, look_at("B123ABC", view.size[1]), frame, frame / 25)
    (final,) = voting.ended(1)
    assert direction == final.fields["direction"]
    assert "forward" == final.fields["crossed"]
    assert pytest.approx(19 / 25) == final.fields["dwell_s"]


def test_the_neediest_come_first() -> None:
    voting = Voting(VoteOptions(), ALPHABET)
    for frame in range(8):
        voting.due([1], [view_at(20)], frame / 25, 1)
        voting.add(1, look_at("B123ABC"), frame, frame / 25)
    views = [view_at(20)] * 3
    assert [1] == voting.due([1, 2, -1], views, 0.33, 1)  # known; new; without a track
    assert [] == voting.due([1, -1, -1], views, 0.34, 4)
    assert [0] == voting.due([1, -1, -1], views, 2.0, 4)  # looked at again after a while


def test_a_short_high_plate_must_be_larger_to_be_read() -> None:
    voting = Voting(VoteOptions(min_height_px=11), ALPHABET)
    for size, due in (((60, 12), True), ((60, 10), False), ((24, 12), False), ((40, 20), True)):
        view = PlateView.of(np.array([0, 0, *size], np.float32), None)
        assert due == bool(voting.due([1], [view], 0.0, 4)) == bool(voting.readable([view], 4))


# ---- watch lists and privacy


def test_a_watched_plate_is_told_once_also_when_a_character_is_off(tmp_path: Path) -> None:
    path = tmp_path / "watch.txt"
    path.write_text("# whom we wait for\n\nB 123 ABC, the doctor\nCJ-99-XYZ\n")
    voting = Voting(VoteOptions(watch=path), ALPHABET)
    events = passed(voting, ["B123A8C"] * 6, track_id=1) + passed(voting, ["CJ99XYZ"] * 6, track_id=2)
    told = [event for event in events if event.kind == "plate_watched"]
    assert ["the doctor", "line 4"] == [event.fields["label"] for event in told]
    assert [0.3, 0.0] == [event.fields["distance"] for event in told]


def test_the_nearest_entry_is_found_and_none_beyond_reach() -> None:
    watched = WatchList([Watched("B123ABC", "a"), Watched("B123ABD", "b")])
    hit = watched.find("B123ABD")
    assert hit is not None
    assert "b" == hit.label
    assert watched.find("B129XBC") is None
    assert "B123" not in repr(watched.__class__([Watched("B123ABC", "a")])._entries)


def test_a_watch_list_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="watch list"):
        read_watch_list(tmp_path / "none.txt")


def test_a_hash_is_the_same_for_the_same_plate_under_the_same_key() -> None:
    one, other = Veil("hash", b"k" * 16), Veil("hash", b"q" * 16)
    text = PlateText("B123ABC")
    assert one.shown(text) == one.shown(PlateText("B123ABC")) != other.shown(text)
    assert "B123ABC" not in one.shown(text).reveal()
    assert text == Veil().shown(text)


def test_hashing_needs_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(ConfigError, match="secret key"):
        veil("hash")
    monkeypatch.setenv(KEY_VARIABLE, "short")
    with pytest.raises(ConfigError, match="secret key"):
        veil("blur")
    key = tmp_path / "key"
    with pytest.raises(ConfigError, match="cannot be read"):
        veil("hash", key)
    key.write_text("a long enough secret\n")
    assert veil("blur", key).blurs
    assert not veil("off").hides

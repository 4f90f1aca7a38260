"""The evidence of one plate: a column per character, to which every look adds what it says for each letter."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from streamdet.plates.alignment import ONE_STAMP, align, likeness
from streamdet.plates.grammar import Grammar

Floats = npt.NDArray[np.float64]

_UNSURE = (
    0.08  # of every posterior is spread over all characters: no single look may be certain, blur is sure of itself
)
_CONFUSED = 0.06  # so much of it goes to a character that looks just the same, less to others; the same both ways
_MISSED, _INVENTED = 0.06, 0.03  # how often a look has no such character, or one that is not there
_INDEPENDENT = 6.0  # so many looks' worth of evidence at most: the next frame repeats the errors of the last
_MOST = 24  # columns; the ones with the least evidence go
_KNOWN = 0.8  # the share of a pair's looks from which they know the letter from the digit
_SELDOM = 0.005  # how often they are wrong in that


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the evidence says."""

    text: str
    score: float  # that the whole text is right
    format_key: str = ""  # of the layout that was preferred; empty: read freely


class Ballot:
    """Sums of weighted log posteriors per column, aligned before they are added.

    The last entry of a column is for "no character here", so that what one look invents is outvoted like any letter.
    """

    def __init__(self, alphabet: str, grammar: Grammar | None = None) -> None:
        self._alphabet = alphabet
        self._grammar = grammar
        self._evidence: Floats = np.zeros((0, len(alphabet) + 1))
        self._shown: Floats = np.zeros((0, len(alphabet)))  # weighted sums of the looks' shares
        self.weight = 0.0  # of all looks together

    def add(self, posterior: npt.NDArray[np.float32], weight: float) -> None:
        """One look [n, A]; a look without characters says nothing."""
        if not len(posterior) or weight <= 0:
            return
        letters = posterior.shape[1]
        softened = softened_posterior(posterior.astype(np.float64), self._alphabet)
        said = np.concatenate(
            [np.log(softened) + np.log(1 - _MISSED), np.full((len(softened), 1), np.log(_INVENTED / letters))], axis=1
        )
        unsaid = np.append(np.full(letters, np.log(_MISSED)), np.log(1 - _INVENTED))
        nothing = np.zeros(letters)
        evidence: list[Floats] = []
        shown: list[Floats] = []
        for column, slot in self._pairs(softened):
            known = self.weight * unsaid if column is None else self._evidence[column]
            evidence.append(known + weight * (unsaid if slot is None else said[slot]))
            seen = nothing if column is None else self._shown[column]
            shown.append(seen + weight * (nothing if slot is None else posterior[slot]))
        self._evidence, self._shown = np.array(evidence), np.array(shown)
        self.weight += weight
        if len(self._evidence) > _MOST:
            kept = np.sort(np.argsort(self._belief()[:, -1], kind="stable")[:_MOST])
            self._evidence, self._shown = self._evidence[kept], self._shown[kept]

    def _pairs(self, softened: Floats) -> list[tuple[int | None, int | None]]:
        letters = softened.shape[1]
        belief = self._belief()
        there, gone = belief[:, :-1], belief[:, -1:]
        match = np.log(there @ softened.T * (1 - _MISSED) + gone * (_INVENTED / letters) + 1e-12)
        skip = np.log((1 - gone[:, 0]) * _MISSED + gone[:, 0] * (1 - _INVENTED) + 1e-12)
        return align(match, skip.tolist(), [float(np.log(_INVENTED / letters))] * len(softened))

    def _belief(self) -> Floats:
        """[m, A + 1]: the share of each character in each column."""
        if not len(self._evidence):
            return self._evidence
        tempered = self._tempered()
        share = np.exp(tempered - tempered.max(axis=1, keepdims=True))
        return np.asarray(share / share.sum(axis=1, keepdims=True))

    def _tempered(self) -> Floats:
        return self._evidence * min(1.0, _INDEPENDENT / max(self.weight, 1e-9))

    def verdict(self) -> Verdict:
        """The likeliest text, by the grammar where there is one and something of it fits."""
        if not len(self._evidence):
            return Verdict("", 0.0)
        log_belief = np.log(np.maximum(self._belief(), 1e-12))
        inked = log_belief.argmax(axis=1) < len(self._alphabet)
        there, shown = log_belief[inked, :-1], self._shown[inked]
        text, believed = _read_freely(there, shown, self._alphabet)
        score = float(np.exp(believed.sum() + log_belief[~inked].max(axis=1).sum())) if text else 0.0
        fitting = None if self._grammar is None else self._grammar.best(_with_twins(there, shown, self._alphabet))
        # Everything that the grammar allows shares what it weighs more than a free text does.
        free = float(there.max(axis=1).sum()) - len(text) * np.log(len(self._alphabet))
        if fitting is None or fitting.gain < free:
            return Verdict(text, score)
        against = fitting.others if fitting.text == text else np.logaddexp(fitting.others, free)
        return Verdict(fitting.text, float(fitting.share / (1 + np.exp(against - fitting.gain))), fitting.key)


def _twins(alphabet: str) -> list[list[int]]:
    """Digit and letter of each pair that has one stamp, as places in the alphabet."""
    return [[alphabet.index(each) for each in pair] for pair in ONE_STAMP if set(pair) <= set(alphabet)]


def _shares(shown: Floats, pair: list[int]) -> Floats:
    """[m, 2]: how the looks divide a pair between its digit and its letter."""
    return np.asarray(shown[:, pair] / np.maximum(shown[:, pair].sum(axis=1, keepdims=True), 1e-9))


def _read_freely(log_belief: Floats, shown: Floats, alphabet: str) -> tuple[str, Floats]:
    """The likeliest character of each column [m, A], and its log belief.

    Where no format tells, a letter that has a digit's stamp is taken for the digit, unless looks know it: most
    countries leave such letters out.
    """
    best, believed = log_belief.argmax(axis=1), log_belief.max(axis=1)
    for pair in _twins(alphabet):
        digit, letter = pair
        doubted = (best == letter) & (_shares(shown, pair)[:, 1] < _KNOWN)
        best[doubted] = digit
        believed[doubted] = np.logaddexp(log_belief[doubted, digit], log_belief[doubted, letter])
    return "".join(alphabet[k] for k in best), believed


def _with_twins(log_belief: Floats, shown: Floats, alphabet: str) -> Floats:
    """Columns [m, A] in which a character speaks for its twin, too, as far as looks on the average do.

    Where letter and digit have one stamp every look errs in the same way: however many agree, they say no more than
    one. Where a country has a stamp for each, looks know it, and hardly any grammar turns one into the other.
    """
    found = log_belief.copy()
    for pair in _twins(alphabet):
        either = np.logaddexp(*log_belief[:, pair].T)
        share = _shares(shown, pair)
        doubt = np.where(share > 1 - _KNOWN, share, _SELDOM)
        found[:, pair] = np.maximum(log_belief[:, pair], either[:, None] + np.log(doubt))
    return found


@cache
def _likeness(alphabet: str) -> Floats:
    return likeness(alphabet)


def softened_posterior(posterior: Floats, alphabet: str) -> Floats:
    """[n, A] with room for doubt: some of it for every character, some for those that look alike."""
    alike = posterior @ _likeness(alphabet)
    sure = 1 - _UNSURE - _CONFUSED * alike.sum(axis=1, keepdims=True)
    return np.asarray(sure * posterior + _CONFUSED * alike + _UNSURE / posterior.shape[1])

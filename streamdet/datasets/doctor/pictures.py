"""Checks of single pictures."""

from __future__ import annotations

from collections.abc import Iterator

from streamdet.datasets.doctor.report import Case, Check
from streamdet.datasets.doctor.snapshot import PictureFacts, Snapshot
from streamdet.datasets.samples import Entry

_FLAT = 2.0  # standard deviation below which nothing can be seen
_FAINT = 8.0


def _missing(snapshot: Snapshot) -> Iterator[Case]:
    return snapshot.picture_cases(lambda _, facts: "" if facts.missing else None)


def _unreadable(snapshot: Snapshot) -> Iterator[Case]:
    return snapshot.picture_cases(lambda _, facts: None if facts.truncated else facts.unreadable or None)


def _truncated(snapshot: Snapshot) -> Iterator[Case]:
    return snapshot.picture_cases(lambda _, facts: "" if facts.truncated else None)


def is_flat(facts: PictureFacts) -> bool:
    """Whether nothing can be seen on it."""
    return facts.readable and facts.contrast < _FLAT


def _shade(entry: Entry, facts: PictureFacts) -> str:
    shade = "black" if facts.brightness < 16 else "white" if facts.brightness > 239 else "of one shade"
    return f"{shade}, {len(entry.objects)} labelled objects"


def _flat(snapshot: Snapshot) -> Iterator[Case]:
    return snapshot.picture_cases(
        lambda entry, facts: _shade(entry, facts) if is_flat(facts) and len(entry.objects) else None
    )


def _flat_and_bare(snapshot: Snapshot) -> Iterator[Case]:
    return snapshot.picture_cases(
        lambda entry, facts: _shade(entry, facts) if is_flat(facts) and not len(entry.objects) else None
    )


def _faint(snapshot: Snapshot) -> Iterator[Case]:
    return snapshot.picture_cases(
        lambda _, facts: (
            f"standard deviation {facts.contrast:.1f} of 255"
            if facts.readable and _FLAT <= facts.contrast < _FAINT
            else None
        )
    )


def _size_differs(snapshot: Snapshot) -> Iterator[Case]:
    def note(entry: Entry, facts: PictureFacts) -> str | None:
        if not facts.readable or entry.size == facts.size or 0 in entry.size:
            return None
        swapped = entry.size == facts.size[::-1] and facts.turned
        return f"labels say {_by(entry.size)}, the file shows {_by(facts.size)}" + (
            ": labelled before its rotation was applied" if swapped else ""
        )

    return snapshot.picture_cases(note)


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} by {size[1]}"


def _turned(snapshot: Snapshot) -> Iterator[Case]:
    return snapshot.picture_cases(lambda _, facts: "" if facts.readable and facts.turned else None)


def _grey(snapshot: Snapshot) -> Iterator[Case]:
    return snapshot.picture_cases(lambda _, facts: "" if facts.readable and facts.channels == 1 else None)


def _alpha(snapshot: Snapshot) -> Iterator[Case]:
    return snapshot.picture_cases(lambda _, facts: "" if facts.readable and facts.channels == 4 else None)


def _deep(snapshot: Snapshot) -> Iterator[Case]:
    return snapshot.picture_cases(lambda _, facts: f"{facts.bits} bit" if facts.bits > 8 else None)


def _small(snapshot: Snapshot) -> Iterator[Case]:
    width, height = snapshot.size

    def note(_: Entry, facts: PictureFacts) -> str | None:
        if not facts.readable or facts.size[0] * 2 > width or facts.size[1] * 2 > height:
            return None
        return _by(facts.size)

    return snapshot.picture_cases(note)


def _bare(snapshot: Snapshot) -> Iterator[Case]:
    return snapshot.picture_cases(lambda entry, _: None if len(entry.objects) else "")


CHECKS = (
    Check(
        "picture_missing",
        "error",
        "missing pictures",
        "The labels name a picture that is not there.",
        "Copy the picture, correct the name, or remove its labels.",
        _missing,
    ),
    Check(
        "picture_unreadable",
        "error",
        "unreadable pictures",
        "The file is there, and is no picture that can be decoded.",
        "Fetch it again from where it came, or remove it.",
        _unreadable,
    ),
    Check(
        "picture_truncated",
        "error",
        "truncated pictures",
        "The file ends early: its lower part is grey at best, and whatever is labelled there is not to be seen.",
        "Fetch it again from where it came, or remove it.",
        _truncated,
    ),
    Check(
        "picture_flat",
        "error",
        "black or uniform pictures with objects",
        "Nothing can be seen, yet objects are labelled: the network would learn to guess.",
        "Remove the picture or its labels.",
        _flat,
    ),
    Check(
        "picture_flat_bare",
        "warning",
        "black or uniform pictures",
        "Nothing can be seen, and nothing is labelled: a waste of time, seldom more.",
        "Remove them, unless a camera that shows nothing is part of the task.",
        _flat_and_bare,
    ),
    Check(
        "picture_faint",
        "info",
        "pictures with hardly any contrast",
        "Fog, darkness or a lens cap: what is labelled can hardly be seen.",
        "Look at them; keep them if people can tell the objects.",
        _faint,
    ),
    Check(
        "size_differs",
        "error",
        "labels made for another size",
        "The size in the labels is not that of the file: the picture was scaled, cropped or turned after labelling.",
        "Use the pictures that were labelled, or scale the labels.",
        _size_differs,
    ),
    Check(
        "exif_rotation",
        "info",
        "pictures turned by their metadata",
        "EXIF says that they are to be turned, which is done before use. Labels must fit the turned picture.",
        "Look at some with `streamdet data show`.",
        _turned,
    ),
    Check(
        "grey",
        "info",
        "grey pictures",
        "They have one channel and are used as colour pictures without colour.",
        "Nothing, if cameras at work give grey pictures too.",
        _grey,
    ),
    Check(
        "alpha",
        "info",
        "pictures with transparency",
        "The transparency is thrown away; what it hid becomes visible.",
        "Flatten them onto the background that is meant.",
        _alpha,
    ),
    Check(
        "deep",
        "info",
        "pictures of more than 8 bits",
        "They are reduced to 8 bits by their highest ones, which may leave little contrast.",
        "Convert them with the brightness range that you need.",
        _deep,
    ),
    Check(
        "small",
        "info",
        "pictures much smaller than the training size",
        "They are enlarged at least twice: that costs time and adds no detail.",
        "Train at a smaller size, or fetch larger pictures.",
        _small,
    ),
    Check(
        "bare",
        "info",
        "pictures without objects",
        "Background pictures teach what not to find; a few are good. Where they are many, some may await their labels.",
        "Make sure that there is really nothing on them.",
        _bare,
    ),
)

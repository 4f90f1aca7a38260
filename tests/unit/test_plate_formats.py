"""The grammars of number plates."""

from __future__ import annotations

import numpy as np
import pytest

from streamdet.plate_formats import FORMATS, FREE_ALPHABET, PlateFormat, formats_of, plain_text, plate_format


@pytest.mark.parametrize("plate", FORMATS, ids=lambda plate: plate.key)
def test_every_drawn_plate_fits_its_own_grammar(plate: PlateFormat) -> None:
    random = np.random.default_rng(7)
    for _ in range(200):
        text = "".join(plate.draw(random)).replace(" ", "")
        assert plate.matches(text), text


@pytest.mark.parametrize("plate", FORMATS, ids=lambda plate: plate.key)
def test_the_text_is_letters_and_digits_alone(plate: PlateFormat) -> None:
    random = np.random.default_rng(8)
    for _ in range(50):
        text = plain_text(plate.draw(random))
        assert plate.matches(text), text
        assert text.isascii()
        assert text.isalnum()
        assert set(plain_text(plate.draw(random, free=True))) <= {*FREE_ALPHABET, *"B0"}  # B and 0 stand for themselves


@pytest.mark.parametrize(
    ("key", "text", "fits"),
    [
        ("RO/car", "B123ABC", True),
        ("RO/car", "CJ12XYZ", True),
        ("RO/car", "CJ123XYZ", False),
        ("ES/car", "1234BCD", True),
        ("ES/car", "1234ABC", False),  # Spain uses no vowels
        ("FR/car", "AB123CD", True),
        ("FR/car", "AB123CDX", False),
        ("VN/motorbike", "29-B112345", True),
        ("VN/motorbike", "29B112345", True),  # what is printed between the groups is no part of the text
        ("CN/blue", "A12345", True),
        ("CN/blue", "AO2345", False),
        ("GB/square", "AB12CDE", True),
        ("US/car", "abc1234", False),
    ],
)
def test_known_texts_fit_or_do_not(key: str, text: str, fits: bool) -> None:
    assert fits == plate_format(key).matches(text)


def test_keys_are_unique() -> None:
    assert len(FORMATS) == len({plate.key for plate in FORMATS})


def test_formats_are_found_by_country_and_vehicle() -> None:
    assert ["ES/car"] == [plate.key for plate in formats_of(("ES",), "car")]
    assert () == formats_of(("ZZ",), "car")


def test_an_unknown_key_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        plate_format("XX/none")

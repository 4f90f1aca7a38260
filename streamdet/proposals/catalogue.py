"""From a name on the command line to a way of proposing boxes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from streamdet.errors import ConfigError
from streamdet.proposals.contract import Proposer
from streamdet.proposals.edge_boxes import EdgeBoxes, EdgeBoxOptions
from streamdet.proposals.selective_search import SelectiveSearch, SelectiveSearchOptions
from streamdet.proposals.sliding_windows import SlidingWindowOptions, SlidingWindows

METHODS: dict[str, tuple[Callable[[Any], Proposer], type[BaseModel]]] = {
    SelectiveSearch.name: (SelectiveSearch, SelectiveSearchOptions),
    EdgeBoxes.name: (EdgeBoxes, EdgeBoxOptions),
    SlidingWindows.name: (SlidingWindows, SlidingWindowOptions),
}


def open_proposer(text: str) -> Proposer:
    """`METHOD[?option=value&…]`: `selective-search?strategy=quality&seed=1`; lists are parted by commas."""
    name, _, query = text.partition("?")
    if name not in METHODS:
        raise ConfigError("no such method of proposing boxes", expected=" or ".join(METHODS), got=name)
    build, options = METHODS[name]
    values: dict[str, object] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        known = options.model_fields.get(key)
        values[key] = value.split(",") if known and "tuple" in str(known.annotation) else value
    try:
        return build(options.model_validate(values, strict=False))
    except ValidationError as error:
        first = error.errors()[0]
        option = first["loc"][0] if first["loc"] else "?"
        raise ConfigError(
            f"{name}: {option}: {first['msg']}",
            expected=", ".join(options.model_fields),
            got=text,
        ) from error

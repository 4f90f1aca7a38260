"""A document's values → RunOptions, with every problem named by its path, line, value and a hint."""

from __future__ import annotations

import difflib
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from streamdet.config.models import RunOptions
from streamdet.config.strict_yaml import Document, Location, Problem, load

Options = TypeVar("Options", bound=BaseModel)
Flags = Callable[[Mapping[str, Any]], dict[str, Any]]


def read_options(path: Path | None, flags: Flags = dict) -> RunOptions:
    """The options of a file (or none), changed by the command line's flags; one ConfigError names all problems."""
    document = load(path) if path is not None else Document(Path("the flags"), {}, {}, [])
    if not isinstance(document.values, dict):
        document.problems.append(Problem((), "the file must hold keys and values", type(document.values).__name__))
        document.refuse()
    values = flags(document.values)
    if not values.get("streams"):
        document.problems.append(
            Problem(("streams",), "there is nothing to run", None, "name a source: streamdet run --source street.mp4")
        )
        document.refuse()
    return validated(RunOptions, values, document)


def validated(model: type[Options], values: Mapping[str, Any], document: Document) -> Options:
    """The options that these values of a document are; one ConfigError names all problems, those of reading too."""
    try:
        options = model.model_validate(values)
    except ValidationError as error:
        document.problems += _new_problems(error, model, values, document)
        document.refuse()
        raise AssertionError("a validation error names at least one problem") from error
    document.refuse()
    return options


def _new_problems(error: ValidationError, model: type[BaseModel], values: Any, document: Document) -> list[Problem]:
    """Without those that only follow from others: of a value that could not be read, or of a list left empty by it."""
    known = {problem.location for problem in document.problems}
    problems = [
        (str(found["type"]), _problem(found, model, values, document)) for found in error.errors(include_url=False)
    ]
    places = known | {problem.location for kind, problem in problems if kind != "too_short"}
    return [
        problem
        for kind, problem in problems
        if problem.location not in known
        and not (kind == "too_short" and any(place[: len(problem.location)] == problem.location for place in places))
    ]


def _problem(found: Mapping[str, Any], model: type[BaseModel], values: Any, document: Document) -> Problem:
    location = _real_location(found["loc"], values)
    kind, message = str(found["type"]), str(found["msg"])
    got: object = found.get("input")
    hint = None
    if kind == "extra_forbidden":
        known = sorted(_known_keys(model, tuple(found["loc"][:-1])))
        near = difflib.get_close_matches(str(location[-1]), known, n=1)
        message, got = "this key is not known", None
        hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}" if known else None
    elif kind == "missing":
        message, got = "this key is missing", None
    elif kind in ("union_tag_invalid", "union_tag_not_found"):
        context = found.get("ctx", {})
        expected, key = (str(context.get(name, "")).replace("'", "") for name in ("expected_tags", "discriminator"))
        message, got = f"this {key or 'kind'} is not known", context.get("tag")
        near = difflib.get_close_matches(str(got), expected.split(", "), n=1)
        hint = f"did you mean {near[0]}?" if near else f"one of {expected}" if expected else f"say its `{key}`"
    if isinstance(got, dict | list):
        got = None
    return Problem(location, message[:1].lower() + message[1:], got, hint, document.line_of(location))


def _real_location(loc: tuple[str | int, ...], values: Any) -> Location:
    """Pydantic's path without the names of union members that it puts in between."""
    location: list[str | int] = []
    here = values
    for position, part in enumerate(loc):
        last = position == len(loc) - 1
        inside = part in here if isinstance(here, Mapping) else isinstance(here, list) and part in range(len(here))
        if inside:
            here = here[part]
        elif isinstance(part, int) and part == 0 and isinstance(here, Mapping):
            continue  # a single mapping where a list may stand
        elif not last:
            continue
        location.append(part)
    return tuple(location)


def _known_keys(model: type[BaseModel], loc: tuple[str | int, ...]) -> set[str]:
    """The keys that may stand at a place, by walking the models along pydantic's own path."""
    places: list[Any] = [model]
    for part in loc:
        places = [step for place in places for step in _steps(place, part)]
    return {name for place in places for name in getattr(_bare(place), "model_fields", {})}


def _steps(place: Any, part: str | int) -> list[Any]:
    place = _bare(place)
    if isinstance(place, type) and issubclass(place, BaseModel):
        field = place.model_fields.get(str(part))
        if field is not None:
            return _members(field.annotation)
        # The part names the union's member: stay here if it is this one.
        tags = (place.model_fields.get(name) for name in ("kind", "family"))
        return [place] if any(tag is not None and part in get_args(tag.annotation) for tag in tags) else []
    arguments = [argument for argument in get_args(place) if argument is not Ellipsis]
    return _members(arguments[-1]) if arguments else []


def _members(annotation: Any) -> list[Any]:
    annotation = _bare(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return [member for argument in get_args(annotation) for member in _members(argument)]
    return [annotation]


def _bare(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation

"""YAML without surprises: what two readers could take for two things is refused, and every value knows its line."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from streamdet.errors import ConfigError, redact

Location = tuple[str | int, ...]  # keys and indices from the top


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file."""

    location: Location
    message: str
    got: object = None
    hint: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        place = ".".join(str(part) for part in self.location) or "top level"
        text = f"  {place}" + (f" (line {self.line})" if self.line else "") + f": {self.message}"
        if self.got is not None:
            text += f"\n      got: {redact(str(self.got))[:200]}"
        return text + (f"\n      hint: {self.hint}" if self.hint else "")


@dataclass(slots=True)
class Document:
    """A file's plain values, the line of each, and what was wrong so far."""

    path: Path
    values: Any
    lines: dict[Location, int]
    problems: list[Problem]

    def refuse(self) -> None:
        """Raise one ConfigError with every problem, if there is any."""
        if not self.problems:
            return
        ordered = sorted(self.problems, key=lambda problem: problem.line or 0)
        many = "1 problem" if len(ordered) == 1 else f"{len(ordered)} problems"
        raise ConfigError(f"{many} in {self.path}:\n" + "\n".join(str(problem) for problem in ordered))

    def line_of(self, location: Location) -> int | None:
        """The line of a value, or of the nearest thing around it."""
        while location not in self.lines and location:
            location = location[:-1]
        return self.lines.get(location)


_AMBIGUOUS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"^(yes|no|on|off|y|n)$", re.I), "write true or false, or put it in quotes if you mean the word"),
    (re.compile(r"^[-+]?0[0-9_]+$"), "a leading zero means octal to some readers: leave it away, or put it in quotes"),
    (re.compile(r"^[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$"), "write plain seconds, or put it in quotes"),
    (re.compile(r"^[-+]?[0-9]+_[0-9_]*$"), "write the number without underscores"),
    (re.compile(r"^\d{4}-\d\d?-\d\d?([Tt ].*)?$"), "a date is read as a date by some: put it in quotes"),
)
_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp")}
_DEPTH, _NODES = 20, 20_000  # no honest configuration comes near
_INTEGER = re.compile(r"^[-+]?(0|[1-9][0-9]*)$")
_FLOAT = re.compile(r"^[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$")
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")


def load(path: Path) -> Document:
    """Read a file; a file that is no YAML at all raises at once, everything else is collected in `problems`."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError("there is no such configuration file", where=path) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("the configuration file cannot be read", where=path, got=error) from error
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark is not None else str(path)
        what = getattr(error, "problem", None) or "it is not valid YAML"
        raise ConfigError(f"the configuration is not valid YAML: {what}", where=place) from error
    document = Document(path, None, {}, [])
    document.values = {} if root is None else _Reader(document).read(root, ())
    return document


class _Reader:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._nodes = 0

    def read(self, node: yaml.Node, location: Location) -> Any:
        self._nodes += 1
        if len(location) > _DEPTH or self._nodes > _NODES:  # an alias inside itself, or aliases multiplied
            self._problem(location, "this is nested too deeply or repeated too often", None, None, node)
            return None
        self._document.lines[location] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, location)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*location, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, location)

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            here = (*location, key)
            if key in values:
                first = self._document.lines.get(here)
                self._problem(here, f"this key stands twice, first in line {first}", None, None, key_node)
                continue
            values[key] = self.read(value_node, here)
            self._document.lines[here] = key_node.start_mark.line + 1
        return values

    def _scalar(self, node: yaml.ScalarNode, location: Location) -> Any:
        text: str = node.value
        if node.tag not in _PLAIN_TAGS:
            self._problem(location, "tags have no meaning here", node.tag, None, node)
            return None
        if node.style is not None:  # quoted, or a block: text it is
            return self._expand(text, location, node)
        if text in ("", "~", "null"):
            return None
        if text in ("true", "false"):
            return text == "true"
        for pattern, hint in _AMBIGUOUS:
            if pattern.match(text):
                self._problem(location, "this can be read in two ways", text, hint, node)
                return None
        if _INTEGER.match(text):
            return int(text)
        if _FLOAT.match(text):
            return float(text)
        return self._expand(text, location, node)

    def _expand(self, text: str, location: Location, node: yaml.Node) -> str:
        """`${NAME}` and `${NAME:-default}` from the environment."""

        def value(match: re.Match[str]) -> str:
            default: str | None = match["default"]
            found = os.environ.get(match["name"], default)
            if found is None:
                self._problem(
                    location,
                    f"the environment variable {match['name']} is not set",
                    None,
                    f"export {match['name']}=… first, or write ${{{match['name']}:-default}}",
                    node,
                )
                return ""
            return found

        return _VARIABLE.sub(value, text)

    def _problem(self, location: Location, message: str, got: object, hint: str | None, node: yaml.Node) -> None:
        self._document.problems.append(Problem(location, message, got, hint, node.start_mark.line + 1))

"""From a path on the command line to a data set."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qs

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamdet.datasets.building import Remarks
from streamdet.datasets.coco import looks_like_coco, read_coco
from streamdet.datasets.samples import DataSet, Entry, Listed
from streamdet.datasets.voc import read_voc, voc_splits
from streamdet.datasets.yolo import YoloLayout, read_yolo, yolo_layout
from streamdet.errors import ConfigError, DataError

Labelling = Literal["coco", "voc", "yolo"]

_GRAMMAR = "PATH[:SPLIT[+SPLIT…]][?include=GROUP,…&exclude=GROUP,…&classes=NAME,…&format=coco|voc|yolo]"
_UNIONS = {"trainval", "all"}  # lists that repeat what others hold


class DataSpec(BaseModel):
    """Which labelled pictures: a folder or label file, and what of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Annotated[Path, Field(description="A folder, a COCO .json file or a YOLO data.yaml.")]
    split: Annotated[
        str | None,
        Field(description="train, val, test or whatever the data set has; several as train+val. None: its only one."),
    ] = None
    format: Annotated[
        Labelling | None, Field(description="How the labels are written; None: seen from the files where certain.")
    ] = None
    classes: Annotated[
        tuple[str, ...] | None,
        Field(description="The classes wanted, in the order of their numbers; objects of others are left out."),
    ] = None
    include: Annotated[
        tuple[str, ...],
        Field(description="Only pictures of these groups (clips, drives); * and ? stand for anything. Empty: all."),
    ] = ()
    exclude: Annotated[tuple[str, ...], Field(description="No pictures of these groups.")] = ()
    group_field: Annotated[
        str | None, Field(description="The field of a COCO image that names its group; None: source_clip and the like.")
    ] = None
    group_pattern: Annotated[
        str | None,
        Field(description="A regular expression on a picture's name whose first bracket is its group: '(.*)_[0-9]+'."),
    ] = None
    pictures: Annotated[Path | None, Field(description="The pictures' folder, where it is not beside a COCO file.")] = (
        None
    )
    first_pixel: Annotated[
        Literal[0, 1], Field(description="VOC counts pixels from 1; some tools write its files counting from 0.")
    ] = 1

    @classmethod
    def parse(cls, text: str) -> DataSpec:
        """`PATH[:SPLIT][?key=value&…]`, as on the command line; lists are parted by commas."""
        place, _, query = text.partition("?") if not Path(text).exists() else (text, "", "")
        path, split = place, None
        if not Path(place).exists() and ":" in place.rpartition("/")[2]:
            path, _, split = place.rpartition(":")
        try:
            given = parse_qs(query, strict_parsing=True) if query else {}
        except ValueError as error:
            raise ConfigError("a data set is not written as it should be", expected=_GRAMMAR, got=text) from error
        values: dict[str, object] = {"path": path, "split": split or None}
        for key, (value, *_) in given.items():
            values[key] = tuple(value.split(",")) if key in ("classes", "include", "exclude") else value
            if key == "first_pixel" and value.isdigit():
                values[key] = int(value)
        try:
            return cls.model_validate(values, strict=False)
        except ValidationError as error:
            first = error.errors()[0]
            raise ConfigError(
                f"a data set is not written as it should be: {first['loc'][0]}: {first['msg']}",
                expected=_GRAMMAR,
                got=text,
            ) from error

    @property
    def title(self) -> str:
        """`bccd/train`: the folder's name and the split."""
        path = self.path.resolve()
        folder = path if path.is_dir() else path.parent
        split = self.split or ("" if path.is_dir() or path.suffix != ".json" else path.stem)
        return f"{folder.name}/{split}" if split else folder.name


def open_data_set(spec: DataSpec | str) -> DataSet:
    """Read the labels; DataError where they cannot be understood, ConfigError where the wish cannot be met."""
    wanted = DataSpec.parse(spec) if isinstance(spec, str) else spec
    readers = _readers(wanted)
    names = wanted.split.split("+") if wanted.split else _only_split(wanted, readers)
    for name in names:
        if name not in readers:
            raise ConfigError(
                "the data set has no such split",
                where=wanted.path,
                expected=" or ".join(readers) or "no split at all",
                got=name,
            )
    parts = [readers[name]() for name in names]
    return _chosen(_joined(parts, wanted.title), wanted)


def splits_of(spec: DataSpec | str) -> tuple[DataSpec, ...]:
    """One DataSpec per split of a folder, unions of others left out; the one given where it names its split."""
    wanted = DataSpec.parse(spec) if isinstance(spec, str) else spec
    if wanted.split:
        return (wanted,)
    names = list(_readers(wanted))
    single = [name for name in names if name not in _UNIONS] or names
    return tuple(wanted.model_copy(update={"split": name}) for name in single)


def data_sets_below(spec: DataSpec | str) -> tuple[tuple[DataSpec, ...], ...]:
    """The splits of a data set; of a folder that is none but holds some, the splits of each."""
    wanted = DataSpec.parse(spec) if isinstance(spec, str) else spec
    if wanted.path.is_dir() and wanted.split is None and not _found(wanted):
        inner = [wanted.model_copy(update={"path": path}) for path in sorted(wanted.path.iterdir()) if path.is_dir()]
        found = tuple(splits_of(each) for each in inner if _found(each))
        if found:
            return found
    return (splits_of(wanted),)


def _readers(spec: DataSpec) -> dict[str, Callable[[], Listed]]:
    """Split → what reads it."""
    if not spec.path.exists():
        raise ConfigError("there is no such data set", where=spec.path, expected=_GRAMMAR)
    found = _found(spec)
    if not found:
        raise DataError(
            "no labels found",
            where=spec.path,
            expected="a COCO .json, a VOC folder (Annotations/, JPEGImages/), a YOLO data.yaml or images/ + labels/",
            got=_contents(spec.path),
        )
    if len(found) > 1:
        raise DataError(
            "labels are there in several formats",
            where=spec.path,
            got=", ".join(found),
            hint=f"say which: {spec.path}?format={next(iter(found))}",
        )
    return next(iter(found.values()))


def _found(spec: DataSpec) -> dict[str, dict[str, Callable[[], Listed]]]:
    """Format → split → reader, for every format that the files may be in."""
    return {
        labelling: readers
        for labelling, look in (("coco", _coco_readers), ("voc", _voc_readers), ("yolo", _yolo_readers))
        if spec.format in (None, labelling) and (readers := look(spec))
    }


def _coco_readers(spec: DataSpec) -> dict[str, Callable[[], Listed]]:
    if spec.path.is_file():
        files = [spec.path] if spec.path.suffix == ".json" else []
    else:
        patterns = ("*.json", "annotations/*.json", "*/_annotations*.json")
        files = [path for each in patterns for path in sorted(spec.path.glob(each)) if looks_like_coco(path)]
    return {_coco_split(path, spec): _coco_reader(path, spec) for path in dict.fromkeys(files)}


def _coco_split(path: Path, spec: DataSpec) -> str:
    """train.json, instances_train2017.json, train/_annotations.coco.json."""
    if path.name.startswith("_annotations") and path.parent != spec.path:
        return path.parent.name
    return path.stem.removeprefix("instances_")


def _coco_reader(path: Path, spec: DataSpec) -> Callable[[], Listed]:
    return lambda: read_coco(path, spec.title, pictures=spec.pictures, group_field=spec.group_field)


def _voc_readers(spec: DataSpec) -> dict[str, Callable[[], Listed]]:
    if not (spec.path / "Annotations").is_dir():
        return {}
    splits: Sequence[str | None] = voc_splits(spec.path) or (None,)
    return {split or "all": _voc_reader(split, spec) for split in splits}


def _voc_reader(split: str | None, spec: DataSpec) -> Callable[[], Listed]:
    return lambda: read_voc(spec.path, spec.title, split, first_pixel=spec.first_pixel)


def _yolo_readers(spec: DataSpec) -> dict[str, Callable[[], Listed]]:
    layout = yolo_layout(spec.path)
    return {} if layout is None else {split: _yolo_reader(layout, split, spec) for split in layout.splits}


def _yolo_reader(layout: YoloLayout, split: str, spec: DataSpec) -> Callable[[], Listed]:
    return lambda: read_yolo(layout, spec.title, split)


def _only_split(spec: DataSpec, readers: dict[str, Callable[[], Listed]]) -> list[str]:
    if len(readers) == 1:
        return list(readers)
    raise ConfigError(
        "the data set has several splits",
        where=spec.path,
        expected=" or ".join(readers),
        hint=f"say which: {spec.path}:{next(iter(readers))}",
    )


def _contents(path: Path) -> str:
    return ", ".join(sorted(each.name for each in path.iterdir())[:8]) or "nothing" if path.is_dir() else path.name


def _joined(parts: Sequence[Listed], title: str) -> Listed:
    first, *others = parts
    for other in others:
        if other.classes != first.classes:
            raise DataError("two splits have different classes", where=title, expected=first.classes, got=other.classes)
    entries: dict[str, Entry] = {}
    for part in parts:
        for entry in part.entries:
            known = entries.setdefault(entry.key, entry)
            if known is not entry and known.path != entry.path:
                entries[f"{entry.labels.stem if entry.labels else title}/{entry.key}"] = entry
    remarks = tuple(remark for part in parts for remark in part.remarks)
    return replace(first, name=title, entries=tuple(entries.values()), remarks=remarks)


def _chosen(listed: Listed, spec: DataSpec) -> Listed:
    """The groups and classes that are wanted."""
    entries = [_grouped(entry, spec.group_pattern) for entry in listed.entries]
    if spec.include or spec.exclude:
        known = sorted({entry.group for entry in entries} - {""})
        for pattern in (*spec.include, *spec.exclude):
            if not any(fnmatch.fnmatchcase(group, pattern) for group in known):
                raise ConfigError(
                    "no picture is of such a group", where=listed.name, expected=", ".join(known) or "none", got=pattern
                )
        entries = [entry for entry in entries if _wanted(entry.group, spec)]
    if spec.classes is None or spec.classes == listed.classes:
        return replace(listed, entries=tuple(entries))
    return _of_classes(replace(listed, entries=tuple(entries)), spec.classes)


def _grouped(entry: Entry, pattern: str | None) -> Entry:
    if pattern is None:
        return entry
    try:
        found = re.search(pattern, entry.key)
    except re.error as error:
        raise ConfigError("group_pattern is no regular expression", got=pattern) from error
    if found is None:
        return entry
    return replace(entry, group=found.group(1) if found.re.groups else found.group(0))


def _wanted(group: str, spec: DataSpec) -> bool:
    def among(patterns: Sequence[str]) -> bool:
        return any(fnmatch.fnmatchcase(group, pattern) for pattern in patterns)

    return (not spec.include or among(spec.include)) and not among(spec.exclude)


def _of_classes(listed: Listed, classes: tuple[str, ...]) -> Listed:
    missing = [name for name in classes if name not in listed.classes]
    if missing:
        raise ConfigError(
            "the data set has no such class", where=listed.name, expected=", ".join(listed.classes), got=missing
        )
    numbers = np.full(len(listed.classes) + 1, -2, np.int64)  # the last row is for −1, unknown
    numbers[-1] = -1
    for new, name in enumerate(classes):
        numbers[listed.classes.index(name)] = new
    entries, left_out = [], 0
    for entry in listed.entries:
        class_id = numbers[entry.objects.class_id]
        kept = class_id != -2
        left_out += int((~kept).sum())
        objects = replace(entry.objects.rows(kept), class_id=class_id[kept])
        entries.append(replace(entry, objects=objects))
    remarks = Remarks()
    if left_out:
        remarks.add("left_out", listed.name, f"{left_out} objects of other classes")
    return replace(listed, classes=classes, entries=tuple(entries), remarks=listed.remarks + remarks.all())

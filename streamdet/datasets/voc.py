"""Labels in one XML file a picture, as Pascal VOC writes them, with lists of names as splits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

from streamdet.datasets.building import ObjectRows, Remarks, number, read_text
from streamdet.datasets.pictures import PICTURE_ENDINGS, shown_size
from streamdet.datasets.samples import Entry, Listed
from streamdet.errors import DataError

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def voc_splits(folder: Path) -> tuple[str, ...]:
    """The names of the lists in ImageSets/Main; lists of single classes (`car_train`) are no splits."""
    lists = folder / "ImageSets" / "Main"
    names = sorted(path.stem for path in lists.glob("*.txt")) if lists.is_dir() else []
    return tuple(name for name in names if not any(name.endswith(f"_{other}") for other in names))


def read_voc(folder: Path, name: str, split: str | None, *, first_pixel: int = 1) -> Listed:
    """The pictures of a split, in its order; without lists, every XML file there is.

    VOC counts pixels from 1 and includes the last one; `first_pixel` 0 is for files that count from 0, as some tools
    write them. Classes are those of all XML files of the folder, so that every split has the same.
    """
    return _Reader(folder, name, first_pixel).listed(split)


class _Reader:
    def __init__(self, folder: Path, name: str, first_pixel: int) -> None:
        self._folder, self._name, self._first = folder, name, first_pixel
        self._remarks = Remarks()
        self._files = sorted((folder / "Annotations").glob("*.xml"))
        if not self._files:
            raise DataError("no labels there", where=folder / "Annotations", expected="one .xml file per picture")
        pictures = folder / "JPEGImages"
        self._pictures = {path.stem: path for path in pictures.glob("*") if path.suffix.lower() in PICTURE_ENDINGS}

    def listed(self, split: str | None) -> Listed:
        with ThreadPoolExecutor(4) as threads:
            trees = dict(zip((path.stem for path in self._files), threads.map(_parsed, self._files), strict=True))
        classes = tuple(sorted({_text(each, "name") for tree in trees.values() for each in tree.iter("object")} - {""}))
        numbers = {each: row for row, each in enumerate(classes)}
        names = self._names(split) if split else [path.stem for path in self._files]
        entries = tuple(self._entry(each, trees.get(each), numbers) for each in dict.fromkeys(names))
        if not split or split == "all":
            for stem in sorted(set(self._pictures) - set(trees)):
                self._remarks.add("orphan_picture", self._pictures[stem], "no XML file speaks of it", stem)
        return Listed(self._name, classes, entries, "voc", self._remarks.all())

    def _names(self, split: str) -> list[str]:
        path = self._folder / "ImageSets" / "Main" / f"{split}.txt"
        lines = [line.split() for line in read_text(path, "the list of the split").splitlines()]
        names = [words[0] for words in lines if words]
        for twice in sorted({each for each in names if names.count(each) > 1}):
            self._remarks.add("duplicate_id", path, "the picture is listed twice", twice)
        return names

    def _entry(self, stem: str, tree: ElementTree.Element | None, numbers: dict[str, int]) -> Entry:
        labels = self._folder / "Annotations" / f"{stem}.xml"
        path = self._pictures.get(stem, self._folder / "JPEGImages" / f"{stem}.jpg")
        if tree is None:
            self._remarks.add("orphan_picture", labels, "the list names it, and no XML file speaks of it", stem)
            return Entry(stem, path, shown_size(path) or (0, 0), ObjectRows().objects(0), labels=labels)
        self._remark_on_names(tree, labels, path, stem)
        rows = ObjectRows()
        for count, each in enumerate(tree.iter("object"), start=1):
            self._read_object(each, f"{labels}, object {count} ({_text(each, 'name')})", stem, numbers, rows)
        return Entry(stem, path, _size(tree, labels) or shown_size(path) or (0, 0), rows.objects(0), labels=labels)

    def _read_object(
        self, given: ElementTree.Element, where: str, stem: str, numbers: dict[str, int], into: ObjectRows
    ) -> None:
        box = given.find("bndbox")
        if box is None:
            raise DataError("an object has no box", where=where, expected="<bndbox> with xmin, ymin, xmax, ymax")
        left, top, right, bottom = (number(_text(box, corner), where, f"<{corner}>") for corner in _CORNERS)
        class_id = numbers.get(_text(given, "name"), -1)
        if class_id < 0:
            self._remarks.add("unknown_class", where, "an object without a name", stem)
        # Pixels counted from 1, the last one included: its far edge is its own number.
        far = 1 - self._first
        xyxy = (left - self._first, top - self._first, right + far, bottom + far)
        into.add(xyxy, class_id, ignored=_text(given, "difficult") == "1")

    def _remark_on_names(self, tree: ElementTree.Element, labels: Path, path: Path, stem: str) -> None:
        written = _text(tree, "path")
        if written.startswith("/") or written[1:3] in (":\\", ":/"):
            self._remarks.add("absolute_path", labels, written, stem)
        named = _text(tree, "filename")
        if named and Path(named).stem != stem:
            self._remarks.add("other_name", labels, f"<filename> is {named}", stem)
        if stem not in self._pictures:
            self._remarks.add("orphan_labels", labels, f"there is no picture {path.name}", stem)


def _parsed(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(read_text(path, "a label file"))
    except ElementTree.ParseError as error:
        line, column = error.position
        raise DataError(f"a label file is not valid XML: {error.msg}", where=f"{path}:{line}:{column}") from error


def _text(element: ElementTree.Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()


def _size(tree: ElementTree.Element, labels: Path) -> tuple[int, int] | None:
    size = tree.find("size")
    if size is None:
        return None
    width, height = (number(_text(size, side), labels, f"<{side}>") for side in ("width", "height"))
    return (int(width), int(height)) if width > 0 and height > 0 else None

"""The report on plates as LaTeX: what was measured, and the words around it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streamdet.reports.latex import document, picture, safe, share, table
from streamdet.reports.plate_measurements import HEIGHTS_PX, Json

FILE = "Report.7.Detection.Segmentation.tex"
CURVES = [f"{what}-{which}.png" for which in ("detector", "reader") for what in ("losses", "scores")]
STREET, RIGHT, WRONG = "street.jpg", "read-right.jpg", "read-wrong.jpg"
_EDGES = "plates by height in pixels"


def write_plate_report(measured: Json, folder: Path) -> Path:
    """The LaTeX file, beside whatever pictures are in the folder already."""
    there = {path.name for path in folder.glob("*") if path.suffix in (".png", ".jpg")}
    body = [
        *_introduction(),
        *_networks(measured),
        *_learnt_from(measured),
        *_training(there),
        *_detection(measured, there),
        *_reading(measured),
        *_comparison(measured),
        *_passes(measured),
        *_pictures(there),
        *_limits(measured),
    ]
    made = f"{measured['made']}, streamdet {measured['streamdet']}"
    path = folder / FILE
    text = document("Licence plates: detection and segmentation", "streamdet", made, body)
    path.write_text(text, encoding="utf-8")
    return path


def _introduction() -> list[str]:
    return [
        r"\section{The task}",
        safe(
            "A camera looks at a road or a gate. Two small networks, trained from scratch, run one after the other "
            "on a processor: the first finds plates with their four corners, the second segments and reads the "
            "characters of the plate after it was pulled straight. The track of a plate collects all looks at it "
            "and votes. Every figure below was measured by the command that wrote this report; none was typed."
        ),
    ]


def _networks(measured: Json) -> list[str]:
    detector, reader = measured["detector"], measured["readers"][0]
    rows = [
        (
            each["name"],
            " by ".join(map(str, each["input"])),
            f"{each['parameters']:,}",
            f"{each['bytes'] / 1e6:.2f}",
            share(each["ms"], 2),
        )
        for each in (detector, *measured["readers"])
    ]
    return [
        r"\section{The two networks}",
        safe(
            "The detector is anchor-free: a backbone of plain convolutions, normalisation and ReLU, a pyramid that "
            "leads its levels down and up again, and for each place of three levels the distances to the four sides "
            "of a box, one score, and four corners with their visibility. Labels are assigned by how well score and "
            "box agree together. Suppression of double boxes is a part of the exported graph."
        ),
        "",
        safe(
            "The reader is a U-shaped network on one plate in grey. At half the size of its input it gives four "
            "maps: the class of each pixel's ink, the cores of the characters, the line that they stand in, and, "
            "from features pooled over columns, the same text as a sequence under the CTC loss. The sequence says how "
            "many characters there are and has the larger say in what each is; connected components of the cores say "
            "where they stand, and the ink around each is the second opinion."
        ),
        table(
            ("network", "input", "parameters", "MB", "ms"),
            rows,
            "Size, and time for one input on one thread, the network alone",
        ),
        safe(f"{detector['name']} finds, {reader['name']} reads."),
    ]


def _learnt_from(measured: Json) -> list[str]:
    sources = [
        f"{each['name']}: {each['provenance']['data']}"
        for each in (measured["detector"], *measured["readers"])
        if each["provenance"]["data"]
    ]
    return [
        r"\section{Data}",
        safe(
            "Rendered plates in glyph styles of the project's own and formats of many countries, one line or two, "
            "with frames, seals, dirt, shadow, perspective, blur, noise and compression; characters are drawn "
            "uniformly and by country format, so that no language is learnt. The detector sees them in rendered "
            "streets and laid into photographs of streets. Styles and layouts of the test are never drawn in "
            "training."
        ),
        r"\begin{itemize}",
        *(rf"\item {safe(source)}" for source in sources),
        r"\item " + safe("No weights from elsewhere were used."),
        r"\end{itemize}",
    ]


def _training(there: set[str]) -> list[str]:
    shown = [
        picture(file, f"Training: {' of the '.join(file.removesuffix('.png').split('-'))}", 0.7)
        for file in CURVES
        if file in there
    ]
    return [r"\section{Training}", *shown] if shown else []


def _detection(measured: Json, there: set[str]) -> list[str]:
    found = measured["detector"].get("found")
    if found is None:
        return []
    figures = [
        ("pictures", found["pictures"]),
        ("plates", found["plates"]),
        ("AP at an overlap of 0.5", share(found["ap50"])),
        (f"recall above a score of {found['score']:.2f}", share(found["recall"])),
        ("precision there", share(found["precision"])),
        ("false plates per picture there", share(found["false_per_picture"])),
        ("recall at one false plate in ten pictures", share(found["recall_at_false"])),
        ("corner error, px", share(found["corner_error_px"], 2)),
        ("corner error, parts of the height", share(found["corner_error"])),
    ]
    by_height = found["recall_by_height"]
    body = [
        r"\section{Detection}",
        table(("", "measured"), figures, "Plates found in photographs of drives that training never saw"),
    ]
    if by_height:
        body.append(
            table(("height, px", "recall"), [(k, share(v)) for k, v in by_height.items()], f"Recall of {_EDGES}")
        )
    if STREET in there:
        body.append(picture(STREET, "A rendered street as both networks see it"))
    return body


def _reading(measured: Json) -> list[str]:
    reader = measured["readers"][0]
    body = [r"\section{Segmentation and reading}"]
    body.append(_texts_table([reader], "Texts; rendered ones in styles and layouts that training never draws"))
    whole = measured.get("whole", {})
    if "texts" in whole:
        texts = whole["texts"]
        body.append(
            safe(
                f"Where the detector has to find the plate first, {share(texts['exact'])} of {texts['plates']} "
                f"readable plates of the photographs are read exactly, and {share(texts['characters'])} of their "
                "characters."
            )
        )
        if whole.get("texts_by_height"):
            rows = [
                (name, each["plates"], share(each["exact"]), share(each["characters"]))
                for name, each in whole["texts_by_height"].items()
            ]
            head = ("character height, px", "plates", "exact", "characters")
            body.append(table(head, rows, "Found and read in photographs, by the height of the characters"))
    masks = _rendered(reader, HEIGHTS_PX[-1]).get("segmentation")
    if masks:
        by_class = sorted(masks["per_class"].items(), key=lambda item: item[1])
        body.append(
            table(
                ("class", "IoU"),
                [
                    ("mean of the characters", share(masks["mean_iou"])),
                    ("background", share(masks["background"])),
                    *((f"{name} (among the lowest)", share(value)) for name, value in by_class[:3]),
                    *((f"{name} (among the highest)", share(value)) for name, value in by_class[-3:]),
                ],
                f"Intersection over union of the segmentation, rendered characters of {HEIGHTS_PX[-1][0]} px and more",
            )
        )
    return body


def _rendered(reader: Json, heights: Sequence[int]) -> Json:
    """What was measured on rendered characters of these heights, at the full severity."""
    told = [row for row in reader["rendered"] if row["glyph_px"] == list(heights)]
    return max(told, key=lambda row: row["severity"])


def _texts_table(readers: Sequence[Json], caption: str) -> str:
    rows: list[tuple[Any, ...]] = []
    for reader in readers:
        told = [
            ("rendered, {0} to {1} px, severity {severity:g}".format(*row["glyph_px"], severity=row["severity"]), row)
            for row in reader["rendered"]
        ]
        told += [
            (title, reader[what])
            for what, title in (("pictures", "photographs of streets"), ("crops", "crops from another country"))
            if what in reader
        ]
        for title, row in told:
            if texts := row.get("texts"):
                name = f"{reader['name']}: {title}" if len(readers) > 1 else title
                rows.append((name, texts["plates"], share(texts["exact"]), share(texts["characters"])))
    return table(("", "plates", "exact", "characters"), rows, caption)


def _comparison(measured: Json) -> list[str]:
    readers = measured["readers"]
    if len(readers) < 2:
        return []
    rows = []
    for each in readers:
        easy, hard = _rendered(each, HEIGHTS_PX[1]), _rendered(each, HEIGHTS_PX[0])
        rows.append(
            (
                each["name"],
                f"{each['parameters'] / 1e6:.2f} M",
                f"{each['bytes'] / 1e6:.1f} MB",
                f"{each['ms']:.2f} ms",
                share(hard["texts"]["exact"]),
                share(easy["texts"]["exact"]),
                share(easy["segmentation"]["mean_iou"]),
            )
        )
    low, high = HEIGHTS_PX
    head = ("reader", "size", "file", "time", f"exact {low[0]}-{low[1]} px", f"exact {high[0]}+ px", "mean IoU")
    return [
        r"\section{Beside a ResNet encoder}",
        table(head, rows, "The same reader with other encoders, on the same rendered crops"),
        _texts_table(readers, "The same, on everything that was measured"),
    ]


def _passes(measured: Json) -> list[str]:
    reader = measured["readers"][0]
    if "passes" not in reader:
        return []
    shown = ("single_exact", "exact", "wrong", "undecided")
    rows = [
        (f"{row['severity']:g}, {row['blur']:g}", *(share(row[name]) for name in shown)) for row in reader["passes"]
    ]
    nothing = reader["nothing"]
    head = ("severity, blur", "single looks right", "final and right", "final and wrong", "undecided")
    caption = f"{reader['passes'][0]['passes']} rendered passes with blur and dropped frames"
    return [
        r"\section{Voting over a track}",
        table(head, rows, caption),
        safe(
            f"Of {nothing['passes']} passes of what is no plate, {share(nothing['final_on_nothing'])} came to a final "
            "text. Severity 1 is wider than the world: not all of it can be read. Blur changes from look to look, "
            "light does not: what light has taken away, no vote gives back."
        ),
    ]


def _pictures(there: set[str]) -> list[str]:
    captions = {
        RIGHT: "Read right: each crop, and beneath it the class of every pixel",
        WRONG: "Read wrong: what stands there, and what was read",
    }
    shown = [picture(file, caption) for file, caption in captions.items() if file in there]
    return [r"\section{Successes and failures}", *shown] if shown else []


def _limits(measured: Json) -> list[str]:
    reader = measured["readers"][0]
    hard = _rendered(reader, HEIGHTS_PX[0])["texts"]
    return [
        r"\section{Limits}",
        safe(
            f"Characters of less than {HEIGHTS_PX[0][0]} pixels were not measured here; between {HEIGHTS_PX[0][0]} "
            f"and {HEIGHTS_PX[0][1]} pixels {share(1 - hard['exact'])} of single looks are wrong, which is why "
            "tracks vote. The alphabet is Latin without accents; the signs of other scripts on a plate are left "
            "out. Letters and digits that some countries draw alike are told apart by the country's format alone. "
            "What was measured on photographs is of few drives and one country, and of crops from one other; other "
            "roads will differ."
        ),
    ]

"""What a report is set with: text made safe for LaTeX, tables, pictures, and the document around them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

_UNSAFE = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\u2013": "--",
    "\u2014": "---",
    "·": r"\textperiodcentered{}",
    "\u00d7": r"$\times$",
    "∞": r"$\infty$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "\u2212": r"$-$",
}


def safe(text: object) -> str:
    """Any text as LaTeX prints it, letter for letter."""
    return "".join(_UNSAFE.get(character, character) for character in str(text))


def share(value: float | None, digits: int = 3) -> str:
    """A figure, or a dash where nothing was measured."""
    return "--" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def table(head: Sequence[str], rows: Iterable[Sequence[object]], caption: str) -> str:
    """The first column to the left, the others to the right; every field is made safe."""
    lines = [" & ".join(map(safe, row)) + r" \\" for row in rows]
    return "\n".join(
        (
            r"\begin{table}[!htb]",
            r"\centering",
            rf"\caption{{{safe(caption)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
            r"\hline",
            " & ".join(map(safe, head)) + r" \\",
            r"\hline",
            *lines,
            r"\hline",
            r"\end{tabular}",
            r"\end{table}",
            "",
        )
    )


def picture(file: str, caption: str, width: float = 1.0) -> str:
    """One figure, `width` in parts of the line."""
    return "\n".join(
        (
            r"\begin{figure}[!htb]",
            r"\centering",
            rf"\includegraphics[width={width:g}\linewidth]{{{file}}}",
            rf"\caption{{{safe(caption)}}}",
            r"\end{figure}",
            "",
        )
    )


def document(title: str, author: str, date: str, body: Sequence[str]) -> str:
    """A whole article for pdflatex, with nothing but what a small TeX Live has."""
    return "\n".join(
        (
            r"\documentclass[11pt,a4paper]{article}",
            r"\usepackage[T1]{fontenc}",
            r"\usepackage[utf8]{inputenc}",
            r"\usepackage[margin=25mm]{geometry}",
            r"\usepackage{graphicx}",
            r"\usepackage{textcomp}",
            rf"\title{{{safe(title)}}}",
            rf"\author{{{safe(author)}}}",
            rf"\date{{{safe(date)}}}",
            r"\begin{document}",
            r"\maketitle",
            *body,
            r"\end{document}",
            "",
        )
    )

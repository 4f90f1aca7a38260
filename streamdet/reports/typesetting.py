"""LaTeX to PDF, where pdflatex is installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from streamdet.errors import ConfigError

_DEADLINE_S = 120


def typeset(source: Path) -> Path | None:
    """The PDF beside its source, without what TeX leaves lying about; None where there is no pdflatex."""
    program = shutil.which("pdflatex")
    if program is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "-interaction=nonstopmode", "-halt-on-error", f"-output-directory={folder}", source.name]
        try:
            for _ in range(2):  # the second time it knows where the figures are
                subprocess.run(command, cwd=source.parent, check=True, capture_output=True, timeout=_DEADLINE_S)
        except subprocess.CalledProcessError as error:
            said = [line for line in error.stdout.decode(errors="replace").splitlines() if line.startswith("!")]
            raise ConfigError("pdflatex refuses the report", where=source, got=said[0] if said else "") from error
        except subprocess.TimeoutExpired as error:
            raise ConfigError("pdflatex did not end", where=source, got=f"{_DEADLINE_S} s") from error
        return Path(shutil.copy(Path(folder) / f"{source.stem}.pdf", source.with_suffix(".pdf")))

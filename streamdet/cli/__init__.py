"""The command line: one verb a file, and one place where errors become messages and exit codes.

Nothing is imported here before `main` is ready for Ctrl-C, which may come at any moment.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The entry point. A user's mistake is a message and exit code 2, never a traceback."""
    try:
        _run()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)  # whoever read our output has seen enough


def _run() -> None:
    from streamdet.errors import SinkLost, StreamdetError

    try:
        from streamdet.cli.verbs import app

        app()()
    except StreamdetError as error:
        import logging

        from streamdet.cli import logs

        logs.say(error.line if logs.are_json() else f"error: {error}", level=logging.ERROR)
        sys.exit(4 if isinstance(error, SinkLost) else 2)

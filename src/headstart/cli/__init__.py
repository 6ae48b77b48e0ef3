"""The command line: thin. Each command parses, calls, prints; this module turns errors into exit codes."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from headstart.errors import HeadstartError, missing_extra

EXIT_COULD_NOT, EXIT_INTERRUPTED, EXIT_TERMINATED = 2, 130, 143
_KEPT = "what was computed is kept, run the same command again to go on (with --resume where it has that)"


class _Terminated(BaseException):
    """Raised where SIGTERM arrives, so that everything open is closed as after Ctrl-C."""


def main() -> NoReturn:
    """Run the command line and exit.

    Exit codes: 0 done, 1 done with failures listed, 2 could not be done, 130 after Ctrl-C, 143 after SIGTERM.
    """
    signal.signal(signal.SIGTERM, _terminate)
    for stream in (sys.stdout, sys.stderr):
        # A file name or label that the terminal cannot show must not stop a run.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Args:
        arguments: What is written behind `headstart`, sequence of str.

    Returns:
        The exit code.
    """
    as_json = "--json" in arguments
    try:
        from headstart.cli.app import app

        app(args=list(arguments), prog_name="headstart")
    except SystemExit as end:  # how typer ends, whatever it was
        return _ended(end, as_json)
    except KeyboardInterrupt:  # before typer was there to notice
        _tell(f"interrupted; {_KEPT}")
        return EXIT_INTERRUPTED
    except _Terminated:
        _tell(f"terminated; {_KEPT}")
        return EXIT_TERMINATED
    except HeadstartError as error:
        return _failed(str(error), as_json)
    except ModuleNotFoundError as error:
        return _failed(str(missing_extra(error.name or str(error), "train", "this command")), as_json)
    except OSError as error:
        fix = "check the place that is named, and that the disk has room; nothing was lost"
        return _failed(str(HeadstartError("files that can be read and written", str(error), fix)), as_json)
    return 0


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise _Terminated


def _ended(end: SystemExit, as_json: bool) -> int:
    code = end.code if isinstance(end.code, int) else 0
    if code == EXIT_INTERRUPTED:
        _tell(f"interrupted; {_KEPT}")
    explain = getattr(end.__context__, "format_message", None)
    if explain is not None and as_json:  # a mistake in the options, which typer has told in its own way
        _show_error(explain())
    return code


def _failed(message: str, as_json: bool) -> int:
    _tell(f"error: {message}")
    if as_json:
        _show_error(message)
    return EXIT_COULD_NOT


def _show_error(message: str) -> None:
    sys.stdout.write(json.dumps({"error": message}) + "\n")


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")

"""The command line: thin. Each command parses, calls, prints; this module turns errors into exit codes."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn

EXIT_DONE, EXIT_SOME_FAILED, EXIT_COULD_NOT, EXIT_INTERRUPTED, EXIT_TERMINATED = 0, 1, 2, 130, 143


class _TerminatedError(BaseException):
    """Raised where SIGTERM arrives, so that everything open is closed as after Ctrl-C."""


def main() -> NoReturn:
    """Run the command line and exit: 0 done, 1 done with failures listed, 2 could not be done."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(_run(sys.argv[1:]))


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise _TerminatedError


def _run(arguments: list[str]) -> int:
    import typer

    from headstart.cli.app import app
    from headstart.errors import HeadstartError

    as_json = "--json" in arguments
    try:
        result = app(args=arguments, prog_name="headstart", standalone_mode=False)
    except HeadstartError as error:
        return _failed(str(error), as_json)
    except (_usage_error(), typer.Exit, typer.Abort) as error:
        return _usage(error)
    except BrokenPipeError:
        # The reader (head, less) has seen enough; the interpreter must not complain while closing.
        sys.stdout = None
        return EXIT_DONE
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; what was computed is kept, run the same command again to go on\n")
        return EXIT_INTERRUPTED
    except _TerminatedError:
        sys.stderr.write("terminated; what was computed is kept, run the same command again to go on\n")
        return EXIT_TERMINATED
    return result if isinstance(result, int) else EXIT_DONE


def _usage_error() -> type[Exception]:
    """Return Click's base class of usage errors, whether typer uses Click itself or carries its own copy."""
    import typer

    found: type[Exception] = next(
        kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
    )
    return found


def _failed(message: str, as_json: bool) -> int:
    sys.stderr.write(f"error: {message}\n")
    if as_json:
        import json

        sys.stdout.write(json.dumps({"error": message}) + "\n")
    return EXIT_COULD_NOT


def _usage(error: Exception) -> int:
    show = getattr(error, "show", None)
    if show is not None:
        show()
    return int(getattr(error, "exit_code", EXIT_SOME_FAILED))

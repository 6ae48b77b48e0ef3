"""Studio commands: what a person may ask for on the studio's page, each declared by its inputs and options.

A command says what it needs and how it is done; the page draws its form from that, and the worker runs it. A
new one joins by `register`, and nothing else has to know of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from headstart.errors import OptionError

Value = str | int | float | bool
Progress = Callable[[float, str], None]
"""Where a command tells how far it is: the share that is done, 0 to 1, and what it does now."""
Run = Callable[[Mapping[str, Sequence[Path]], Mapping[str, Any], Path, Progress], None]


@dataclass(frozen=True)
class Input:
    """What a command works on.

    Args:
        name: What its code calls it, str.
        title: What people call it, str.
        kind: "model" (one that is served, a folder), "trained" (a folder that a training of the studio's own
            left, see `trained`) or "files" (what a person sends).
        accepts: Modalities of the model or the files, e.g. ("image", "text"); of what was trained for the
            studio the name of its card, e.g. ("colorizer.json",).
        most: How many files, int. Defaults to 1.
    """

    name: str
    title: str
    kind: Literal["model", "trained", "files"]
    accepts: tuple[str, ...]
    most: int = 1


@dataclass(frozen=True)
class Option:
    """One setting of a command; the type of its default is its type.

    Args:
        name: What its code calls it, str.
        title: What people call it, str.
        default: str, int, float or bool.
        choices: What it may be, where that is a few words. Defaults to () (anything).
        least: The smallest number. Defaults to None (no limit).
        most: The largest number, or the most characters. Defaults to None (no limit).

    Example:
        >>> Option("n", "Sentences", 3, least=1, most=20).read("5")
        5
    """

    name: str
    title: str
    default: Value
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None

    def read(self, given: str | None) -> Value:
        """Return the value that a form gives.

        Args:
            given: What was written, or None where nothing came.

        Returns:
            The value, of the default's type.

        Raises:
            OptionError: It is of another type, or outside what is allowed.
        """
        if isinstance(self.default, bool):  # a box that is not ticked sends nothing
            return given is not None and given.lower() not in {"", "0", "false", "off"}
        if given is None or not given.strip():
            return self.default
        if isinstance(self.default, str):
            return self._word(given.strip())
        try:
            number = type(self.default)(given)
        except ValueError as error:
            raise self._wrong(given) from error
        if not (self._or(self.least, -1) <= number <= self._or(self.most, 1) and abs(number) < math.inf):
            raise self._wrong(given)
        return number

    def _word(self, given: str) -> str:
        if (self.choices and given not in self.choices) or len(given) > self._or(self.most, 1):
            raise self._wrong(given)
        return given

    @staticmethod
    def _or(limit: float | None, sign: int) -> float:
        return sign * math.inf if limit is None else limit

    def _wrong(self, given: str) -> OptionError:
        if self.choices:
            wanted = "one of " + ", ".join(self.choices)
        elif isinstance(self.default, str):
            wanted = f"at most {self.most:.0f} characters"
        else:
            noun = "a whole number" if isinstance(self.default, int) else "a number"
            limits = [(self.least, "from"), (self.most, "to")]
            wanted = " ".join([noun, *(f"{word} {limit:g}" for limit, word in limits if limit is not None)])
        return OptionError(f"{wanted} for “{self.title}”", repr(given[:40]), "choose another")


@dataclass(frozen=True)
class Command:
    """Something the studio can do.

    Args:
        name: Its name in addresses and on the command line, str.
        title: What people call it, str.
        about: What it does, one sentence, str.
        inputs: What it works on.
        options: Its settings.
        run: A function (inputs, options, out, progress): paths by input's name, values by option's name, the
            folder its results go to, and where it tells how far it is. A page (.html), pictures and JSON in
            that folder are what the person gets; `preview.jpg`, written at any time, is shown meanwhile.

    Example:
        >>> def run(inputs, options, out, progress):
        ...     _ = (out / "said.txt").write_text(options["words"])
        >>> echo = Command("echo", "Echo", "Says it again.", (), (Option("words", "Words", "Hello"),), run)
        >>> echo.read({"words": "Good day"})
        {'words': 'Good day'}
    """

    name: str
    title: str
    about: str
    inputs: tuple[Input, ...]
    options: tuple[Option, ...]
    run: Run

    def read(self, form: Mapping[str, str]) -> dict[str, Value]:
        """Return every option's value from what a form sent; raise `OptionError` for what cannot be."""
        return {option.name: option.read(form.get(option.name)) for option in self.options}


_COMMANDS: dict[str, Command] = {}


def register(command: Command) -> Command:
    """Let the studio know a command, and return it; a later one of the same name takes its place."""
    _COMMANDS[command.name] = command
    return command


def commands() -> tuple[Command, ...]:
    """Return every command that is known, in the order they were registered."""
    return tuple(_COMMANDS.values())


def command(name: str) -> Command:
    """Return a command by its name; raise `OptionError` where there is none."""
    if name not in _COMMANDS:
        known = ", ".join(_COMMANDS) or "none"
        raise OptionError(f"a studio command ({known})", repr(name[:40]), "name one of them")
    return _COMMANDS[name]


def trained(state: Path, card: str) -> dict[str, Path]:
    """Return what was trained for the studio and put into the folder `studio` of a state folder.

    Args:
        state: The state folder of a served installation.
        card: The file by which a folder says what it is, such as "colorizer.json", str.

    Returns:
        Folder by name, in order; none where there is none.

    Example:
        >>> trained(Path("nowhere"), "colorizer.json")
        {}
    """
    return {path.parent.name: path.parent for path in sorted((state / "studio").glob(f"*/{card}"))}


def weighted(given: str | None) -> dict[str, float] | None:
    """Return layers with their weights from what a person wrote.

    Args:
        given: Names, or name=weight, with commas between them, str; or None.

    Returns:
        Weight by name, 1 where none was written; None for nothing.

    Raises:
        OptionError: It is something else.

    Example:
        >>> weighted("block4_conv3, block5_conv1=0.5")
        {'block4_conv3': 1.0, 'block5_conv1': 0.5}
    """
    if not given:
        return None
    fix = "such as block1_conv1=1,block4_conv1=0.5"
    try:
        pairs = [part.strip().partition("=") for part in given.split(",")]
        found = {name: float(weight) if equals else 1.0 for name, equals, weight in pairs}
    except ValueError as error:
        raise OptionError("layers with their weights", repr(given), fix) from error
    if "" in found:
        raise OptionError("layers with their weights", repr(given), fix)
    return found

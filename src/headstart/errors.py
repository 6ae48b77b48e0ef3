"""What can go wrong, as a tree of eight classes whose messages say how to go on."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable


class HeadstartError(Exception):
    """Base of every error that headstart raises on purpose.

    The message always has the same three parts, so that a reader (or a program) finds what was
    wanted, what came instead, and the next step.

    Args:
        expected: What was needed, str, a noun phrase.
        received: What was found instead, str.
        fix: What the reader can do about it, str, an instruction.

    Example:
        >>> from headstart.errors import DataError
        >>> print(DataError("a folder with pictures", "an empty folder 'x'", "name another folder"))
        expected a folder with pictures, received an empty folder 'x', to fix: name another folder
    """

    def __init__(self, expected: str, received: str, fix: str) -> None:
        self.expected = expected
        self.received = received
        self.fix = fix
        super().__init__(f"expected {expected}, received {received}, to fix: {fix}")

    def __reduce__(self) -> tuple[type[HeadstartError], tuple[str, str, str]]:
        # Errors cross process boundaries in scikit-learn's and pytest's workers.
        return type(self), (self.expected, self.received, self.fix)


class DataError(HeadstartError, ValueError):
    """A collection of items (folder, manifest, labels, splits) cannot be used as it is."""


class DecodeError(DataError):
    """One item cannot be read: missing, empty, truncated, too large, or of another type."""


class OptionError(HeadstartError, ValueError):
    """An argument has a value that cannot be used, or options contradict each other."""


class BackboneError(HeadstartError):
    """A pretrained network is unknown, cannot be had, or is not what its card says."""


class ArtefactError(HeadstartError):
    """A saved model is missing, damaged, of an unknown schema, or answers differently than when saved."""


class StorageError(HeadstartError, OSError):
    """The disk is full, a folder cannot be written, or the cache is damaged."""


class MissingExtraError(HeadstartError, ImportError):
    """An optional dependency is not installed; the message names the pip command."""


def require(packages: Iterable[str], extra: str, purpose: str) -> None:
    """Raise `MissingExtraError` unless some optional packages are installed; imports none of them.

    Args:
        packages: Import names, str.
        extra: The extra of headstart that brings them, str.
        purpose: What they are needed for, str.

    Raises:
        MissingExtraError: One of them is not installed.

    Example:
        >>> require(["json"], "train", "fitting")
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise missing_extra(package, extra, purpose)


def missing_extra(package: str, extra: str, purpose: str) -> MissingExtraError:
    """Build the error for an absent optional dependency.

    Args:
        package: Import name of the absent package, str.
        extra: The extra of headstart that brings it, str.
        purpose: What it is needed for, str.

    Returns:
        The error, to be raised by the caller.

    Example:
        >>> raise missing_extra("torch", "train", "fitting")  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
        headstart.errors.MissingExtraError: expected ...
    """
    return MissingExtraError(
        f"the package '{package}' for {purpose}",
        "an environment without it",
        f"pip install 'headstart[{extra}]'",
    )

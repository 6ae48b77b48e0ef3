"""Folders of pictures, one made of each, in a folder that looks the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from headstart.data.kinds import SUFFIXES, modality_of, suffix
from headstart.errors import DataError, DecodeError, OptionError
from headstart.images.decode import Pixels, decode
from headstart.images.saving import PICTURE_ENDINGS


@dataclass(frozen=True, eq=False)
class Photo:
    """One picture of a folder.

    Args:
        name: Where it is in the folder, Path.
        pixels: uint8 [h, w, 3].
    """

    name: Path
    pixels: Pixels


@dataclass
class PictureFolder:
    """The pictures of a folder, and where what is made of them goes.

    Args:
        source: The folder; those inside it count, too.
        output: The folder of what is made.

    Raises:
        DataError: There are no pictures.
        OptionError: What is made would go to a file, or over the pictures themselves.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> source = Path(tempfile.mkdtemp())
        >>> Image.new("RGB", (4, 2)).save(source / "dot.tif")
        >>> folder = PictureFolder(source, source / "made")
        >>> [folder.place(photo.name).name for photo in folder]
        ['dot.tif.png']
    """

    source: Path
    output: Path
    failed: dict[str, str] = field(default_factory=dict)
    """Why pictures could not be read, by name; complete when all have been gone through."""

    def __post_init__(self) -> None:
        if self.output.exists() and not self.output.is_dir():
            raise OptionError("a folder for what is made", f"the file {self.output.name}", "name a folder")
        if suffix(self.output.name) in SUFFIXES["image"] and not self.output.is_dir():
            fix = "name a folder: there are several pictures"
            raise OptionError("a folder for what is made", f"{self.output.name}, a picture's name", fix)
        if self.output.resolve() == self.source.resolve():
            raise OptionError("another folder for what is made", "that of the pictures", "name another one")
        self._paths = [path for path in sorted(self.source.rglob("*")) if modality_of([path.name]) == "image"]
        if not self._paths:
            raise DataError(f"pictures in the folder {self.source.name}", "none", "name another folder")

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[Photo]:
        """Yield the pictures that can be read, one at a time.

        Raises:
            DataError: In the end, if none could be read.
        """
        for path in self._paths:
            name = path.relative_to(self.source)
            try:
                pixels = decode(path)
            except DecodeError as error:
                self.failed[str(name)] = str(error)
                continue
            yield Photo(name, pixels)
        if len(self.failed) == len(self._paths):
            first, reason = next(iter(self.failed.items()))
            raise DataError("a picture that can be read", f"{first}: {reason}", "name another folder")

    def place(self, name: Path) -> Path:
        """Return where what is made of a picture goes: its own name where that can be written, or a .png."""
        fit = name.suffix.lower() in PICTURE_ENDINGS
        return self.output / (name if fit else name.with_name(f"{name.name}.png"))

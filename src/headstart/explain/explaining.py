"""One way to an explanation, whatever a model answers about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headstart.data.items import Source
from headstart.explain.base import Explanation

if TYPE_CHECKING:
    from headstart.artefact.model import Model


def explain(
    model: Model,
    source: Source,
    *,
    method: str = "auto",
    label: str | None = None,
    name: str | None = None,
    offline: bool = False,
) -> Explanation:
    """Explain a model's answer to one item; `Model.explain` is the same.

    Args:
        model: The model.
        source: A path, encoded bytes, or an array; of a model for texts also the text itself.
        method: "auto", or one that `headstart explain --help` names. Defaults to "auto".
        label: Which answer to explain. Defaults to None: the most probable one.
        name: What the item is called. Defaults to None: its path.
        offline: Whether to stay off the network. Defaults to False.

    Returns:
        A PictureExplanation, TextExplanation or SoundExplanation.

    Raises:
        DecodeError: The item cannot be read.
        OptionError: There is no such method or label.
        ArtefactError, BackboneError, MissingExtraError: The method needs the network in torch, which cannot
            be had.

    Example:
        >>> explain(hs.load("cats.headstart"), Path("cat.jpg")).save("why.png")  # doctest: +SKIP
    """
    if model.modality == "text":
        from headstart.explain.texts import explain_text

        return explain_text(model, source, method=method, label=label, name=name, offline=offline)
    if model.modality == "audio":
        from headstart.explain.sounds import explain_sound

        return explain_sound(model, source, method=method, label=label, name=name, offline=offline)
    from headstart.explain.pictures import explain_picture

    return explain_picture(model, source, method=method, label=label, name=name, offline=offline)

"""The page of a painting: what came of it, what it was made from, and how its loss fell."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from headstart.figures import chart, plot
from headstart.images.decode import Pixels
from headstart.images.saving import jpeg
from headstart.pages import ACCENT, MUTED, Markup, Page, glimpses, paragraph, sheet, table

_SMALL = 320


def painting_page(
    painted: Pixels, content: Pixels, styles: Sequence[Pixels], losses: Sequence[tuple[int, float]]
) -> Page:
    """Return a page that shows a painting beside what it was made from.

    Args:
        painted, content: uint8 [h, w, 3].
        styles: Pictures, uint8 [h, w, 3].
        losses: (evaluations, loss) on the way.

    Returns:
        The page; nothing in it is loaded from elsewhere.

    Example:
        >>> import numpy as np
        >>> grey = np.full((8, 8, 3), 128, np.uint8)
        >>> "Loss" in painting_page(grey, grey, [grey], [(20, 9.0), (40, 3.0)]).html()
        True
    """
    page = Page("A painting")
    page.section("", sheet(_jpeg(painted, max(painted.shape)), "The painting."), bare=True)
    sources = [(content, "What was painted"), *((each, "As what") for each in styles)]
    page.section("From", glimpses((_jpeg(each, _SMALL), said, said) for each, said in sources))
    if losses:
        page.section("Loss", _curve(losses))
    return page


def _curve(losses: Sequence[tuple[int, float]]) -> Markup:
    steps, values = zip(*losses, strict=True)
    figure, axes = plot(6.4, 3.2)
    axes.plot(steps, values, color=ACCENT)
    if min(values) > 0:
        axes.set_yscale("log")
        for axis in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            axis(lambda value, _place: f"{value:.2g}")
        axes.tick_params(axis="y", which="minor", colors=MUTED, labelcolor=MUTED, length=0, labelsize=9)
    axes.set_xlabel("evaluations")
    axes.set_ylabel("loss")
    rows = table(("Evaluations", "Loss"), [(step, f"{value:.5g}") for step, value in losses])
    drawn = chart(figure, f"The loss falls from {values[0]:.4g} to {values[-1]:.4g}.", rows)
    about = "A break in the curve is where the painting is carried over to its full size."
    return Markup("").join([drawn, paragraph(about, quiet=True)])


def _jpeg(pixels: Pixels, size: int) -> bytes:
    image = Image.fromarray(pixels)
    image.thumbnail((size, size))
    return jpeg(image)

"""Charts in a page: matplotlib figures as inline SVG that follows light and dark, a table behind."""

from __future__ import annotations

import io
import re
import warnings
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from headstart.files import digest_bytes
from headstart.pages import LINE, MUTED, ROLES, Markup, details, fragment

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot(width: float = 6.4, height: float = 4.0) -> tuple[Figure, Axes]:
    """Return an empty figure with one pair of axes in the house style, to be drawn on and given to `chart`.

    Draw with the colours of `headstart.pages` (`ACCENT`, `SECOND`, `INK`, `MUTED`, `LINE`, `GOOD`, `BAD`):
    they follow the reader's light or dark setting. Shorten labels that may be long with `short`.

    Args:
        width: In inches. Defaults to 6.4.
        height: In inches. Defaults to 4.

    Returns:
        The Figure and its Axes; no pyplot state is touched.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LINE)
    axes.tick_params(colors=MUTED, labelcolor=MUTED, length=0, labelsize=9)
    axes.grid(True, color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.xaxis.label.set(color=MUTED, size=10)
    axes.yaxis.label.set(color=MUTED, size=10)
    return figure, axes


def chart(figure: Figure, alt: str, table: Markup) -> Markup:
    """Return a matplotlib figure as inline SVG with its text alternative and the table of its numbers.

    Args:
        figure: The figure, drawn with the colours of `headstart.pages`.
        alt: What the chart shows and what to see in it, str, one or two sentences.
        table: The numbers behind it, Markup.

    Returns:
        The HTML, Markup.

    Example:
        >>> from headstart.pages import ACCENT
        >>> figure, axes = plot()
        >>> _ = axes.plot([0, 1], [0, 1], color=ACCENT)
        >>> "var(--accent)" in chart(figure, "A rising line.", Markup(""))
        True
    """
    wide = f"{figure.get_figwidth() * 6.5:.0f}rem"
    return fragment(
        '<figure class="chart"><div style="--wide:{}">{}</div>{}</figure>',
        wide,
        Markup(_svg(figure, alt)),
        details("Table", table),
    )


def _svg(figure: Figure, alt: str) -> str:
    import matplotlib
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a label may well contain "$"
    buffer = io.BytesIO()
    settings = {"svg.fonttype": "none", "svg.hashsalt": "headstart", "text.parse_math": False}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # The reader's browser draws the text, so it does not matter what matplotlib's own font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    root = ET.fromstring(_xml_safe(buffer.getvalue()))
    _make_inline(root, f"chart-{digest_bytes(buffer.getvalue() + alt.encode(errors='replace'))[:10]}-")
    root.attrib = {"viewBox": root.get("viewBox", ""), "role": "img", "aria-label": alt}
    return ET.tostring(root, encoding="unicode", short_empty_elements=False)


def _xml_safe(data: bytes) -> str:
    # Control characters, which a file name may hold, are not allowed in XML.
    return re.sub(
        "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "�", data.decode(errors="replace")
    )


def _make_inline(root: ET.Element, prefix: str) -> None:
    """Turn a stand-alone SVG into a part of a page: no namespaces, own ids, colours as CSS variables."""
    for parent in root.iter():
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):
                parent.remove(child)
    used = set(
        re.findall(r"#([\w-]+)", " ".join(" ".join(element.attrib.values()) for element in root.iter()))
    )
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        for name, value in list(element.attrib.items()):
            del element.attrib[name]
            local = name.rpartition("}")[2]
            if local == "id":
                if value in used:
                    element.set("id", prefix + value)
            elif local == "href":
                element.set("href", "#" + prefix + value.removeprefix("#"))
            else:
                element.set(local, _recolour(value).replace("url(#", f"url(#{prefix}"))


_VARIABLES = {values[0]: f"var(--{role})" for role, values in ROLES.items()}
_VARIABLES |= {"#000000": "var(--ink)", "#ffffff": "var(--surface)", "#cccccc": "var(--line)"}


def _recolour(value: str) -> str:
    return re.sub("#[0-9a-f]{6}", lambda found: _VARIABLES.get(found[0], found[0]), value)

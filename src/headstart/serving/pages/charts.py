"""Charts for pages whose policy allows no inline style: SVG that stretches, words in HTML beside it."""

from __future__ import annotations

from collections.abc import Sequence

from headstart.pages import Markup, details, fragment, table

_HIGH = 40.0
_FULL = 0.92
"""Of a column's place that it fills."""


def columns(caption: str, names: tuple[str, str], values: Sequence[tuple[str, int]]) -> Markup:
    """Return a column chart of counts.

    Args:
        caption: What it shows, str.
        names: What the two columns of its table are called, str.
        values: (name, count) of each column, from left to right; at least one.

    Returns:
        A figure, Markup, with the table of its numbers behind it.

    Example:
        >>> 'height="40.00"' in columns("Items", ("hour", "items"), [("9 h", 3), ("10 h", 6)])
        True
    """
    most = max(max(count for _, count in values), 1)
    wide = 100 / len(values)
    rects = (
        fragment(
            '<rect x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}"><title>{}</title></rect>',
            number * wide + wide * (1 - _FULL) / 2,
            _HIGH * (1 - count / most),
            wide * _FULL,
            _HIGH * count / most,
            f"{name}: {count:,}",
        )
        for number, (name, count) in enumerate(values)
    )
    said = f"{caption}: {len(values)} columns, at most {most:,}"
    return _figure(caption, f"at most {most:,}", said, Markup("").join(rects), names, values)


def line(
    caption: str,
    names: tuple[str, str],
    values: Sequence[tuple[str, float | None]],
    note: str = "from 0 to 1",
) -> Markup:
    """Return a line chart of values from 0 to 1.

    Args:
        caption: What it shows, str.
        names: What the two columns of its table are called, str.
        values: (name, value) of each place, from left to right; None where there is no value.
        note: How to read it, str. Defaults to "from 0 to 1".

    Returns:
        A figure, Markup, with the table of its numbers behind it.

    Example:
        >>> "M25.00 20.00L75.00 0.00" in line("Sure", ("day", "mean"), [("Monday", 0.5), ("Tuesday", 1.0)])
        True
    """
    wide = 100 / len(values)
    known = [(number, value) for number, (_, value) in enumerate(values) if value is not None]
    points = [f"{(n + 0.5) * wide:.2f} {_HIGH * (1 - min(max(v, 0.0), 1.0)):.2f}" for n, v in known]
    drawn = fragment(
        '<path class="line" d="{}"/><path class="dots" d="{}"/>',
        "M" + "L".join(points) if points else "",
        "".join(f"M{point}h0" for point in points),
    )
    low, high = (pick([v for _, v in known], default=0.0) for pick in (min, max))
    said = f"{caption}: {len(points)} points between {low:.2f} and {high:.2f}"
    return _figure(caption, note, said, drawn, names, values)


def _figure(
    caption: str,
    note: str,
    said: str,
    drawn: Markup,
    names: tuple[str, str],
    values: Sequence[tuple[str, float | None]],
) -> Markup:
    return fragment(
        '<figure class="graph"><figcaption>{} <span>{}</span></figcaption>'
        '<svg viewBox="0 0 100 {:g}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
        '<div class="ends"><span>{}</span><span>{}</span></div>{}</figure>',
        caption,
        note,
        _HIGH,
        said,
        drawn,
        values[0][0],
        values[-1][0] if len(values) > 1 else "",
        details("Numbers", table(names, [row for row in values if row[1]], caption)),
    )

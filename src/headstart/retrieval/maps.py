"""Maps: many numbers an item become a place on paper, near items near each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headstart.data.items import natural_order
from headstart.errors import OptionError
from headstart.figures import chart, plot
from headstart.pages import INK, SURFACE, Cell, Glimpse, Markup, bar, paragraph, short, side_by_side, table
from headstart.retrieval.hover import answering, thumbnails
from headstart.retrieval.neighbours import exact, unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 600
"""A map shows so many items at most: more would be slow to make and no easier to read."""
_FEWEST = 8
_COMPONENTS = 50  # what t-SNE looks at; the paper reduces to 30 first
_PERPLEXITY, _STEPS = 30.0, 500
_NEAR = 10
_NAMED, _LISTED = 24, 200
# Colours that can be told apart on light and on dark paper; after ten labels the shape changes.
_COLOURS = (
    "#4c8bd6", "#e08a2e", "#3fa66b", "#d9534a", "#9673c9",
    "#a0725c", "#d66fae", "#8a8f98", "#a9a832", "#2fb0bd",
)  # fmt: skip
_SHAPES = "o^sDvP"

Points = NDArray[np.float64]


def pca(vectors: NDArray[np.float32], dimensions: int = 2) -> Points:
    """Return the principal components of some vectors.

    Args:
        vectors: float32 [n, d].
        dimensions: How many components, int. Defaults to 2.

    Returns:
        float64 [n, dimensions], the widest spread first; columns of zeros where there are fewer.

    Example:
        >>> abs(pca(np.array([[0, 0], [3, 4]], np.float32))).round(3)
        array([[2.5, 0. ],
               [2.5, 0. ]])
    """
    from sklearn.decomposition import PCA

    made = np.zeros((len(vectors), dimensions))
    count = min(dimensions, *vectors.shape)
    if count and np.ptp(vectors, axis=0).any():
        made[:, :count] = PCA(count, random_state=0).fit_transform(vectors.astype(np.float64))
    return made


def tsne(vectors: NDArray[np.float32], seed: int = 0) -> Points:
    """Return a t-SNE map: who is near whom is kept, distances between far groups mean little.

    Args:
        vectors: float32 [n, d], n ≥ 8. Wide ones are reduced to 50 principal components first.
        seed: Defaults to 0.

    Returns:
        float64 [n, 2].

    Raises:
        OptionError: There are fewer than 8 vectors.

    References:
        van der Maaten and Hinton, "Visualizing Data using t-SNE", JMLR 2008.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    if len(vectors) < _FEWEST:
        raise OptionError(f"at least {_FEWEST} vectors for a map", str(len(vectors)), "use pca")
    reduced = pca(vectors, max(2, min(_COMPONENTS, vectors.shape[1])))
    if not reduced[:, 0].any():
        return reduced[:, :2]
    perplexity = min(_PERPLEXITY, (len(vectors) - 1) / 3)
    made = TSNE(2, perplexity=perplexity, max_iter=_STEPS, init="pca", random_state=seed)
    with threadpool_limits(
        1
    ):  # its threads wait for each other in a busy loop: slower wherever cores are shared
        points: Points = made.fit_transform(reduced).astype(np.float64)
    return points


def sample(count: int, most: int = MOST, seed: int = 0) -> NDArray[np.int64]:
    """Return the ascending positions of the items that a map shows: all, or of too many a random sample.

    Example:
        >>> len(sample(5)), len(sample(20_000))
        (5, 600)
    """
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


@dataclass(frozen=True, eq=False)
class ItemMap:
    """Where items lie on two maps, and how alike neighbours are.

    Args:
        labels: What each item is, str [n].
        pca: Its place by principal components, float64 [n, 2].
        tsne: Its place by t-SNE, float64 [n, 2].
        near: The labels of its nearest items by cosine of the whole vectors, str [n, 10] or fewer.
        total: How many items there are of which these are a sample, int.
        names: What each item is called, str [n]. Defaults to (): they cannot be shown.
    """

    labels: tuple[str, ...]
    pca: Points
    tsne: Points
    near: tuple[tuple[str, ...], ...]
    total: int
    names: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        vectors: NDArray[np.float32],
        labels: Sequence[str],
        seed: int = 0,
        total: int | None = None,
        names: Sequence[str] = (),
    ) -> ItemMap | None:
        """Make the maps.

        Args:
            vectors: One for each item to be shown, float32 [n, d]; see `sample`.
            labels: What each item is, str.
            seed: For t-SNE, int. Defaults to 0.
            total: How many items there are of which these are a sample, int. Defaults to None: these.
            names: What each item is called, to be shown by, str. Defaults to ().

        Returns:
            The maps; None where there are fewer than 8 items, or all are alike.

        Example:
            >>> rng = np.random.default_rng(0)
            >>> found = ItemMap.of(rng.normal(size=(20, 5)).astype(np.float32), ["cat", "dog"] * 10)
            >>> found.tsne.shape
            (20, 2)
        """
        tags = tuple(labels)
        directions = unit(vectors)
        if len(tags) < _FEWEST or not np.ptp(directions, axis=0).any():
            return None
        positions = exact(directions, directions, _NEAR + 1)[0]
        near = (tuple(tags[m] for m in line if m != n)[:_NEAR] for n, line in enumerate(positions.tolist()))
        here = pca(directions), tsne(directions, seed)
        return cls(tags, *here, tuple(near), total or len(tags), tuple(names))

    def alike(self) -> dict[str, tuple[int, float, str | None]]:
        """Return for each label: items, share of near items of the same label, the most frequent other."""
        found = {}
        for label in natural_order(self.labels):
            own = [near for near, mine in zip(self.near, self.labels, strict=True) if mine == label]
            seen = Counter(name for near in own for name in near)
            others = [name for name, _ in seen.most_common() if name != label]
            share = seen[label] / max(1, seen.total())
            found[label] = len(own), share, others[0] if others else None
        return found


def map_section(
    found: ItemMap | None, noun: str = "items", glimpse: Callable[[str], Glimpse | None] | None = None
) -> tuple[str, list[Markup]] | None:
    """Return the report's section with the maps; None without one.

    Args:
        found: The maps. Where they know the items' names, their dots say what they are.
        noun: What the items are called, plural, str. Defaults to "items".
        glimpse: Shows an item by its name. Defaults to None: the dots show no pictures.

    Returns:
        The heading and what is under it.
    """
    if found is None:
        return None
    alike = found.alike()
    sample = (
        f" A sample of {len(found.labels):,} of {found.total:,}." if found.total > len(found.labels) else ""
    )
    words = (
        f"Each dot is one of the {noun}, placed by its features: near dots look alike to the network. "
        f"t-SNE keeps neighbours together; principal components keep large distances.{sample} "
        "Both have the same colours."
    )
    rows: list[list[Cell]] = [
        [label, count, bar(share, f"{share:.2f}"), other]
        for label, (count, share, other) in list(alike.items())[:_LISTED]
    ]
    listed = table(
        ["label", "dots", f"of their {_NEAR} nearest of the same label", "most often beside"], rows
    )
    mean = sum(count * share for count, share, _ in alike.values()) / len(found.labels)
    said = f"{100 * mean:.0f} % of the {_NEAR} nearest of a dot have its label."
    drawings = (
        _Drawing.of(found.tsne, found.labels, "t-SNE", named=True),
        _Drawing.of(found.pca, found.labels, "Principal components", named=False),
    )
    maps = side_by_side(*(drawing.chart(said, listed) for drawing in drawings))
    if found.names:
        places = [drawing.places() for drawing in drawings]
        maps = answering(maps, places, found.names, found.labels, thumbnails(found.names, glimpse))
    return f"Map of the {noun}", [paragraph(words, quiet=True), maps, paragraph(said)]


def draw(
    points: Points, tags: Sequence[str], method: str, said: str, listed: Markup, *, named: bool
) -> Markup:
    """Return a map as a chart, a colour for each label.

    Args:
        points: Places, float64 [n, 2].
        tags: The label of each dot, str [n].
        method: How the places were found, for the axis, str.
        said: What is to be seen, for the text alternative, str.
        listed: The table behind it, Markup.
        named: Whether each label is written where most of its dots are.

    Returns:
        The chart, Markup.
    """
    return _Drawing.of(points, tags, method, named=named).chart(said, listed)


@dataclass(frozen=True, eq=False)
class _Drawing:
    """A drawn map, and where its dots are."""

    figure: Figure
    axes: Axes
    points: Points
    what: str

    @classmethod
    def of(cls, points: Points, tags: Sequence[str], method: str, *, named: bool) -> _Drawing:
        """Draw a map, a colour for each label."""
        figure, axes = plot(5.4, 4.6)
        axes.grid(False)
        axes.set(xticks=[], yticks=[], xlabel=method)
        labels = natural_order(tags)
        own = np.array([labels.index(label) for label in tags])
        size = float(np.clip(6_000 / len(points), 12, 30))
        for number in range(len(labels)):
            colour = _COLOURS[number % len(_COLOURS)]
            shape = _SHAPES[number // len(_COLOURS) % len(_SHAPES)]
            places = points[own == number]
            axes.scatter(places[:, 0], places[:, 1], s=size, c=colour, marker=shape, alpha=0.75, linewidths=0)
        if named and 1 < len(labels) <= _NAMED:
            _name(axes, points, own, labels)
        return cls(figure, axes, points, f"{method} map of {len(points):,} dots with {len(labels)} labels.")

    def chart(self, said: str, listed: Markup) -> Markup:
        """Return the map as a chart."""
        return chart(self.figure, f"{self.what} {said}", listed)

    def places(self) -> Points:
        """Return where the dots are once it is a chart: shares of its size, from the top left, [n, 2]."""
        pixels = self.axes.transData.transform(self.points)
        shares: Points = pixels / (self.figure.bbox.width, self.figure.bbox.height)
        return np.stack([shares[:, 0], 1 - shares[:, 1]], axis=1)


def _name(axes: Axes, points: Points, own: NDArray[np.int64], labels: Sequence[str]) -> None:
    """Write each label where most of its dots are."""
    for number, label in enumerate(labels):
        x, y = np.median(points[own == number], axis=0)
        box = {"facecolor": SURFACE, "edgecolor": "none", "alpha": 0.75, "pad": 1.0}
        axes.text(x, y, short(label, 20), ha="center", va="center", fontsize=8, color=INK, bbox=box)

"""From a data set without labels to clusters with names, and the page that shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart import backbones, data
from headstart.data.items import Dataset, in_words
from headstart.engines.precision import Precision
from headstart.errors import BackboneError, OptionError, require
from headstart.figures import chart, plot
from headstart.fitting.gathering import Gathered, gather
from headstart.fitting.reporting import glimpses
from headstart.fitting.views import texts_of
from headstart.modalities import modality
from headstart.pages import ACCENT, Cell, Glimpse, Markup, Page, Shown, fragment, paragraph, table
from headstart.pages import glimpses as strip
from headstart.progress import Say, quiet
from headstart.retrieval.maps import ItemMap, map_section, sample
from headstart.transfer.calibration import softmax
from headstart.transfer.store import FeatureStore
from headstart.transfer.unlabelled.clusters import Clusters, find_clusters
from headstart.transfer.unlabelled.naming import characteristic_words, nearest_classes, unique_names

_SHOWN, _FARTHEST = 12, 4


@dataclass(frozen=True, eq=False)
class Clustering(Shown):
    """Named clusters of a data set's items.

    Args:
        dataset: The items that could be read.
        clusters: Which cluster each is in.
        names: Of the clusters, str, no two alike.
        words: What each cluster's name was made from: words, or source classes, the most telling first.
        labels: The items' own labels where they have any, str; "" where there is none. They played no part.
        places: Makes the map, when the page is written.
    """

    dataset: Dataset
    clusters: Clusters
    names: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]
    labels: tuple[str, ...]
    places: Callable[[], ItemMap | None] = field(repr=False)

    @property
    def headline(self) -> str:
        """The result in one sentence."""
        noun, count = modality(self.dataset.modality).noun, len(self.names)
        score = self.clusters.silhouettes[count]
        how = (
            "well apart"
            if score > 0.5
            else "with some overlap"
            if score > 0.2
            else "that run into each other"
        )
        return f"{len(self.dataset):,} {noun} in {count} clusters {how} (silhouette {score:.2f})."

    @property
    def agreement(self) -> float | None:
        """Adjusted Rand index with the items' own labels: 1 the same, 0 chance. None without labels."""
        from sklearn.metrics import adjusted_rand_score

        known = [n for n, label in enumerate(self.labels) if label]
        if len({self.labels[n] for n in known}) < 2:
            return None
        return float(adjusted_rand_score([self.labels[n] for n in known], self.clusters.cluster[known]))

    def to_json(self) -> dict[str, Any]:
        """Return the clusters as a JSON object."""
        items = [item.name for item in self.dataset]
        found = [
            {
                "name": name,
                "words": list(self.words[number]),
                "items": [items[place] for place in self.clusters.members(number)],
            }
            for number, name in enumerate(self.names)
        ]
        tried = {str(number): round(score, 4) for number, score in self.clusters.silhouettes.items()}
        return {"clusters": found, "silhouettes": tried, "agreement": self.agreement}

    def html(self) -> str:
        """Return the clusters as one self-contained page."""
        title = self.dataset.root.name if self.dataset.root else "Clusters"
        page = Page(f"Clusters of {title}", lead=self.headline)
        page.section("Overview", *self._overview())
        glimpse = glimpses(self.dataset)
        shown = map_section(self.places(), modality(self.dataset.modality).noun, glimpse)
        if shown is not None:
            page.section(shown[0], *shown[1])
        for number, name in enumerate(self.names):
            page.section(name[:1].upper() + name[1:], *self._cluster(number, glimpse))
        return page.html()

    def _overview(self) -> list[Markup]:
        labelled = self.agreement is not None
        rows: list[list[Cell]] = []
        for number, (name, size) in enumerate(zip(self.names, self.clusters.sizes, strict=True)):
            row: list[Cell] = [name, size, ", ".join(self.words[number])]
            rows.append([*row, self._own_labels(number)] if labelled else row)
        columns = ["cluster", modality(self.dataset.modality).noun, "most telling"]
        made = [table([*columns, "their own labels"] if labelled else columns, rows)]
        if labelled:
            said = (
                "The items have labels, which played no part here. Clusters and labels agree by "
                f"{self.agreement:.2f} (adjusted Rand index: 1 the same, 0 as by chance)."
            )
            made.append(paragraph(said))
        return [*made, *self._silhouettes()]

    def _own_labels(self, number: int) -> str:
        seen = Counter(self.labels[n] for n in self.clusters.members(number) if self.labels[n])
        return ", ".join(
            f"{label} {100 * count / seen.total():.0f} %" for label, count in seen.most_common(3)
        )

    def _silhouettes(self) -> list[Markup]:
        scores = self.clusters.silhouettes
        if len(scores) < 2:
            return []
        figure, axes = plot(5.4, 2.4)
        axes.plot(list(scores), list(scores.values()), marker="o", color=ACCENT)
        axes.set(xlabel="clusters", ylabel="silhouette")
        best = len(self.names)
        rows = [[number, score] for number, score in scores.items()]
        alt = f"How well each number of clusters parts the items; {best} does best, with {scores[best]:.2f}."
        note = "The number of clusters is the one with the best silhouette; -k chooses another."
        return [chart(figure, alt, table(["clusters", "silhouette"], rows)), paragraph(note, quiet=True)]

    def _cluster(self, number: int, glimpse: Callable[[str], Glimpse | None]) -> list[Markup]:
        members = self.clusters.members(number)
        nearest, rest = members[:_SHOWN], members[_SHOWN:]
        made = [
            paragraph(
                f"{len(members):,} {modality(self.dataset.modality).noun}; those nearest the centre first."
            ),
            strip(self._shown(nearest, glimpse)),
        ]
        if len(rest):
            made += [
                paragraph("Farthest from the centre, so the least certain to belong here:", quiet=True),
                strip(self._shown(rest[-_FARTHEST:], glimpse)),
            ]
        return made

    def _shown(
        self, places: NDArray[np.int64], glimpse: Callable[[str], Glimpse | None]
    ) -> list[tuple[Glimpse | None, str, Markup]]:
        items = [self.dataset.items[place] for place in places]
        return [
            (
                glimpse(item.name),
                f"The item {item.name}",
                fragment("{}<br>{}", item.name, in_words(item.answer)),
            )
            for item in items
        ]


def cluster(
    source: Dataset | Path | str | Sequence[Path | str],
    count: int | None = None,
    *,
    backbone: str | None = None,
    email: bool = False,
    engine: str = "auto",
    precision: Precision | None = None,
    offline: bool = False,
    seed: int = 0,
    say: Say = quiet,
    store: FeatureStore | None = None,
) -> Clustering:
    """Put a collection's items together by what they show, and name each cluster. Needs no labels.

    Args:
        source: A data set, or what `headstart.data.open` opens. Labels play no part; the page compares them.
        count: How many clusters, int. Defaults to None: the number with the best silhouette.
        backbone: What turns items into vectors. Defaults to None: the modality's default.
        email: Whether headers, quotes and signatures of e-mails are taken off texts first. Defaults to False.
        engine: "auto", "openvino" or "torch". Defaults to "auto".
        precision: "bf16" or "fp32". Defaults to None: the engine's own choice.
        offline: Whether to stay off the network. Defaults to False.
        seed: Of the starting points, int. Defaults to 0.
        say: Called with a line of text at each step. Defaults to saying nothing.
        store: The feature store. Defaults to the one in the cache.

    Returns:
        The clusters: texts are named by characteristic words, pictures by the source classes that the
        backbone's own classifier sees in them.

    Raises:
        DataError: There are too few items that can be read, or all are alike.
        OptionError: An argument cannot be used.

    Example:
        >>> import headstart as hs
        >>> found = hs.cluster("photos/")  # doctest: +SKIP
        >>> found.names  # doctest: +SKIP
        ('tabby', 'beach wagon', 'seashore')
    """
    require(("sklearn",), "train", "clustering")
    from threadpoolctl import threadpool_limits

    dataset = data.open(source) if isinstance(source, Dataset) else data.open(source, unlabelled=True)
    with ExitStack() as stack:
        gathered = gather(
            dataset, store or stack.enter_context(FeatureStore()), backbone=backbone, engine=engine,
            precision=precision, offline=offline, email=email, say=say,
        )  # fmt: skip
    rows = gathered.features.pool(np.asarray(gathered.features.X, np.float32))
    if not rows.shape[1]:
        raise OptionError("a backbone that gives vectors", f"{gathered.card.name!r}", "leave it out")
    with threadpool_limits(1):  # their threads wait for each other in a busy loop
        found = find_clusters(rows, count, seed=seed)
    words = _words(gathered, rows, found, offline, say)
    shown = sample(len(rows), seed=seed)
    names = unique_names(words)
    called = [names[number] for number in found.cluster[shown]]
    made = Clustering(
        gathered.dataset,
        found,
        tuple(names),
        tuple(words),
        tuple(in_words(item.answer) for item in gathered.dataset),
        lambda: ItemMap.of(
            rows[shown], called, total=len(rows), names=[gathered.dataset.items[n].name for n in shown]
        ),
    )
    say(made.headline)
    return made


def _words(
    gathered: Gathered, rows: NDArray[np.float32], found: Clusters, offline: bool, say: Say
) -> list[tuple[str, ...]]:
    """Return what each cluster is named by; () where there is nothing to name it by."""
    card = gathered.card
    if card.modality == "text":
        return characteristic_words(texts_of(gathered.dataset, card), found.cluster)
    if card.labels == "imagenet-1k":
        from headstart.transfer.source_head import source_classifier

        try:
            names = backbones.imagenet_labels(offline=offline)
            weight, bias = source_classifier(card, offline=offline)
            return nearest_classes(softmax(rows @ weight + bias), names, found.cluster)
        except BackboneError as error:
            say(f"the clusters have numbers instead of names: {error.received}")
    return [() for _ in found.sizes]

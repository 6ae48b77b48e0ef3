"""Roles: what a node's place in its graph looks like, in numbers that mean the same in another graph."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headstart.errors import DataError, require
from headstart.transfer.calibration import softmax
from headstart.transfer.heads import Head, fit_head

if TYPE_CHECKING:
    from networkx import Graph

Node = Hashable
Matrix = NDArray[np.float32]
Recipe = tuple[str, ...]
"""How a feature is made: ("degree",), or ("mean", "degree"), the neighbours' mean degree, and so on."""

LOCAL: tuple[Recipe, ...] = (("degree",), ("inside",), ("leaving",))
"""Links of the node; links among it and its neighbours; links from these to others (its egonet's)."""
DEPTH = 4
_FALL = 0.5  # share of the nodes that logarithmic binning puts into each next bin


@dataclass(frozen=True)
class Roles:
    """Which numbers describe a node: its links, those of its neighbourhood, and aggregates of these.

    What is learned on one graph are the recipes that say something new there; they are applied to any other.

    Args:
        recipes: How each feature is made.

    References:
        Henderson et al., "It's who you know: graph mining using recursive structural features" (ReFeX),
        KDD 2011.

    Example:
        >>> import networkx
        >>> roles = Roles.learn(networkx.karate_club_graph())
        >>> roles.recipes[0], roles.features(networkx.star_graph(4)).shape == (5, len(roles.recipes))
        (('degree',), True)
    """

    recipes: tuple[Recipe, ...]

    @classmethod
    def learn(cls, graph: Graph, *, depth: int = DEPTH) -> Roles:
        """Find the features that say something new about the nodes of a graph.

        From the local features on, each round adds the mean and the sum over the neighbours of what the last
        one found; of features that put the nodes into the same bins, up to a tolerance that grows with the
        rounds, the simplest stays.

        Args:
            graph: A networkx graph; directions and weights are not looked at.
            depth: How many rounds at most, int. Defaults to 4.

        Raises:
            DataError: The graph has no edges.
        """
        values = _Values(graph)
        kept = _distinct(list(LOCAL), values, tolerance=0)
        newest = kept
        for number in range(depth):
            candidates = [(how, *recipe) for recipe in newest for how in ("mean", "sum")]
            found = _distinct([*kept, *candidates], values, tolerance=number)
            newest = [recipe for recipe in found if recipe not in kept]
            if not newest:
                break
            kept = [*kept, *newest]
        return cls(tuple(kept))

    def features(self, graph: Graph) -> Matrix:
        """Return the logarithms of the features of a graph's nodes, in the graph's order.

        Args:
            graph: A networkx graph, of any size.

        Returns:
            float32 [nodes, recipes].

        Raises:
            DataError: The graph has no edges.
        """
        values = _Values(graph)
        return np.log1p(np.stack([values.of(recipe) for recipe in self.recipes], 1)).astype(np.float32)


class _Values:
    """The features of one graph's nodes, each computed once."""

    def __init__(self, graph: Graph) -> None:
        require(("networkx",), "train", "graphs")
        import networkx

        simple = networkx.Graph(graph)
        simple.remove_edges_from(list(networkx.selfloop_edges(simple)))
        if simple.number_of_edges() == 0:
            fix = "give a graph whose nodes are linked: without links no node has a role"
            raise DataError("a graph with edges", f"{simple.number_of_nodes()} nodes without any", fix)
        self.links = networkx.to_scipy_sparse_array(simple, weight=None, dtype=np.float64, format="csr")
        self.degree = self.links.sum(1)
        self.of = cache(self._of)

    def _of(self, recipe: Recipe) -> NDArray[np.float64]:
        how, *of = recipe
        if of:
            total: NDArray[np.float64] = self.links @ self.of(tuple(of))
            return total if how == "sum" else total / np.maximum(self.degree, 1)
        if how == "degree":
            return np.asarray(self.degree, np.float64)
        triangles = (self.links @ self.links).multiply(self.links).sum(1) / 2
        inside = self.degree + triangles
        if how == "inside":
            return np.asarray(inside, np.float64)
        return np.asarray(self.degree + self.links @ self.degree - 2 * inside, np.float64)


def _distinct(recipes: list[Recipe], values: _Values, tolerance: int) -> list[Recipe]:
    """Return the recipes without those that bin all nodes like an earlier one, up to a tolerance."""
    kept: list[tuple[Recipe, NDArray[np.int64]]] = []
    for recipe in recipes:
        bins = logarithmic_bins(values.of(recipe))
        if all(np.abs(bins - other).max() > tolerance for _, other in kept):
            kept.append((recipe, bins))
    return [recipe for recipe, _ in kept]


def logarithmic_bins(numbers: NDArray[np.floating]) -> NDArray[np.int64]:
    """Put the lower half of some numbers into bin 0, half of the rest into 1, and so on; ties stay together.

    Example:
        >>> logarithmic_bins(np.array([5, 1, 2, 9, 3, 4, 7, 8])).tolist()
        [1, 0, 0, 3, 0, 0, 1, 2]
    """
    bins = np.zeros(len(numbers), np.int64)
    left = np.ones(len(numbers), np.bool_)
    number = 0
    while left.any():
        rest = np.sort(numbers[left])
        edge = rest[max(1, int(np.ceil(_FALL * len(rest)))) - 1]
        here = left & (numbers <= edge)
        bins[here] = number
        left &= ~here
        number += 1
    return bins


@dataclass(frozen=True)
class NodeClassifier:
    """Tells the classes of nodes by their roles, in the graph it was fitted on and in any other.

    Args:
        roles: What describes a node.
        head: From that to the classes.
        labels: The classes, str.

    Example:
        >>> import networkx
        >>> lines = networkx.barbell_graph(6, 6)
        >>> known = {node: "bridge" if 6 <= node < 12 else "group" for node in lines}
        >>> classifier = NodeClassifier.fit([lines], [known])
        >>> set(classifier.predict(networkx.complete_graph(7)).values())
        {'group'}
    """

    roles: Roles
    head: Head
    labels: tuple[str, ...]

    @classmethod
    def fit(
        cls, graphs: Iterable[Graph], known: Iterable[Mapping[Any, str]], *, strength: float = 1.0
    ) -> NodeClassifier:
        """Learn classes of nodes from one or several graphs.

        Args:
            graphs: networkx graphs; the roles are learned on the first.
            known: The class of nodes of each graph, {node: str}; others are passed over.
            strength: Inverse regularisation, float. Defaults to 1.

        Raises:
            DataError: A graph has no edges, or fewer than two classes are known.
        """
        pairs = list(zip(graphs, known, strict=True))
        labels = tuple(sorted({label for _, its in pairs for label in its.values()}))
        if len(labels) < 2:
            received = f"only {labels[0]}" if labels else "none"
            raise DataError("nodes of at least two classes", received, "name the class of more nodes")
        roles = Roles.learn(pairs[0][0])
        rows, y = [], []
        for graph, its in pairs:
            features = roles.features(graph)
            for place, node in enumerate(graph):
                if node in its:
                    rows.append(features[place])
                    y.append(labels.index(its[node]))
        head = fit_head("linear", np.stack(rows), np.array(y), len(labels), strength=strength)
        return cls(roles, head, labels)

    def probabilities(self, graph: Graph) -> Matrix:
        """Return the probabilities of a graph's nodes, in its order, float32 [nodes, classes]."""
        return softmax(self.head.logits(self.roles.features(graph))).astype(np.float32)

    def predict(self, graph: Graph) -> dict[Any, str]:
        """Return the most probable class of each node of a graph."""
        best = self.probabilities(graph).argmax(1).tolist()
        return {node: self.labels[place] for node, place in zip(graph, best, strict=True)}

"""Is what a node's place says in one graph true in another? A classifier carried between graphs.

    python benchmarks/graphs.py [--draws 10]

Nodes are known by their part in a planned graph (hub, leaf, bridge between groups, member of a clique); the
classifier is fitted on one graph and asked about others, of other sizes. Beside it: the share of the most
frequent class, and the same classifier on the degree alone. Then brokers (the 30 % of nodes with the highest
betweenness) from Zachary's karate club to Les Misérables and to the Florentine families, and back.
"""

from __future__ import annotations

import argparse
import time

import networkx as nx
import numpy as np
from support.common import record, table

from headstart.transfer.graphs.roles import NodeClassifier, Roles
from headstart.transfer.heads import fit_head

Known = dict[object, str]


def planned(seed: int, groups: int, size: int) -> tuple[nx.Graph, Known]:
    """Return cliques in a ring of bridges, each with a hub that has leaves."""
    generator = np.random.default_rng(seed)
    graph, known = nx.Graph(), {}
    doors = []
    for group in range(groups):
        members = [(group, "member", n) for n in range(size + int(generator.integers(-1, 2)))]
        graph.add_edges_from((one, other) for one in members for other in members if one < other)
        hub = (group, "hub", 0)
        graph.add_edge(hub, members[0])
        leaves = [(group, "leaf", n) for n in range(size + int(generator.integers(3)))]
        graph.add_edges_from((hub, leaf) for leaf in leaves)
        doors.append(members[-1])
    for group in range(groups):
        bridge = (group, "bridge", 0)
        graph.add_edges_from([(doors[group], bridge), (bridge, doors[(group + 1) % groups])])
    known = {node: node[1] for node in graph}
    return graph, known


def brokers(graph: nx.Graph) -> Known:
    """Return which nodes many shortest paths lead through."""
    between = nx.betweenness_centrality(graph)
    edge = np.quantile(list(between.values()), 0.7)
    return {node: "broker" if share > edge else "other" for node, share in between.items()}


def score(source: nx.Graph, known: Known, target: nx.Graph, truth: Known) -> dict[str, float]:
    """Return the balanced accuracies on the target."""

    def balanced(found: Known) -> float:
        labels = sorted(set(truth.values()))
        parts = [[found[node] == label for node in target if truth[node] == label] for label in labels]
        return float(np.mean([np.mean(part) for part in parts]))

    labels = tuple(sorted(set(known.values())))
    alone = Roles((("degree",),))
    y = np.array([labels.index(known[node]) for node in source])
    head = fit_head("linear", alone.features(source), y, len(labels), strength=1.0)
    by_degree = head.logits(alone.features(target)).argmax(1)
    return {
        "roles": balanced(NodeClassifier.fit([source], [known]).predict(target)),
        "degree alone": balanced({node: labels[n] for node, n in zip(target, by_degree, strict=True)}),
        "chance": 1 / len(labels),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=10)
    options = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    source, known = planned(0, 6, 6)
    draws = [score(source, known, *planned(seed, 10, 7)) for seed in range(1, 1 + options.draws)]
    found["planned → planned"] = {key: float(np.mean([each[key] for each in draws])) for key in draws[0]}
    social = {
        "karate": nx.karate_club_graph(),
        "les misérables": nx.les_miserables_graph(),
        "florentine": nx.florentine_families_graph(),
    }
    for one, first in social.items():
        for other, second in social.items():
            if one != other:
                found[f"{one} → {other}"] = score(first, brokers(first), second, brokers(second))
    began = time.perf_counter()
    large = nx.barabasi_albert_graph(20_000, 5, seed=0)
    Roles.learn(large).features(large)
    seconds = time.perf_counter() - began
    for name, figures in found.items():
        record("graphs", {"pair": name, **figures, "seconds_100k_edges": seconds}, ("networkx", "scipy"))
    columns = ("roles", "degree alone", "chance")
    lines = [(name, *(figures[key] for key in columns)) for name, figures in found.items()]
    table("Balanced accuracy on the other graph", [("pair", *columns), *lines])
    print(f"  roles of 20,000 nodes with 100,000 edges: {seconds:.1f} s")


if __name__ == "__main__":
    main()

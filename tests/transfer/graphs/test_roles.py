"""Roles of nodes: by hand, against networkx, and carried from graph to graph."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.errors import DataError
from headstart.transfer.graphs.roles import LOCAL, NodeClassifier, Roles, logarithmic_bins

SOCIAL = {
    "karate": nx.karate_club_graph,
    "les misérables": nx.les_miserables_graph,
    "florentine": nx.florentine_families_graph,
}


@pytest.mark.parametrize("name", SOCIAL)
def test_local_features_are_those_of_the_egonets(name: str) -> None:
    graph = SOCIAL[name]()
    found = np.expm1(Roles(LOCAL).features(graph))
    for row, node in zip(found, graph, strict=True):
        ego = set(nx.ego_graph(graph, node))
        inside = graph.subgraph(ego).number_of_edges()
        leaving = sum(1 for one, other in graph.edges if (one in ego) != (other in ego))
        assert row == pytest.approx([graph.degree(node), inside, leaving], rel=1e-4)


def test_aggregates_are_those_of_the_neighbours() -> None:
    graph = nx.karate_club_graph()
    found = np.expm1(
        Roles((("sum", "degree"), ("mean", "degree"), ("mean", "sum", "degree"))).features(graph)
    )
    for row, node in zip(found, graph, strict=True):
        degrees = [graph.degree(other) for other in graph[node]]
        sums = [sum(graph.degree(far) for far in graph[other]) for other in graph[node]]
        assert row == pytest.approx([sum(degrees), np.mean(degrees), np.mean(sums)], rel=1e-4)


def test_features_that_say_nothing_new_are_left_out() -> None:
    ring = Roles.learn(nx.cycle_graph(12))
    assert ring.recipes == (("degree",),)  # all nodes are alike in everything
    assert len(Roles.learn(nx.les_miserables_graph()).recipes) > len(LOCAL)


@pytest.mark.parametrize("name", SOCIAL)
def test_rounds_come_to_an_end(name: str) -> None:
    recipes = Roles.learn(SOCIAL[name](), depth=12).recipes
    assert len(set(recipes)) == len(recipes) < 60


@settings(deadline=None, max_examples=15)
@given(st.integers(5, 25), st.floats(0.2, 0.7), st.integers(0, 999))
def test_the_names_of_nodes_make_no_difference(count: int, density: float, seed: int) -> None:
    graph = nx.gnp_random_graph(count, density, seed=seed)
    if graph.number_of_edges() == 0:
        return
    order = np.random.default_rng(seed).permutation(count)
    renamed = nx.Graph()
    renamed.add_nodes_from(f"node {n}" for n in order)
    renamed.add_edges_from((f"node {a}", f"node {b}") for a, b in graph.edges)
    roles = Roles.learn(graph)
    assert roles.features(renamed) == pytest.approx(roles.features(graph)[order], rel=1e-5)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40))
def test_bins_keep_the_order_and_hold_at_least_half_of_the_rest(numbers: list[int]) -> None:
    values = np.array(numbers)
    bins = logarithmic_bins(values)
    order = np.argsort(values, kind="stable")
    assert (np.diff(bins[order]) >= 0).all()
    for number in range(bins.max() + 1):
        assert np.sum(bins == number) * 2 >= np.sum(bins >= number)


def hubs_and_leaves(seed: int, hubs: int = 6, leaves: int = 8) -> tuple[nx.Graph, dict[int, str]]:
    """Hubs in a ring, each with leaves, some bridges between leaves."""
    graph, roles = nx.cycle_graph(hubs), dict.fromkeys(range(hubs), "hub")
    generator = np.random.default_rng(seed)
    for hub in range(hubs):
        for _ in range(int(generator.integers(leaves - 2, leaves + 3))):
            node = graph.number_of_nodes()
            graph.add_edge(hub, node)
            roles[node] = "leaf"
    order = [node for node in graph if roles[node] == "leaf"]
    for one, other in zip(order[::7], order[3::7], strict=False):
        node = graph.number_of_nodes()
        graph.add_edges_from([(one, node), (node, other)])
        roles[node] = "bridge"
    return graph, roles


def test_a_classifier_is_carried_to_another_graph() -> None:
    source, known = hubs_and_leaves(0)
    target, truth = hubs_and_leaves(1, hubs=11, leaves=10)
    found = NodeClassifier.fit([source], [known]).predict(target)
    assert np.mean([found[node] == truth[node] for node in target]) > 0.9


def test_bridges_of_families_are_told_by_what_was_learned_in_a_club() -> None:
    def known(graph: nx.Graph) -> dict[object, str]:
        between = nx.betweenness_centrality(graph)
        middle = np.quantile(list(between.values()), 0.7)
        return {node: "broker" if share > middle else "other" for node, share in between.items()}

    club, families = nx.karate_club_graph(), nx.florentine_families_graph()
    found = NodeClassifier.fit([club], [known(club)]).predict(families)
    truth = known(families)
    assert np.mean([found[node] == truth[node] for node in families]) > 0.7
    assert found["Medici"] == "broker"


def test_nodes_of_unknown_class_are_passed_over() -> None:
    source, known = hubs_and_leaves(0)
    part = {node: label for place, (node, label) in enumerate(known.items()) if place % 2}
    assert NodeClassifier.fit([source], [part]).labels == ("bridge", "hub", "leaf")


def test_graphs_without_edges_and_single_classes_are_refused() -> None:
    lonely = nx.empty_graph(5)
    for work in (Roles.learn, Roles(LOCAL).features):
        with pytest.raises(DataError, match="a graph with edges, received 5 nodes without any"):
            work(lonely)
    with pytest.raises(DataError, match="at least two classes, received only"):
        NodeClassifier.fit([nx.path_graph(4)], [{0: "end"}])
    loops = nx.Graph([(1, 1), (2, 2)])
    with pytest.raises(DataError, match="a graph with edges"):
        Roles.learn(loops)


def test_loops_and_directions_are_not_looked_at() -> None:
    graph = nx.karate_club_graph()
    other = nx.DiGraph(graph.edges)
    other.add_edge(0, 0)
    roles = Roles(LOCAL)
    place = {node: n for n, node in enumerate(other)}
    expected = roles.features(graph)[[list(graph).index(node) for node in place]]
    assert roles.features(other) == pytest.approx(expected)

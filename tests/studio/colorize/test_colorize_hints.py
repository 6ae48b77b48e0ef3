"""Hints: read, exact at their place, and spread as far as the lightness stays alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headstart.errors import OptionError
from headstart.studio.colorize.hints import Hint, check_hints, geodesic, read_hint, spread

few = settings(max_examples=15, deadline=None)
RED = (200, 30, 40)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.tuples(*[st.integers(0, 255)] * 3))
@settings(max_examples=30, deadline=None)
def test_what_is_written_is_read(x: int, y: int, colour: tuple[int, int, int]) -> None:
    assert read_hint(f" {x}, {y} ,#{bytes(colour).hex().upper()}") == Hint(x, y, colour)


@pytest.mark.parametrize(
    "written",
    ["", "1,2", "1,2,red", "1,2,#12345", "1,2,#12345g", "a,2,#123456", "1.5,2,#123456", "1,2,123456"],
)
def test_what_is_no_hint(written: str) -> None:
    with pytest.raises(OptionError, match="#rrggbb"):
        read_hint(written)


def test_hints_outside() -> None:
    check_hints([Hint(0, 0, RED), Hint(9, 4, RED)], (5, 10, 3))
    for x, y in ((10, 0), (0, 5), (-1, 0), (0, -1)):
        with pytest.raises(OptionError, match=f"10 × 5 pixels, received one at {x},{y}"):
            check_hints([Hint(x, y, RED)], (5, 10, 3))


def walls() -> NDArray[np.float32]:
    """Three light rooms with dark walls between them."""
    light = np.full((40, 62), 70, np.float32)
    light[:, 20:22] = light[:, 40:42] = 5
    return light


def test_a_hint_fills_a_room_and_not_the_next() -> None:
    ab = np.zeros((40, 62, 2), np.float32)
    hint = Hint(100, 200, RED)  # of a picture ten times as large
    found = spread(ab, walls(), [hint], (400, 620))
    np.testing.assert_allclose(found[20, 10], hint.ab, rtol=1e-3)
    middle = found[2:-2, 2:17] / hint.ab
    assert middle.min() > 0.55
    assert np.abs(found[:, 22:]).max() < 0.05 * np.abs(hint.ab).max()


def test_hints_beside_each_other_share_a_room() -> None:
    ab = np.zeros((40, 62, 2), np.float32)
    hints = [Hint(2, 20, RED), Hint(17, 20, (30, 60, 200))]
    found = spread(ab, walls(), hints, (40, 62))
    for hint in hints:
        np.testing.assert_allclose(found[hint.y, hint.x], hint.ab, rtol=0.05, atol=1.0)
    assert found[20, 4, 0] > found[20, 10, 0] > found[20, 15, 0]  # from red to blue


def test_texture_does_not_stop_a_hint() -> None:
    generator = np.random.default_rng(0)
    fur = walls() + generator.normal(0, 4, (40, 62)).astype(np.float32)
    found = spread(np.zeros((40, 62, 2), np.float32), fur, [Hint(10, 20, RED)], (40, 62))
    assert (found[10:30, 5:15, 0] > 0.4 * Hint(0, 0, RED).ab[0]).all()


def test_shading_does_not_stop_a_hint_and_an_edge_does() -> None:
    shaded = np.repeat(np.linspace(20, 80, 200, dtype=np.float32)[None], 100, 0)
    edge = np.where(np.arange(200) < 100, 35, 65).astype(np.float32)[None].repeat(100, 0)
    hint, shape = Hint(50, 50, RED), (100, 200)
    none = np.zeros((100, 200, 2), np.float32)
    over_shade, over_edge = (spread(none, light, [hint], shape)[50, 130, 0] for light in (shaded, edge))
    assert over_shade > 0.7 * hint.ab[0]
    assert over_edge < 0.2 * hint.ab[0]


def test_no_hints_change_nothing() -> None:
    ab = np.ones((4, 5, 2), np.float32)
    assert spread(ab, np.zeros((4, 5), np.float32), [], (4, 5)) is ab


def slowly(lightness: NDArray[np.float32], place: tuple[int, int]) -> NDArray[np.float64]:
    """Dijkstra's way, by scipy."""
    from scipy.sparse import lil_matrix
    from scipy.sparse.csgraph import dijkstra

    height, width = lightness.shape
    graph = lil_matrix((height * width, height * width))
    for y in range(height):
        for x in range(width):
            for v in range(max(0, y - 1), min(height, y + 2)):
                for u in range(max(0, x - 1), min(width, x + 2)):
                    if (u, v) != (x, y):
                        length = np.hypot(u - x, v - y) / np.hypot(height, width)
                        change = abs(float(lightness[y, x]) - float(lightness[v, u]))
                        graph[y * width + x, v * width + u] = length + max(change - 300 * length, 0) / 35
    found: NDArray[np.float64] = dijkstra(graph.tocsr(), indices=place[0] * width + place[1])
    return found.reshape(height, width)


@few
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_the_shortest_way_is_found(height: int, width: int, seed: int) -> None:
    light = np.random.default_rng(seed).uniform(0, 100, (height, width)).astype(np.float32)
    place = (seed % height, seed % width)
    np.testing.assert_allclose(geodesic(light, place), slowly(light, place), rtol=1e-4, atol=1e-6)

"""Sanity of explanations: they depend on what the network learned, and are faithful to what it answers.

Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018; Petsiuk, Das and Saenko, "RISE", BMVC 2018.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pasted_patterns import Known
from PIL import Image
from scipy.stats import spearmanr
from torch import nn

from headstart.artefact.streaming import prepare
from headstart.explain import PictureExplanation
from headstart.explain.faithfulness import deletion, insertion
from headstart.explain.gradients import cam, integrated
from headstart.explain.network import ScoreNetwork, score_network
from headstart.transfer.heads import Head

pytestmark = pytest.mark.usefixtures("one_thread")

Map = NDArray[np.float64]
MAPS: dict[str, Callable[[ScoreNetwork, NDArray[np.uint8], int], Map]] = {
    "gradcam": lambda network, x, column: cam(network, [x], column, high_resolution=False)[0],
    "hirescam": lambda network, x, column: cam(network, [x], column, high_resolution=True)[0],
    "gradients": lambda network, x, column: integrated(network, [x], column)[0],
}


def inputs(known: Known, count: int) -> list[tuple[NDArray[np.uint8], int]]:
    """Return what the network sees of some pictures, and the columns of their labels."""
    model = known.model
    return [
        (
            np.asarray(prepare((1, each.picture), model.front_ends, "image").inputs[model.front_end][0]),
            model.labels.index(each.label),
        )
        for each in known.pictures[:count]
    ]


def agreement(one: ScoreNetwork, other: ScoreNetwork, known: Known, name: str) -> float:
    """Return the mean rank correlation of the maps of two networks."""
    found = [
        spearmanr(MAPS[name](one, x, column).ravel(), MAPS[name](other, x, column).ravel()).statistic
        for x, column in inputs(known, 1 if name == "gradients" else 4)
    ]
    return float(np.mean(found))


@pytest.fixture(scope="module")
def randomised(known: Known) -> ScoreNetwork:
    """The network of the model with weights that have learned nothing, the head included."""
    torch.manual_seed(0)
    network = copy.deepcopy(score_network(known.model))
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            module.reset_parameters()
    return network.eval()


@pytest.mark.parametrize("name", MAPS)
def test_random_weights_destroy_the_map(known: Known, randomised: ScoreNetwork, name: str) -> None:
    trained = score_network(known.model)
    assert abs(agreement(trained, randomised, known, name)) < 0.35


def test_a_random_head_destroys_the_map(known: Known) -> None:
    """The features alone do not make the map: what the head learned of them does."""
    trained = score_network(known.model)
    (weight, bias), *_ = known.model.head.layers
    generator = np.random.default_rng(0)
    assert agreement(trained, trained, known, "hirescam") == pytest.approx(1)
    found = []
    for _ in range(5):
        shuffled = generator.permuted(weight, axis=0)
        head = Head("linear", ((shuffled, bias),))
        other = ScoreNetwork(list(trained.backbones), [head], "label", "mean")  # type: ignore[arg-type]
        found.append(agreement(trained, other, known, "hirescam"))
    assert abs(np.mean(found)) < 0.35


def test_random_labels_change_the_map(known: Known) -> None:
    """A head that learned labels at random sees its reasons elsewhere than in the patterns."""
    from headstart.transfer.heads import fit_head

    model = known.model
    trained = score_network(model)
    rows = model.embed([each.picture for each in known.pictures])
    y = np.random.default_rng(1).permutation(np.arange(len(rows)) % 3).astype(np.int64)
    wrong = ScoreNetwork(list(trained.backbones), [fit_head("linear", rows, y, 3)], "label", "mean")  # type: ignore[arg-type]
    assert agreement(trained, wrong, known, "hirescam") < 0.5


def edges(pixels: NDArray[np.uint8]) -> Map:
    """Return how strongly the grey levels change: a map that knows nothing of the model."""
    down, across = np.gradient(pixels.mean(2))
    size = (14, 14)
    strength = Image.fromarray(np.hypot(down, across).astype(np.float32))
    return np.asarray(strength.resize(size, Image.Resampling.BOX), np.float64)


@pytest.mark.parametrize("method", ["auto", "gradcam", "occlusion"])
def test_what_is_marked_is_what_the_answer_hangs_on(known: Known, method: str) -> None:
    model = known.model
    generator = np.random.default_rng(0)
    areas: dict[str, list[tuple[float, float]]] = {"found": [], "random": [], "edges": []}
    for (pixels, column), each in zip(inputs(known, 4), known.pictures, strict=False):
        why = model.explain(each.picture, method=method, label=each.label)
        assert isinstance(why, PictureExplanation)
        maps = {"found": why.evidence, "random": generator.normal(size=(14, 14)), "edges": edges(pixels)}

        def answer(pictures: NDArray[np.uint8], column: int = column) -> NDArray[np.float64]:
            return model.answer_inputs(pictures)[:, column]

        for name, evidence in maps.items():
            curves = (curve(answer, pixels, evidence, 8).area for curve in (deletion, insertion))
            areas[name].append(tuple(curves))  # type: ignore[arg-type]
    deleted, inserted = ({name: np.mean(values, 0)[k] for name, values in areas.items()} for k in (0, 1))
    for other in ("random", "edges"):
        assert deleted["found"] < deleted[other]
        assert inserted["found"] > inserted[other]


def test_the_ends_of_the_curves() -> None:
    """Nothing changed is the picture itself, everything changed its end; order decides what is between."""
    pixels = np.random.default_rng(0).integers(0, 255, (12, 12, 3)).astype(np.uint8)
    pixels[:6, :6] = 255

    def corner(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        return pictures[:, :6, :6].mean((1, 2, 3)) / 255

    right, wrong = np.zeros((2, 2)), np.ones((2, 2))
    right[0, 0], wrong[0, 0] = 1, 0
    for evidence in (right, wrong):
        curve = deletion(corner, pixels, evidence, 4)
        assert curve.answers[0] == 1
        assert curve.answers[-1] == pytest.approx(pixels.mean() / 255, abs=0.01)
    assert deletion(corner, pixels, right).area < deletion(corner, pixels, wrong).area
    assert insertion(corner, pixels, right).area > insertion(corner, pixels, wrong).area

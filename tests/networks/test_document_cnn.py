"""The document CNN: k-max pooling against brute force, independence of padding, learning, conversion."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headstart.networks.document_cnn import PAD, HierarchicalCNN, KMaxPool, windows

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {"widths": (1, 2, 3), "channels": 4, "sentence_channels": 6, "hidden": 8}


def brute_force(values: list[float], there: list[bool], k: int) -> list[float]:
    """The k greatest values that are there, in their order, of equal ones the first; then zeros."""
    places = [place for place, known in enumerate(there) if known]
    best = sorted(sorted(places, key=lambda place: -values[place])[:k])
    return [values[place] for place in best] + [0.0] * (k - len(best))


@settings(deadline=None, max_examples=60)
@given(
    channels=st.lists(st.lists(st.integers(-3, 3), min_size=7, max_size=7), min_size=1, max_size=4),
    there=st.lists(st.booleans(), min_size=7, max_size=7),
    k=st.integers(1, 10),
)
def test_k_max_pooling_is_what_brute_force_says(channels: list[list[int]], there: list[bool], k: int) -> None:
    x = torch.tensor([channels], dtype=torch.float32)
    found = KMaxPool(k)(x, torch.tensor([there]))
    wanted = [brute_force([float(v) for v in channel], there, k) for channel in channels]
    assert found[0].tolist() == wanted


def test_gradients_reach_what_is_kept_and_nothing_else() -> None:
    x = torch.tensor([[[3.0, 1.0, 5.0, 4.0]]], requires_grad=True)
    weights = torch.tensor([10.0, 20.0])
    (KMaxPool(2)(x)[0, 0] * weights).sum().backward()
    assert x.grad is not None
    assert x.grad[0, 0].tolist() == [0, 0, 10, 20]


def test_gradients_of_k_max_pooling_are_right() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True] * 6, [True, False, True, True, False, False]])
    assert torch.autograd.gradcheck(lambda value: KMaxPool(4)(value, mask), (x,))


def test_windows_are_what_a_convolution_sees() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 9, 5)
    for width in (1, 2, 3, 4):
        linear = torch.nn.Linear(width * 5, 7)
        kernel = linear.weight.view(7, width, 5).transpose(1, 2)
        around = torch.nn.functional.pad(x.transpose(1, 2), ((width - 1) // 2, width // 2))
        wanted = torch.nn.functional.conv1d(around, kernel, linear.bias).transpose(1, 2)
        torch.testing.assert_close(linear(windows(x, width).flatten(2)), wanted)


def test_kernels_of_all_widths_in_one_are_the_separate_ones() -> None:
    network = small_network(widths=(1, 2, 3, 4))
    vectors = torch.randn(2, 9, 5)
    weight, bias = network._kernels()
    together = torch.nn.functional.linear(windows(vectors, 4).flatten(2), weight, bias)
    apart = [
        layer(windows(vectors, width).flatten(2))
        for layer, width in zip(network.over_words, network.widths, strict=True)
    ]
    torch.testing.assert_close(together, torch.cat(apart, dim=2))


def small_network(**changed: object) -> HierarchicalCNN:
    torch.manual_seed(0)
    return HierarchicalCNN(30, 5, 3, **{**SMALL, **changed}).eval()  # type: ignore[arg-type]


def documents(count: int = 4, sentences: int = 6, words: int = 20) -> torch.Tensor:
    chance = np.random.default_rng(0)
    ids = np.zeros((count, sentences, words), np.int32)
    for document in range(count):
        for sentence in range(int(chance.integers(1, sentences + 1))):
            length = int(chance.integers(1, words + 1))
            ids[document, sentence, :length] = chance.integers(1, 30, length)
    return torch.from_numpy(ids)


def test_shapes_and_that_the_parts_make_the_whole() -> None:
    network, ids = small_network(), documents()
    with torch.no_grad():
        document, logits = network(ids)
        sentences = network.embed_sentences(ids)
        again = network.classify(sentences, (ids != PAD).any(-1))
    assert tuple(document.shape) == (4, network.document_size)
    assert tuple(logits.shape) == (4, 3)
    assert tuple(sentences.shape) == (4, 6, network.sentence_size)
    torch.testing.assert_close(again, (document, logits))
    assert not sentences[(ids == PAD).all(-1)].any()  # nothing is said by lines without words
    assert sentences[(ids != PAD).any(-1)].abs().sum(-1).min() > 0


def test_padding_and_company_change_nothing() -> None:
    network, ids = small_network(), documents()
    wider = torch.nn.functional.pad(ids, (0, 7, 0, 3))
    with torch.no_grad():
        together = network(ids)[1]
        torch.testing.assert_close(network(wider)[1], together)
        alone = torch.cat([network(ids[n : n + 1])[1] for n in range(len(ids))])
        torch.testing.assert_close(alone, together)


def test_order_of_sentences_and_words_matters() -> None:
    network, ids = small_network(), torch.arange(1, 13, dtype=torch.int32).view(1, 3, 4)
    with torch.no_grad():
        first = network(ids)[1]
        assert not torch.allclose(network(ids.flip(1))[1], first)
        assert not torch.allclose(network(ids.flip(2))[1], first)


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 3, 4), (1, 1, 1)])
def test_empty_documents_have_an_answer(shape: tuple[int, int, int]) -> None:
    _, logits = small_network()(torch.zeros(shape, dtype=torch.int32))
    assert tuple(logits.shape) == (shape[0], 3)
    assert logits.isfinite().all()


def test_sentences_give_gradients_where_there_are_words() -> None:
    network, ids = small_network(), documents()
    sentences = network.embed_sentences(ids).detach().requires_grad_()
    network.classify(sentences, (ids != PAD).any(-1))[1].max(1).values.sum().backward()
    assert sentences.grad is not None
    norms = sentences.grad.norm(dim=-1)
    assert norms[(ids != PAD).any(-1)].sum() > 0
    assert norms.isfinite().all()


def test_the_vector_of_nothing_is_never_trained() -> None:
    network = small_network().train()
    network(documents())[1].sum().backward()
    assert network.embedding.weight.grad is not None
    assert not network.embedding.weight.grad[PAD].any()
    assert network.embedding.weight.grad[2:].any()


def test_settings_build_the_same_network() -> None:
    network = small_network()
    again = HierarchicalCNN(**network.settings)
    again.load_state_dict(network.state_dict())
    torch.testing.assert_close(again.eval()(documents()), network(documents()))


def test_openvino_agrees_with_torch() -> None:
    network, ids = small_network(), documents()
    with torch.no_grad():
        wanted = network(ids)
    found = run_converted(network, ids.numpy())
    for one, other in zip(wanted, found, strict=True):
        np.testing.assert_allclose(other, one.numpy(), atol=1e-5)


def run_converted(network: HierarchicalCNN, ids: NDArray[np.int32]) -> list[NDArray[np.float32]]:
    import openvino

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = openvino.convert_model(
            network,
            example_input=torch.ones(1, *ids.shape[1:], dtype=torch.int32),
            input=[openvino.PartialShape([-1, *ids.shape[1:]])],
        )
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled(ids)
    return [np.array(results[output]) for output in compiled.outputs]


def test_it_learns_that_order_matters() -> None:
    """Classes that a bag of words cannot tell: "a b" against "b a", in one of three sentences."""
    chance = np.random.default_rng(0)
    ids = chance.integers(5, 9, (330, 3, 6)).astype(np.int32)
    y = np.arange(330) % 2
    for document, sentence in enumerate(chance.integers(0, 3, 330)):
        place = int(chance.integers(0, 5))
        ids[document, sentence, place : place + 2] = [3, 4] if y[document] else [4, 3]
    torch.manual_seed(0)
    network = HierarchicalCNN(30, 5, 2, **{**SMALL, "dropout": 0.0}).train()  # type: ignore[arg-type]
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    x, targets = torch.from_numpy(ids), torch.from_numpy(y)
    for _ in range(80):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(x[:270])[1], targets[:270]).backward()
        optimiser.step()
    network.eval()
    assert (network(x[270:])[1].argmax(1) == targets[270:]).float().mean() > 0.85

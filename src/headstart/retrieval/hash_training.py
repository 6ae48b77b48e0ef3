"""Fitting a semantic hasher: a variational autoencoder whose latent variable is the code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headstart.errors import OptionError, require
from headstart.progress import Say, quiet
from headstart.retrieval.hashing import BITS, SemanticHasher
from headstart.retrieval.neighbours import EXACT_UP_TO, Graph, Vectors, exact, unit

if TYPE_CHECKING:
    from torch import Tensor

_WORDS, _BATCH, _RATE, _DROPOUT = 10_000, 128, 1e-3, 0.1


def fit_hasher(
    vectors: NDArray[Any],
    texts: Sequence[str],
    *,
    neighbours: int = 10,
    hidden: int = 512,
    epochs: int = 15,
    divergence: float = 0.03,
    seed: int = 0,
    say: Say = quiet,
) -> SemanticHasher:
    """Learn codes of 64 bits that tell the words of a text and of its neighbours. Needs no labels.

    The encoder reads a text's vector and gives each bit a probability; the bit is drawn, and the gradient
    goes straight through the draw. The decoder, one layer, tells from the bits which words the text and its
    nearest neighbours hold. The defaults were chosen on the training messages of 20 newsgroups alone.

    Args:
        vectors: What encodes the texts, [n, d].
        texts: The texts, str.
        neighbours: How many nearest texts, by cosine, are described beside the text, int. Defaults to 10.
        hidden: Units of the encoder's hidden layer, int; 0 for none. Defaults to 512.
        epochs: How often every text is seen, int. Defaults to 15.
        divergence: Weight of the Kullback-Leibler divergence from even chances, float. Defaults to 0.03.
        seed: Defaults to 0.
        say: Told the loss of each epoch. Defaults to saying nothing.

    Returns:
        The hasher, which needs no torch.

    Raises:
        OptionError: The numbers of vectors and texts differ, there are fewer than two, no text has two words,
            or a setting is out of range.
        MissingExtraError: torch or scikit-learn is not installed.

    References:
        Shen et al., "NASH: Toward End-to-End Neural Architecture for Generative Semantic Hashing", ACL 2018
        (Bernoulli code, straight-through gradient); Chaidaroon, Ebesu and Fang, "Deep Semantic Text Hashing
        with Weak Supervision", SIGIR 2018 (neighbours); Chaidaroon and Fang, "Variational Deep Semantic
        Hashing for Text Documents", SIGIR 2017.

    Example:
        >>> texts = ["a black cat", "black cats sleep", "rain and wind", "wind and more rain"]
        >>> hasher = fit_hasher(np.eye(4)[[0, 0, 1, 1]], texts, neighbours=1, epochs=1)
        >>> hasher.codes(np.eye(4)[:2]).dtype
        dtype('uint64')
    """
    require(("torch", "sklearn"), "train", "fitting a hasher")
    _check(vectors, texts, neighbours=neighbours, hidden=hidden, epochs=epochs, divergence=divergence)
    directions = unit(vectors)
    targets = _described(directions, texts, min(neighbours, len(texts) - 1))
    mean, scale = directions.mean(0), float(np.sqrt(directions.shape[1]))
    layers = _train((directions - mean) * scale, targets, hidden, epochs, divergence, seed, say)
    # What was done to the inputs becomes part of the first layer.
    weight, bias = layers[0]
    layers[0] = (weight * scale, bias - scale * mean @ weight)
    settings = {"neighbours": neighbours, "hidden": hidden, "epochs": epochs, "divergence": divergence}
    return SemanticHasher(tuple(layers), {**settings, "seed": seed, "fitted_on": len(texts)})


def _described(directions: Vectors, texts: Sequence[str], neighbours: int) -> Any:
    """Return the mean TF-IDF bag of each text and its neighbours, sparse float32 [n, words]."""
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

    least = 3 if len(texts) >= 1_000 else 1
    counter = TfidfVectorizer(max_features=_WORDS, min_df=least, sublinear_tf=True, stop_words="english")
    try:
        bags = counter.fit_transform(texts).astype(np.float32)
    except ValueError as error:
        raise OptionError("texts with words", str(error), "give texts of a few words at least") from error
    if len(texts) > EXACT_UP_TO:
        positions = np.maximum(Graph.build(directions).search(directions, neighbours + 1)[0], 0)
    else:
        positions = exact(directions, directions, neighbours + 1)[0]
    rows = np.repeat(np.arange(len(texts)), positions.shape[1])
    share = np.full(positions.size, 1 / positions.shape[1], np.float32)
    return (csr_matrix((share, (rows, positions.ravel())), shape=(len(texts),) * 2) @ bags).tocsr()


def _train(
    inputs: Vectors, targets: Any, hidden: int, epochs: int, divergence: float, seed: int, say: Say
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return the layers of the encoder."""
    import torch
    from torch import nn

    shuffled = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        width = inputs.shape[1]
        parts: list[nn.Module] = [nn.Linear(width, hidden or BITS)]
        if hidden:
            parts += [nn.ReLU(), nn.Dropout(_DROPOUT), nn.Linear(hidden, BITS)]
        encoder, decoder = nn.Sequential(*parts), nn.Linear(BITS, targets.shape[1])
        optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], _RATE)
        x = torch.from_numpy(np.ascontiguousarray(inputs, np.float32))
        for epoch in range(epochs):
            total, order = 0.0, shuffled.permutation(len(inputs))
            for start in range(0, len(order), _BATCH):
                items = order[start : start + _BATCH]
                loss = _loss(
                    encoder(x[items]), decoder, torch.from_numpy(targets[items].toarray()), divergence
                )
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                total += float(loss.detach()) * len(items)
            say(f"hashing, epoch {epoch + 1} of {epochs}: loss {total / len(order):.3f}")
    linear = [part for part in encoder if isinstance(part, nn.Linear)]
    return [(part.weight.detach().numpy().T.copy(), part.bias.detach().numpy().copy()) for part in linear]


def _loss(logits: Tensor, decoder: Any, target: Tensor, divergence: float) -> Tensor:
    """Return how badly the bits tell the words, plus how far their chances are from even."""
    import torch
    from torch.nn import functional

    chance = torch.sigmoid(logits)
    drawn = torch.bernoulli(chance.detach())
    bits = drawn - chance.detach() + chance  # the value of the draw, the gradient of its chance
    words = -(functional.log_softmax(decoder(2 * bits - 1), 1) * target).sum(1).mean()
    # By logarithms of sigmoids, whose gradients stay finite where a chance is 0 or 1.
    sure = chance * functional.logsigmoid(logits) + (1 - chance) * functional.logsigmoid(-logits)
    even = (sure + math.log(2)).sum(1)
    total: Tensor = words + divergence * even.mean()
    return total


def _check(
    vectors: NDArray[Any],
    texts: Sequence[str],
    *,
    neighbours: int,
    hidden: int,
    epochs: int,
    divergence: float,
) -> None:
    if vectors.ndim != 2 or len(vectors) != len(texts) or len(texts) < 2:
        received = f"vectors of the shape {vectors.shape} and {len(texts)} texts"
        raise OptionError("a vector for each of at least two texts", received, "give both, in the same order")
    if not np.isfinite(vectors).all():
        raise OptionError("vectors of finite numbers", "NaN or infinity", "check what encodes the texts")
    if neighbours < 0 or hidden < 0 or epochs < 1 or divergence < 0:
        received = f"neighbours {neighbours}, hidden {hidden}, epochs {epochs}, divergence {divergence}"
        raise OptionError("settings of at least 0, and one epoch", received, "leave them at their defaults")

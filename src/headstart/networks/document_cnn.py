"""A convolutional network for documents: from words to sentences, from sentences to the document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PAD, UNKNOWN = 0, 1
"""The numbers of nothing, which fills up lines and documents, and of a word that has no number."""
_STEP = 16
"""Lines are read together with others whose numbers of words differ by less than this."""


class KMaxPool(nn.Module):
    """The k greatest values of each channel, in the order in which they occur.

    Of equal values the first are kept; where fewer than k places are there, zeros follow. Paper:
    Kalchbrenner, Grefenstette and Blunsom, "A Convolutional Neural Network for Modelling Sentences",
    https://arxiv.org/abs/1404.2188.

    Args:
        k: How many values to keep, int.

    Example:
        >>> KMaxPool(3)(torch.tensor([[[1.0, 9.0, 2.0, 7.0, 8.0]]])).tolist()
        [[[9.0, 7.0, 8.0]]]
    """

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the values that were kept.

        Args:
            x: float [n, channels, length].
            mask: Which places are there, bool [n, length]. Defaults to None: all.

        Returns:
            float [n, channels, k].
        """
        length = x.shape[-1]
        places = torch.arange(length, dtype=torch.int32, device=x.device)
        left = x.detach() if mask is None else x.detach().masked_fill(~mask[:, None], -torch.inf)
        kept = []
        # Not topk or max with its place: which of equal values these take differs between torch and OpenVINO,
        # and a word that is said twice gives equal values.
        for _ in range(self.k):
            greatest = left.amax(-1, keepdim=True)
            there = (left == greatest) & (greatest > -torch.inf)
            first = places.expand_as(left).masked_fill(~there, length).amin(-1, keepdim=True)
            left = left.masked_fill(places == first, -torch.inf)
            kept.append(first)
        order = torch.cat(kept, dim=-1).sort(dim=-1).values.long()
        return x.gather(-1, order.clamp(max=length - 1)).masked_fill(order == length, 0)

    def extra_repr(self) -> str:
        """Return what is written between the brackets of the module's name."""
        return str(self.k)


class HierarchicalCNN(nn.Module):
    """Convolutions over words make sentences, convolutions over sentences make the document.

    Words become vectors; convolutions of several widths read them, and the k greatest values of each channel
    are the sentence's embedding. A convolution over the sentences, and again the k greatest values, make
    the document's; a hidden layer and the answer follow. Papers: Denil et al., "Modelling, Visualising and
    Summarising Documents with a Single Convolutional Neural Network", https://arxiv.org/abs/1406.3830;
    widths as in Kim, "Convolutional Neural Networks for Sentence Classification",
    https://arxiv.org/abs/1408.5882. Unlike there, the embeddings of sentences and documents are normalised
    (Ba, Kiros and Hinton, https://arxiv.org/abs/1607.06450); without that it learns slowly from few texts.

    Args:
        words: How many words have numbers, int, 0 (nothing) included.
        size: Length of a word's vector, int.
        classes: Number of classes, int.
        widths: Of the convolutions over words, ints.
        channels: Of each of these, int.
        kept: Values that each channel keeps of a sentence, int.
        sentence_width: Of the convolution over sentences, int.
        sentence_channels: Of that, int.
        sentences_kept: Values that each channel keeps of a document, int.
        hidden: Units before the answer, int.
        dropout: Of the document while training, float; words and sentences lose half as much.

    Example:
        >>> network = HierarchicalCNN(100, 8, 2).eval()
        >>> document, logits = network(torch.randint(0, 100, (3, 5, 12)))
        >>> tuple(document.shape), tuple(logits.shape)
        ((3, 192), (3, 2))
    """

    def __init__(
        self,
        words: int,
        size: int,
        classes: int,
        *,
        widths: Sequence[int] = (1, 2, 3),
        channels: int = 48,
        kept: int = 2,
        sentence_width: int = 3,
        sentence_channels: int = 64,
        sentences_kept: int = 3,
        hidden: int = 64,
        dropout: float = 0.4,
    ) -> None:
        super().__init__()
        self.settings = {
            "words": words,
            "size": size,
            "classes": classes,
            "widths": list(widths),
            "channels": channels,
            "kept": kept,
            "sentence_width": sentence_width,
            "sentence_channels": sentence_channels,
            "sentences_kept": sentences_kept,
            "hidden": hidden,
            "dropout": dropout,
        }
        self.classes, self.size, self.dropout = classes, size, dropout
        self.widths, self.sentence_width = tuple(widths), sentence_width
        self.embedding = nn.Embedding(words, size, padding_idx=PAD)
        # As matrix products: Conv1d prepares itself for each new shape, and no two batches of texts
        # have the same. That took ten times as long.
        self.over_words = nn.ModuleList(nn.Linear(width * size, channels) for width in widths)
        self.word_pool = KMaxPool(kept)
        self.sentence_size = len(widths) * channels * kept
        self.sentence_norm = nn.LayerNorm(self.sentence_size)
        self.sentence_dropout = nn.Dropout(dropout / 2)
        self.over_sentences = nn.Linear(sentence_width * self.sentence_size, sentence_channels)
        self.sentence_pool = KMaxPool(sentences_kept)
        self.document_size = sentence_channels * sentences_kept
        self.document_norm = nn.LayerNorm(self.document_size)
        self.answer = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(self.document_size, hidden),
            nn.ReLU(),
            nn.Linear(hidden, classes),
        )

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Read documents.

        Args:
            ids: Numbers of words, int [n, sentences, words]; 0 fills up lines and documents.

        Returns:
            Document embeddings float [n, document_size], and logits float [n, classes].
        """
        return self.classify(self.embed_sentences(ids), (ids != PAD).any(-1))

    def embed_sentences(self, ids: Tensor) -> Tensor:
        """Return the sentences' embeddings.

        Args:
            ids: As for `forward`.

        Returns:
            float [n, sentences, sentence_size]; zeros for lines without words.
        """
        documents, sentences, length = ids.shape
        lines = ids.reshape(documents * sentences, length)
        # What follows depends on the text, which a converted network must not.
        if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            return self._embed_lines(lines).reshape(documents, sentences, self.sentence_size)
        lengths = (lines != PAD).sum(1)
        found = self.embedding.weight.new_zeros(len(lines), self.sentence_size)
        for longest in range(_STEP, length + _STEP, _STEP):
            some = torch.nonzero((lengths > longest - _STEP) & (lengths <= longest)).squeeze(1)
            if len(some):
                found = found.index_copy(0, some, self._embed_lines(lines[some, :longest]).to(found))
        return found.reshape(documents, sentences, self.sentence_size)

    def classify(self, sentences: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Go on from the sentences' embeddings.

        Args:
            sentences: What `embed_sentences` returned, float [n, sentences, sentence_size].
            mask: Which lines have words, bool [n, sentences].

        Returns:
            As `forward`.
        """
        seen = windows(self.sentence_dropout(sentences), self.sentence_width).flatten(2)
        read = self.over_sentences(seen)
        kept = self.sentence_pool(read.transpose(1, 2), mask)
        document = self.document_norm(F.relu(kept).flatten(1))
        return document, cast(Tensor, self.answer(document))

    def _embed_lines(self, lines: Tensor) -> Tensor:
        mask = lines != PAD
        if self.training:  # words are left out, as a text might have said it in others
            forgotten = torch.rand(lines.shape, device=lines.device) < self.dropout / 2
            lines = lines.masked_fill(forgotten & mask, UNKNOWN)
        return self.embed_vectors(self.embedding(windows(lines, max(self.widths))), mask)

    def embed_vectors(self, seen: Tensor, mask: Tensor) -> Tensor:
        """Return the embeddings of sentences from their words' vectors.

        Args:
            seen: What the widest convolution sees of them at each place, `windows` of the vectors, float
                [sentences, words, width, size].
            mask: Which words are there, bool [sentences, words].

        Returns:
            float [sentences, sentence_size]; zeros for lines without words.
        """
        read = F.linear(seen.flatten(2), *self._kernels())
        kept = self.word_pool(read.transpose(1, 2), mask)
        # Pooled before ReLU, which would leave many equal values, whose order is anybody's guess.
        return cast(Tensor, self.sentence_norm(F.relu(kept).flatten(1)) * mask.any(1, keepdim=True))

    def _kernels(self) -> tuple[Tensor, Tensor]:
        """Return the kernels of all widths as one, the narrower ones with zeros around, and their biases."""
        widest, weights, biases = max(self.widths), list[Tensor](), list[Tensor]()
        for layer, width in zip(self.over_words, self.widths, strict=True):
            left = (widest - 1) // 2 - (width - 1) // 2
            around = [left * self.size, (widest - width - left) * self.size]
            weights.append(F.pad(cast(nn.Linear, layer).weight, around))
            biases.append(cast(nn.Linear, layer).bias)
        return torch.cat(weights), torch.cat(biases)


def windows(x: Tensor, width: int) -> Tensor:
    """Return what a convolution of some width sees at each place of a sequence, with zeros around it.

    Args:
        x: [n, length, …].
        width: How many places, int.

    Returns:
        [n, length, width, …].

    Example:
        >>> windows(torch.tensor([[1, 2, 3]]), 2).tolist()
        [[[1, 2], [2, 3], [3, 0]]]
    """
    length, deeper = x.shape[1], [0, 0] * (x.ndim - 2)
    around = F.pad(x, [*deeper, (width - 1) // 2, width // 2])
    return torch.stack([around[:, place : place + length] for place in range(width)], dim=2)

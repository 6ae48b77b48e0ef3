"""Summaries that show why: the sentences that a model's answer comes from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.artefact.loading import load
from headstart.artefact.model import Model
from headstart.artefact.prediction import Prediction, predicted
from headstart.artefact.streaming import ask
from headstart.backbones.card import Tokens, Verbatim
from headstart.data.items import in_words
from headstart.errors import OptionError
from headstart.evaluation.sections import percent
from headstart.explain.following import Followed
from headstart.explain.saliency import explainer
from headstart.pages import Markup, Page, Shown, fragment, paragraph
from headstart.text.decode import decode
from headstart.text.mail import strip_email
from headstart.text.sentences import sentences

_DARKEST = 48
"""Per cent of colour behind the sentence that brings most: what is written on it stays readable."""
_LEAST = 0.04
"""Of the largest share: what brings less is not marked."""


@dataclass(frozen=True)
class Summary(Shown):
    """A text's sentences, what each brings to a model's answer, and those that bring most.

    Args:
        answer: What the model says about the text, Prediction.
        sentences: All sentences in order, str.
        scores: What each brings, float: to the log-odds of the most probable class or label, or to the
            number. Below 0 it speaks against it.
        chosen: Which sentences bring most, int from 0, in the order of the text.
    """

    answer: Prediction
    sentences: tuple[str, ...]
    scores: tuple[float, ...]
    chosen: tuple[int, ...]

    @property
    def text(self) -> str:
        """The chosen sentences, joined by blanks."""
        return " ".join(self.sentences[number] for number in self.chosen)

    @property
    def headline(self) -> str:
        """The answer, and what the summary is of, in one sentence."""
        said = _answer_in_words(self.answer)
        if len(self.sentences) == 1:
            return f"{said}: the text is one sentence."
        some = f"this sentence of {len(self.sentences):,} says"
        if len(self.chosen) > 1:
            some = f"these {len(self.chosen)} of {len(self.sentences):,} sentences say"
        return f"{said}: {some} so most."

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        chosen = set(self.chosen)
        rows = enumerate(zip(self.sentences, self.scores, strict=True))
        return {
            **self.answer.to_json(),
            "summary": [self.sentences[number] for number in self.chosen],
            "sentences": [{"text": s, "score": score, "chosen": n in chosen} for n, (s, score) in rows],
        }

    def html(self) -> str:
        """Return the text as one self-contained page, its sentences coloured by what they bring."""
        return summaries_page([self])


class Summarizer:
    """Summarises texts by what a model's answers come from.

    Args:
        model: A model for texts.
        offline: Whether to stay off the network. Defaults to False.

    Raises:
        ArtefactError: A network cannot be had in torch.
        BackboneError: The backbone cannot be had.
        MissingExtraError: torch is not installed; a model that only counts terms needs none.
        OptionError: The model is not for texts.

    Example:
        >>> summarizer = Summarizer(headstart.load("reviews.headstart"))  # doctest: +SKIP
        >>> summarizer.summarize(Path("review.txt"), 1).text  # doctest: +SKIP
        'I was bored to tears.'
    """

    def __init__(self, model: Model, *, offline: bool = False) -> None:
        if model.modality != "text":
            fix = "name a model that was fitted on texts"
            raise OptionError("a model for texts, to summarise one", f"one for {model.modality}", fix)
        self.model = model
        self._explainers = [explainer(member, offline=offline) for member in model.members]
        specs = (member.front_end.preprocess for member in model.members)
        self._email = any(isinstance(spec, Tokens | Verbatim) and spec.email for spec in specs)

    def summarize(self, text: str | bytes | Path, n: int = 3, *, name: str | None = None) -> Summary:
        """Choose the sentences of a text that bring most to the answer.

        Args:
            text: The text itself (str), encoded bytes, or a file's Path.
            n: How many sentences, int; all where there are no more. Defaults to 3.
            name: What the text is called. Defaults to None: its path, or "text".

        Returns:
            The Summary.

        Raises:
            DecodeError: It cannot be read, or there is nothing to read.
            OptionError: `n` is below 1.
        """
        if n < 1:
            raise OptionError("at least one sentence", f"n = {n}", "ask for one or more")
        model = self.model
        name = name or (str(text) if isinstance(text, Path) else "text")
        whole = decode(text)
        whole = strip_email(whole) if self._email else whole
        found = sentences(whole)
        (asked,) = ask([text], model.members, model.modality, model.engine_of)
        if asked.error is not None:
            raise asked.error
        scores = np.zeros(len(found))
        slopes = Followed.of(model, asked.features).slopes(asked.features)
        for explain, slope in zip(self._explainers, slopes, strict=True):
            scores += explain(whole, found, slope)
        # A number has no other side: what lowers it says as much as what raises it.
        order = np.argsort(-(np.abs(scores) if model.target == "number" else scores), kind="stable")
        chosen = tuple(sorted(order[:n].tolist()))
        answers = model.answer_features(asked.features)
        answer = predicted(name, answers, model.labels, model.calibration)
        return Summary(answer, tuple(found), tuple(scores.tolist()), chosen)


def summarize(
    model: Model | str | Path, text: str | bytes | Path, n: int = 3, *, offline: bool = False
) -> Summary:
    """Summarise a text by the sentences that a model's answer comes from.

    Args:
        model: A model for texts, or the folder of a saved one.
        text: The text itself (str), encoded bytes, or a file's Path.
        n: How many sentences, int; all where there are no more. Defaults to 3.
        offline: Whether to stay off the network. Defaults to False.

    Returns:
        The Summary.

    Raises:
        ArtefactError: There is no saved model, or its network cannot be had in torch.
        BackboneError: The backbone cannot be had.
        DecodeError: The text cannot be read.
        MissingExtraError: torch is not installed; a model that only counts terms needs none.
        OptionError: The model is not for texts, or `n` is below 1.

    References:
        Denil, Demiraj and de Freitas, "Extraction of Salient Sentences from Labelled Documents", 2014.

    Example:
        >>> import headstart as hs
        >>> hs.summarize("reviews.headstart", Path("review.txt"), 1).text  # doctest: +SKIP
        'I was bored to tears.'
    """
    loaded = model if isinstance(model, Model) else load(model)
    return Summarizer(loaded, offline=offline).summarize(text, n)


def summaries_page(summaries: Sequence[Summary]) -> str:
    """Return texts with their sentences marked as one self-contained page.

    Args:
        summaries: At least one.
    """
    first = summaries[0]
    if len(summaries) == 1:
        page = Page(f"Summary of {first.answer.input}", lead=first.headline)
        page.section(_title(first), _list(first)).section("The whole text", *_marked(first))
        return page.html()
    page = Page("Summaries", lead=f"{len(summaries):,} texts, and the sentences their answers come from.")
    for summary in summaries:
        page.section(summary.answer.input, paragraph(summary.headline), *_marked(summary))
    return page.html()


def _title(summary: Summary) -> str:
    return "In one sentence" if len(summary.chosen) == 1 else f"In {len(summary.chosen)} sentences"


def _list(summary: Summary) -> Markup:
    lines = (fragment('<p dir="auto">{}</p>', summary.sentences[number]) for number in summary.chosen)
    return Markup("\n").join(lines)


def _marked(summary: Summary) -> Iterable[Markup]:
    most = max(map(abs, summary.scores), default=0.0)
    chosen = set(summary.chosen)
    spans = (
        _span(text, score / most if most > 0 else 0.0, number in chosen, score)
        for number, (text, score) in enumerate(zip(summary.sentences, summary.scores, strict=True))
    )
    yield fragment('<p class="marked" dir="auto">{}</p>', Markup(" ").join(spans))
    words = ("For the answer", "against it") if summary.answer.value is None else ("Raises", "lowers")
    yield paragraph(
        fragment(
            '<mark style="--part:{2}%">{0}</mark>, <mark class="against" style="--part:{2}%">{1}</mark>: '
            "the stronger the colour, the more. Underlined: what was chosen.",
            *words,
            _DARKEST // 2,
        ),
        quiet=True,
    )


def _span(text: str, share: float, chosen: bool, score: float) -> Markup:
    if abs(share) < _LEAST and not chosen:
        return fragment("{}", text)
    kinds = " ".join(kind for kind, holds in (("chosen", chosen), ("against", share < 0)) if holds)
    return fragment(
        '<mark class="{}" style="--part:{:.0f}%" title="{:+.2f}">{}</mark>',
        kinds,
        _DARKEST * abs(share),
        score,
        text,
    )


def _answer_in_words(answer: Prediction) -> str:
    if answer.value is not None:
        return f"{answer.value:.4g}"
    if answer.labels is not None:
        return in_words(answer.labels) if answer.labels else "No label"
    return f"{answer.label} ({percent(answer.confidence)})"

"""Do summaries show why? Sentences are deleted, and the probability of the model's answer is watched.

    HEADSTART_DATA=… python benchmarks/summaries.py [--kinds terms minilm-l6 document_cnn default]
        [--reviews 200] [--learned 1250] [--seed 0]

For each kind of member a model is fitted on so many training reviews of IMDB (default: what `fit` makes of
them with no options). Of test reviews with at least six sentences three are deleted: those that `summarize`
chooses, those with the largest norm of the gradient at the sentence's embedding (Denil et al. 2014; of single
networks), random ones (the mean of three draws), the first. The figure is by how much the probability of the
answer falls, in the mean over the reviews.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from support.common import data_folder, record, table, verdict

from headstart.process import tune_process

tune_process()  # as the command line does; it must come before torch

import torch  # noqa: E402

from headstart import data  # noqa: E402
from headstart.artefact import Model  # noqa: E402
from headstart.artefact.members import Member  # noqa: E402
from headstart.artefact.rebuilding import torch_network  # noqa: E402
from headstart.backbones.backbone import Backbone  # noqa: E402
from headstart.backbones.card import Tokens  # noqa: E402
from headstart.explain.saliency import part_of_character  # noqa: E402
from headstart.fitting import fit  # noqa: E402
from headstart.studio.summary import Summarizer, Summary  # noqa: E402
from headstart.text.decode import decode  # noqa: E402
from headstart.text.sentences import sentences  # noqa: E402
from headstart.text.tokens import rows, starts  # noqa: E402
from headstart.transfer.fitted_cnn import FittedCnn  # noqa: E402

KINDS = ("terms", "minilm-l6", "document_cnn", "default")
CHOSEN, DRAWS, FEWEST = 3, 3, 6
WAYS = ("top", "norm", "random", "first")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=KINDS)
    parser.add_argument("--reviews", type=int, default=200)
    parser.add_argument("--learned", type=int, default=1250)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = data_folder("imdb", "text")
    generator = np.random.default_rng(options.seed)
    train, test = (data.open(folder / f"{part}.jsonl.gz") for part in ("train", "test"))
    drawn = generator.permutation(len(train))[: options.learned]
    learned = replace(train, items=tuple(train.items[n] for n in sorted(drawn)))
    order = generator.permutation(len(test)).tolist()
    texts = (decode(test.items[n].source) for n in order)  # type: ignore[arg-type]
    asked = [text for _, text in zip(range(options.reviews), long_enough(texts), strict=False)]
    lines: list[tuple[object, ...]] = [("kind", *WAYS, "error of top − random", "s a text", "")]
    for kind in options.kinds:
        model = fit(learned, backbone=None if kind == "default" else kind, seed=options.seed)
        drops, seconds = deleted(model, asked, np.random.default_rng(options.seed))
        mean = {way: float(np.mean(found)) for way, found in drops.items()}
        ahead = np.array(drops["top"]) - np.array(drops["random"])
        error = float(ahead.std(ddof=1) / len(ahead) ** 0.5)
        # What is chosen must do more than chance, by more than chance.
        fine = verdict(float(ahead.mean()), 2 * error)
        lines.append((kind, *(mean.get(way, "") for way in WAYS), error, seconds, fine))
        print(f"{kind}: {mean}", flush=True)
        figures = {"kind": kind, "reviews": len(asked), "learned": len(learned), "seed": options.seed}
        ratio = mean["top"] / mean["random"] if mean["random"] > 0 else float("inf")
        record("summaries", {**figures, **mean, "error": error, "ratio": ratio, "seconds": seconds})
    table(f"How much less probable the answer gets without {CHOSEN} sentences, {len(asked)} reviews", lines)


def long_enough(texts: Iterator[str]) -> Iterator[str]:
    """Yield the texts that have something left without three sentences."""
    return (text for text in texts if len(sentences(text)) >= FEWEST)


def deleted(
    model: Model, texts: Sequence[str], generator: np.random.Generator
) -> tuple[dict[str, list[float]], float]:
    """Return how much the probability falls in each text by each way and the seconds a summary takes."""
    summarizer, drops, seconds = Summarizer(model), dict[str, list[float]](), 0.0
    for text in texts:
        started = time.perf_counter()
        summary = summarizer.summarize(text, CHOSEN)
        seconds += time.perf_counter() - started
        count = len(summary.sentences)
        ways = {"top": summary.chosen, "first": tuple(range(CHOSEN))}
        if (norms := gradient_norms(model, text, summary)) is not None:
            ways["norm"] = tuple(np.argsort(-norms, kind="stable")[:CHOSEN].tolist())
        draws = [tuple(generator.choice(count, CHOSEN, replace=False).tolist()) for _ in range(DRAWS)]
        left = [
            " ".join(s for n, s in enumerate(summary.sentences) if n not in gone)
            for gone in (*ways.values(), *draws)
        ]
        found = [
            summary.answer.confidence - answer.probabilities[str(summary.answer.label)]
            for answer in model.predict(left)
        ]
        for way, drop in zip(ways, found, strict=False):
            drops.setdefault(way, []).append(drop)
        drops.setdefault("random", []).append(float(np.mean(found[len(ways) :])))
    return drops, seconds / len(texts)


def gradient_norms(model: Model, text: str, summary: Summary) -> NDArray[np.floating] | None:
    """Return the norm of the answer's gradient at each sentence's embedding; None of terms and stacks."""
    (member, *others) = model.members
    spec = member.front_end.preprocess
    if others or not isinstance(spec, Tokens):
        return None
    best = model.labels.index(str(summary.answer.label))
    norms = np.zeros(len(summary.sentences))
    if spec.sentences:
        cnn = _cnn(member)
        ids = cnn.read([text])
        embedded = cnn.network.embed_sentences(ids).detach().requires_grad_()
        answer = cnn.network.classify(embedded, (ids != 0).any(-1))[1][0, best]
        found = torch.autograd.grad(answer, embedded)[0][0].norm(dim=1).numpy()
        norms[: len(found)] = found[: len(norms)]
        return norms
    network, sentence = _network(member), part_of_character(text, summary.sentences)
    weight = torch.from_numpy(member.head.layers[0][0][:, best].copy())
    slopes = np.zeros((len(norms), network.card.features))
    for ids, begins in zip(rows(text, spec), starts(text, spec), strict=True):
        first = network.run_blocks(torch.from_numpy(ids)[None].long(), stop="embeddings")
        embedded = first.detach().requires_grad_()
        features = network.pooled(network.card.blocks[-1], network.run_blocks(embedded, start="layer1"))
        (gradient,) = torch.autograd.grad((features @ weight).sum(), embedded)
        # A sentence's embedding is the mean of its tokens': what moves it moves them all.
        there = begins >= 0
        np.add.at(slopes, sentence[begins[there]], gradient[0].numpy()[there, :-1])
    found_norms: NDArray[np.floating] = np.linalg.norm(slopes, axis=1)
    return found_norms


@cache
def _cnn(member: Member) -> FittedCnn:
    if member.weights is None or member.tokenizer is None:
        raise SystemExit("the document CNN came without its weights")
    return FittedCnn.load(member.weights, member.tokenizer)


@cache
def _network(member: Member) -> Backbone:
    return torch_network(member)


if __name__ == "__main__":
    main()

"""From photographs with captions to a captioner: opened, looked at, trained, kept."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.backbones import tensors as tensor_files
from headstart.data.items import Problem
from headstart.errors import OptionError
from headstart.files import atomic_folder, digest_file, digest_json, write_json
from headstart.images.decode import decode_file
from headstart.images.saving import save_picture
from headstart.progress import Say, quiet
from headstart.studio.caption.captioner import (
    AVERAGE,
    CARD,
    SCHEMA,
    VOCABULARY,
    Caption,
    Captioner,
    is_captioner,
)
from headstart.studio.caption.data import Captioned, open_captions, with_splits
from headstart.studio.caption.decoders import Decoder, together
from headstart.studio.caption.scoring import Scores, score
from headstart.studio.caption.seen import Eyes, Seen, look, open_eyes
from headstart.studio.caption.strip import strip
from headstart.studio.caption.training import Batches, CaptionOptions, CaptionTraining, Epoch
from headstart.studio.caption.vocabulary import SPECIAL, Vocabulary
from headstart.text.pretrained import glove_6b_50d
from headstart.training.checkpoints import FOLDER, Checkpoints, Identity
from headstart.transfer.store import FeatureStore

PREVIEW = "preview.jpg"
BACKBONE = "efficientnet_lite2"
SIZE = 224
_SEARCHES = ((0.0, 0.7), (0.0, 0.9), (0.15, 0.7), (0.15, 0.9), (0.3, 0.7), (0.3, 0.9), (0.4, 0.9), (0.4, 1.1))
"""Guidances and length normalisations that are tried on the photographs that are held out."""
_RATIO = (0.95, 1.05)
"""How long captions may be, as a share of what people say."""
_LEARNING = {"length_power": 0.7, "guidance": 0.3}
"""How it is searched while it learns."""
_PIECE = 250
_MORE = 5
"""Views of each photograph beyond the plain one: a few thousand photographs are soon known by heart."""
_LISTED = 10


def make_captioner(
    captions: Path | Captioned,
    output: Path,
    *,
    photos: Path | None = None,
    kind: str = "attention",
    backbone: str = BACKBONE,
    size: int = SIZE,
    least_count: int = 3,
    members: int = 1,
    resume: bool = False,
    offline: bool = False,
    store: Path | None = None,
    say: Say = quiet,
    **options: Any,
) -> dict[str, Any]:
    """Train a captioner on photographs that people described, and keep it in a folder.

    The states of the training, and `preview.jpg`, what it says now of a photograph that is held out, are in
    the folder OUTPUT.run beside it.

    Args:
        captions: See `open_captions`; or photographs with captions that are open. Those of the split "val"
            decide when the training stops and how long captions are, those of "test" are not looked at.
        output: Where the captioner goes, a folder.
        photos: The folder with the photographs. Defaults to None: beside the captions.
        kind: "attention" or "merge". Defaults to "attention".
        backbone: The frozen network that looks. Defaults to "efficientnet_lite2".
        size: Side of what it sees, int, in pixels. Defaults to 224.
        least_count: How often a word has to occur to be learned, int. Defaults to 3.
        members: Decoders that are trained and then agree on each word, int. Defaults to 1.
        resume: Whether to go on with the training in OUTPUT.run. Defaults to False.
        offline: Whether to stay off the network. Defaults to False.
        store: The folder of the feature store. Defaults to None, headstart's own.
        say: Told how far it is. Defaults to nobody.
        **options: The fields of `CaptionOptions`.

    Returns:
        The card, as it is kept.

    Raises:
        DataError: There are no captions, or too few photographs.
        OptionError: A value outside its range; nothing to resume; or a training that was cut off is there.
        BackboneError: The weights of the backbone, or the word vectors, cannot be had.
        StorageError: The disk is full or the folder cannot be written.
    """
    if members < 1:
        raise OptionError("1 decoder or more", f"{members}", "use --members 1")
    if output.exists() and not is_captioner(output):
        raise OptionError("a place for a captioner", f"{output.name}, something else", "name another")
    wanted = CaptionOptions(kind=kind, **options)
    data = open_captions(captions, photos) if isinstance(captions, Path) else captions
    data = with_splits(data, wanted.seed)
    eyes = open_eyes(backbone, size, offline=offline)
    run = output.with_name(f"{output.name}.run")
    with FeatureStore(store) as opened:
        lesson = Lesson.of(data, eyes, opened, least_count)
        _tell_left_out((*data.problems, *lesson.problems), say)
        say(
            f"{len(lesson.train)} photographs to learn from, {len(lesson.held_out)} held out, "
            f"{len(lesson.vocabulary) - len(SPECIAL)} words"
        )
        vectors = _vectors(lesson.vocabulary, offline, say) if kind == "attention" else None
        trained = _trained(lesson, wanted, members, vectors, run, resume, say)
        decoders = [each.finished() for each in trained]
        chosen, scores = _chosen(lesson, lesson.captioner(together(decoders)))
    card = {
        "kind": kind,
        "settings": decoders[0].settings,
        **chosen,
        "backbone": {
            "name": eyes.card.name,
            "digest": eyes.card.digest,
            "size": size,
            "licence": eyes.card.licence,
        },
        "words": len(lesson.vocabulary),
        "photographs": {
            "train": len(lesson.train),
            "held_out": len(lesson.held_out),
            "left_out": len(data.problems) + len(lesson.problems),
            "digest": lesson.digest,
        },
        "options": {**asdict(wanted), "least_count": least_count, "members": members},
        "training": [
            {"best_epoch": each.best, "history": [list(epoch) for epoch in each.history]} for each in trained
        ],
        "held_out": scores.to_json(),
    }
    return save_captioner(decoders, lesson.vocabulary, lesson.average, output, card)


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a captioner learns from, and what it is checked on.

    Args:
        train, held_out: Photographs with captions, all of which can be read.
        seen, seen_held_out: What is seen of them.
        vocabulary: Words of the captions.
        eyes: What looked.
        problems: Photographs that cannot be read.
    """

    train: Captioned
    held_out: Captioned
    seen: Seen
    seen_held_out: Seen
    vocabulary: Vocabulary
    eyes: Eyes
    problems: tuple[Problem, ...]

    @classmethod
    def of(cls, data: Captioned, eyes: Eyes, store: FeatureStore, least_count: int) -> Lesson:
        """Look at photographs and count words.

        Raises:
            DataError: No photograph of a split can be read.
            OptionError: No word occurs so often.
        """
        problems: list[Problem] = []

        def readable(some: Captioned, more: int) -> tuple[Captioned, Seen]:
            seen, unread = look(eyes, some.photographs, store, more=more)
            if not unread:
                return some, seen
            problems.extend(unread)
            names = {problem.name for problem in unread}
            kept = some.take([n for n, item in enumerate(some.photographs) if item.name not in names])
            return kept, look(eyes, kept.photographs, store, more=more, progress=False)[0]

        train, seen = readable(data.only("train"), _MORE)
        held_out, seen_held_out = readable(data.only("val"), 0)
        vocabulary = Vocabulary.of((words for each in train.tokens for words in each), least_count)
        return cls(train, held_out, seen, seen_held_out, vocabulary, eyes, tuple(problems))

    @cached_property
    def digest(self) -> str:
        """Of the photographs' names and sizes and of what was said of them."""
        items = [*self.train.photographs, *self.held_out.photographs]
        sizes = [
            [item.name, item.source.stat().st_size if isinstance(item.source, Path) else 0] for item in items
        ]
        return digest_json([sizes, self.train.captions, self.held_out.captions])

    @cached_property
    def grid(self) -> Tensor:
        """What is seen of the photographs that are held out, float32 [n, cells, channels]."""
        return self.seen_held_out.batch(np.arange(len(self.held_out)))

    @cached_property
    def average(self) -> Tensor:
        """What is seen of an average photograph, float32 [cells, channels]."""
        pieces = np.array_split(np.arange(len(self.train)), math.ceil(len(self.train) / _PIECE))
        return torch.stack([self.seen.batch(piece).sum(0) for piece in pieces]).sum(0) / len(self.train)

    def captioner(self, decoder: Decoder) -> Captioner:
        """Return what says it while it learns."""
        return Captioner(decoder, self.vocabulary, self.eyes, dict(_LEARNING), self.average)

    def score(self, captioner: Captioner, *, width: int = 3, **how: float) -> Scores:
        """Score what a captioner says of the photographs that are held out.

        Args:
            captioner: What speaks.
            width: Of the beam, int. Defaults to 3.
            **how: length_power and guidance, see `Captioner.decode`.
        """
        said = captioner.decode(self.grid, width=width, **how)
        words = [[self.vocabulary.words[number] for number in each.words] for each in said]
        return score(words, self.held_out.tokens)


def _trained(
    lesson: Lesson,
    wanted: CaptionOptions,
    members: int,
    vectors: NDArray[np.float32] | None,
    run: Path,
    resume: bool,
    say: Say,
) -> list[CaptionTraining]:
    """Train decoders one after the other, or go on with the one that was cut off."""
    eyes = lesson.eyes.card
    looked = f"{eyes.name} at {eyes.preprocess.size} {eyes.digest}"
    identity = Identity("", looked, lesson.digest, lesson.vocabulary.words)
    kept = [Checkpoints(run / f"member-{number}" / FOLDER, identity) for number in range(members)]
    if not resume and any(each.unfinished() for each in kept):
        fix = "go on with --resume, or remove that folder"
        raise OptionError("a new training", f"one that was cut off, in {run.name}", fix)
    captions = [[lesson.vocabulary.encode(words) for words in each] for each in lesson.train.tokens]
    trained = []
    for number, checkpoints in enumerate(kept):
        options = replace(wanted, seed=wanted.seed + number)
        batches = Batches(captions, options.batch, options.seed)
        training = CaptionTraining(lesson.vocabulary, lesson.seen, batches, options, checkpoints, vectors)
        if resume and (number == 0 or checkpoints.begun()):
            training.resume()
        else:
            checkpoints.clear()
        _train(training, lesson, run, f"decoder {number + 1} of {members}, " if members > 1 else "", say)
        trained.append(training)
    return trained


def _train(training: CaptionTraining, lesson: Lesson, run: Path, title: str, say: Say) -> None:
    captioner = lesson.captioner(training.decoder)
    first = lesson.held_out.photographs.items[0].source
    found: list[Scores] = []

    def judge(_decoder: Decoder) -> float:
        found.append(lesson.score(captioner))
        return _mean(found[-1])

    def see(epoch: Epoch) -> None:
        caption = next(iter(captioner.caption([first])))
        if isinstance(first, Path) and isinstance(caption, Caption):
            save_picture(run / PREVIEW, strip(decode_file(first), caption))
        figures = " / ".join(f"{value:.3f}" for value in found[-1].bleu)
        said = f"; {Path(caption.name).name}: “{caption.text}”" if isinstance(caption, Caption) else ""
        best = ", the best so far" * epoch.best
        say(
            f"{title}epoch {epoch.number} of {training.options.epochs}: loss {epoch.loss:.3f}, "
            f"BLEU-1 to 4 {figures}{best}{said}"
        )

    training.go(judge, see)


def _mean(scores: Scores) -> float:
    """Return the mean of BLEU-1 to 4: 4 alone is noisy on a few hundred photographs."""
    return sum(scores.bleu) / len(scores.bleu)


def _chosen(lesson: Lesson, captioner: Captioner) -> tuple[dict[str, float], Scores]:
    """Return the best way to search among those with captions of usual length, and its scores."""
    found: list[tuple[dict[str, float], Scores]] = []
    for guidance, power in _SEARCHES:
        how = {"length_power": power, "guidance": guidance}
        found.append((how, lesson.score(captioner, width=5, **how)))
    usual = [each for each in found if _RATIO[0] <= each[1].length_ratio <= _RATIO[1]]
    if usual:
        return max(usual, key=lambda each: _mean(each[1]))
    return min(found, key=lambda each: abs(each[1].length_ratio - 1))


def save_captioner(
    members: list[Decoder], vocabulary: Vocabulary, average: Tensor, folder: Path, card: dict[str, Any]
) -> dict[str, Any]:
    """Write trained decoders as a folder that `Captioner.open` opens, whole or not at all.

    Args:
        members: The decoders.
        vocabulary: What they can say.
        average: What is seen of an average photograph, float32 [cells, channels].
        folder: Where.
        card: What is known about them, JSON-able: kind, settings, length_power, guidance, backbone and more.

    Returns:
        The card with schema, versions and the digests of the files.

    Raises:
        StorageError: The disk is full or the folder cannot be written.
    """
    from headstart import __version__

    names = [f"member-{number}.safetensors" for number in range(len(members))]
    with atomic_folder(folder) as draft:
        write_json(draft / VOCABULARY, vocabulary.to_json())
        for name, member in zip(names, members, strict=True):
            tensor_files.write(draft / name, member.state_dict(), {"kind": card["kind"]})
        tensor_files.write(draft / AVERAGE, {"average": average}, {})
        card = {
            "schema": SCHEMA,
            "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            **card,
            "members": names,
            "versions": {"headstart": __version__, "torch": torch.__version__},
            "files": {name: digest_file(draft / name) for name in (VOCABULARY, AVERAGE, *names)},
        }
        write_json(draft / CARD, card)
    return card


def _vectors(vocabulary: Vocabulary, offline: bool, say: Say) -> NDArray[np.float32]:
    """Return GloVe's vectors of the words, NaN for those that it does not know."""
    known = glove_6b_50d(offline=offline, say=say)
    vectors = np.full((len(vocabulary), known.matrix.shape[1]), np.nan, np.float32)
    for number, word in enumerate(vocabulary.words):
        if word in known.index:
            vectors[number] = known.matrix[known.index[word]]
    return vectors


def _tell_left_out(problems: tuple[Problem, ...], say: Say) -> None:
    for problem in problems[:_LISTED]:
        say(f"left out: {problem.name}: {problem.reason}")
    if len(problems) > _LISTED:
        say(f"… and {len(problems) - _LISTED} more")

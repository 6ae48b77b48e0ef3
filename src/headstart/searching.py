"""From a data set to an index that answers queries: what encodes items encodes the queries, too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart import backbones, data
from headstart.artefact import load as load_model
from headstart.artefact.model import Model
from headstart.artefact.schema import NAME as ARTEFACT
from headstart.artefact.streaming import ask
from headstart.backbones.card import Spec
from headstart.data.items import Dataset, Problem, Source, in_words
from headstart.engines.choosing import Engine, choose
from headstart.engines.precision import Precision
from headstart.errors import ArtefactError, DataError, DecodeError, OptionError
from headstart.files import digest_file
from headstart.fitting.gathering import gather
from headstart.modalities import Modality, modality
from headstart.progress import Say, quiet
from headstart.retrieval.index import SearchIndex
from headstart.text.decode import decode
from headstart.transfer.store import FeatureStore

Vectors = NDArray[np.float32]
EncodeItems = Callable[[Sequence[Source]], Vectors]


def build_index(
    source: Dataset | Path | str | Sequence[Path | str],
    *,
    backbone: str | None = None,
    model: Path | str | None = None,
    language: str | None = None,
    email: bool = False,
    approximate: bool | None = None,
    engine: str = "auto",
    precision: Precision | None = None,
    offline: bool = False,
    say: Say = quiet,
    store: FeatureStore | None = None,
) -> SearchIndex:
    """Make a collection searchable: texts by words and meaning, pictures by likeness. Needs no labels.

    Args:
        source: A data set, or what `headstart.data.open` opens.
        backbone: What turns items into vectors. Defaults to None: the modality's default.
        model: A saved model whose network does that instead, such as one trained on items like these.
            Defaults to None.
        language: Cut off the endings of this language's words, such as "english". Defaults to None.
        email: Whether headers, quotes and signatures of e-mails are taken off texts first. Defaults to False.
        approximate: Whether to search along a graph. Defaults to None: above 100,000 items.
        engine: "auto", "openvino" or "torch". Defaults to "auto".
        precision: "bf16" or "fp32". Defaults to None: the engine's own choice.
        offline: Whether to stay off the network. Defaults to False.
        say: Called with a line of text at each step. Defaults to saying nothing.
        store: The feature store. Defaults to the one in the cache.

    Returns:
        The index, which can be searched at once.

    Raises:
        DataError: Not a single item can be read.
        OptionError: An argument cannot be used, or both a backbone and a model are given.

    Example:
        >>> import headstart as hs
        >>> index = hs.build_index("letters/")  # doctest: +SKIP
        >>> index.search("when will the parcel arrive?")[0].name  # doctest: +SKIP
        'letters/0412.txt'
    """
    if model is not None and (backbone is not None or email):
        raise OptionError("a model, or a backbone and email", "both", "leave one of them out")
    dataset = data.open(source)
    if model is not None:
        kept, vectors, encoder = _by_model(dataset, Path(model), say)
    else:
        with ExitStack() as stack:
            found = gather(
                dataset, store or stack.enter_context(FeatureStore()), backbone=backbone, engine=engine,
                precision=precision, offline=offline, email=email, say=say,
            )  # fmt: skip
        kept, vectors = found.dataset, found.features.pool(np.asarray(found.features.X))
        if not vectors.shape[1]:
            raise OptionError("a backbone that gives vectors", f"{found.card.name!r}", "leave it out")
        encoder = {"backbone": found.card.name, "digest": found.card.digest, "engine": found.engine}
        say(f"vectors: {found.computed} computed, {len(kept) - found.computed} already known")
    texts = _texts(kept, email) if dataset.modality == "text" else None
    encoder |= {"modality": dataset.modality}
    index = SearchIndex.build(
        [item.name for item in kept],
        vectors,
        texts=texts,
        labels=[in_words(item.answer) or None for item in kept],
        language=language,
        approximate=approximate,
        encoder=encoder,
    )
    return connect(index, offline=offline)


def open_index(folder: Path | str, *, model: Path | str | None = None, offline: bool = False) -> SearchIndex:
    """Read an index with what encodes queries. Needs no torch once the backbone is converted.

    Args:
        folder: What `SearchIndex.save` or `headstart index` wrote.
        model: Where the model is that encoded the items. Defaults to None: where it was.
        offline: Whether to stay off the network. Defaults to False.

    Returns:
        The index; the network starts at the first query.

    Raises:
        ArtefactError: There is no index, it is damaged, or what encoded it is no longer the same.
        BackboneError: The backbone cannot be had.

    Example:
        >>> open_index("letters.index").search("a late parcel")[0].name  # doctest: +SKIP
        'letters/0412.txt'
    """
    index = SearchIndex.load(folder)
    if model is not None and "model" in index.encoder:
        index = replace(index, encoder={**index.encoder, "model": str(model)})
    return connect(index, offline=offline)


def connect(index: SearchIndex, *, offline: bool = False) -> SearchIndex:
    """Return a text index with what encodes its queries; one of other items as it is (see `item_encoder`)."""
    if index.encoder.get("modality") != "text":
        return index
    encode = item_encoder(index, offline=offline)
    return index.with_encode(lambda texts: encode(list(texts)))


def item_encoder(index: SearchIndex, *, offline: bool = False) -> EncodeItems:
    """Return what turns items into vectors as those of an index were made.

    Args:
        index: The index.
        offline: Whether to stay off the network. Defaults to False.

    Returns:
        A function from items (paths, bytes; for texts the text itself) to float32 [n, d]. It raises
        `DecodeError` for an item that cannot be read.

    Raises:
        ArtefactError: The backbone or model is no longer the one that made the index, or is unknown.

    Example:
        >>> index = open_index("photos.index")  # doctest: +SKIP
        >>> index.like(item_encoder(index)([Path("new.jpg")])[0])[0].name  # doctest: +SKIP
        'holiday/17.jpg'
    """
    told = index.encoder
    if place := told.get("model"):
        return _ModelEncoder(Path(place), told["digest"])
    if not (name := told.get("backbone")):
        fix = "build it with headstart index, or give a vector: index.like(vector)"
        raise ArtefactError("an index that says what encoded its items", "one that does not", fix)
    card = backbones.card(name, offline=offline)
    if card.digest != told["digest"]:
        raise ArtefactError(f"the weights of {name!r} that made the index", "others", _AGAIN)
    return _BackboneEncoder(name, offline)


_AGAIN = "build the index again: headstart index"


@dataclass
class _BackboneEncoder:
    """Encodes items by a pretrained network, which starts with the first one."""

    name: str
    offline: bool
    _engine: Engine | None = None

    def __call__(self, sources: Sequence[Source]) -> Vectors:
        card = backbones.card(self.name, offline=self.offline)
        if self._engine is None:
            load = lambda: backbones.load(self.name, offline=self.offline)  # noqa: E731
            self._engine = choose(card, load).start()
        reader = modality(card.modality)
        rows = [
            (number, row)
            for number, source in enumerate(sources)
            for row in _inputs(reader, source, card.preprocess)
        ]
        total, count = np.zeros((len(sources), card.features), np.float32), np.zeros(len(sources))
        for number, outputs in self._engine.run(iter(rows), ("features",)):
            total[number] += outputs["features"]
            count[number] += 1
        return (total / np.maximum(count, 1)[:, None]).astype(np.float32)


def _inputs(reader: Modality, source: Source, spec: Spec) -> Iterable[NDArray[Any]]:
    try:
        return reader.inputs(source, spec)
    except DecodeError as error:
        named = f"{source}: {error.received}" if isinstance(source, Path) else error.received
        raise DecodeError(error.expected, named, error.fix) from error


@dataclass
class _ModelEncoder:
    """Encodes items by the network of a saved model, which is loaded with the first one."""

    place: Path
    digest: str
    _model: Model | None = None

    def __call__(self, sources: Sequence[Source]) -> Vectors:
        if self._model is None:
            loaded = load_model(self.place)
            if digest_file(self.place / ARTEFACT) != self.digest:
                raise ArtefactError("the model that made the index", f"another at {self.place}", _AGAIN)
            self._model = loaded
        return self._model.embed(sources)


def _by_model(dataset: Dataset, place: Path, say: Say) -> tuple[Dataset, Vectors, dict[str, Any]]:
    """Return the items that a model's first network could read, their vectors, and what made them."""
    model = load_model(place)
    if model.modality != dataset.modality:
        received = f"one for {modality(model.modality).noun}"
        raise OptionError(f"a model for {modality(dataset.modality).noun}", received, "name another model")
    first = model.members[:1]
    kept, rows, problems = [], [], []
    asked: Iterable[Any] = ask((item.source for item in dataset), first, model.modality, model.engine_of)
    for number, (item, seen) in enumerate(zip(dataset, asked, strict=True)):
        if seen.error is not None:
            problems.append(Problem(item.name, seen.error.received))
            say(f"left out: {item.name}: {seen.error.received}")
        else:
            kept.append(number)
            rows.append(seen.features[model.network].mean(0))
    if not rows:
        raise DataError("at least one readable item", f"{len(problems)} unreadable ones", "check the files")
    usable = replace(dataset.take(kept), problems=(*dataset.problems, *problems))
    encoder = {"model": str(place.resolve()), "digest": digest_file(place / ARTEFACT)}
    return usable, np.stack(rows).astype(np.float32), encoder


def _texts(dataset: Dataset, email: bool) -> list[str]:
    """Return the texts; one that was changed since it was encoded, so that it has none, is "" here."""
    texts = []
    for item in dataset:
        source = item.source
        try:
            texts.append("" if isinstance(source, np.ndarray) else decode(source, email=email))
        except DecodeError:
            texts.append("")
    return texts

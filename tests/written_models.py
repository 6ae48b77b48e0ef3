"""Models for texts that are made by hand, of known parts: terms, a document CNN, a tiny transformer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from headstart.artefact.members import Member
from headstart.artefact.model import Model
from headstart.artefact.schema import FrontEnd
from headstart.backbones import load as load_backbone
from headstart.backbones.card import Tokens, Verbatim
from headstart.backbones.catalogue import CARDS, DOCUMENT_CNN, TERMS, cached_tokenizer
from headstart.engines.conversion import backbone_ir
from headstart.text.modality import prepare
from headstart.text.terms import TermsSettings
from headstart.text.tokens import know
from headstart.training.plan import Settings
from headstart.transfer.calibration import Abstention, AnyCalibration, Calibration, Conformal
from headstart.transfer.cnn_training import CnnSettings
from headstart.transfer.document_cnn import DocumentCnn
from headstart.transfer.features import Features
from headstart.transfer.fitted_cnn import WEIGHTS
from headstart.transfer.heads import Head, fit_head
from headstart.transfer.terms import Terms
from toy_texts import NAME, written

LABELS = ("bad", "good")
SENTENCES = 8
CALIBRATION = Calibration(1.0, Conformal(0.9, 0.2), Abstention(0.99, 0.6, 0.8))
SAME = Head("linear", ((np.eye(2, dtype=np.float32), np.zeros(2, np.float32)),))
CNN = CnnSettings(
    epochs=8, rate=1e-2, size=8, spec=Tokens(16, "", sentences=10), training=Settings(batch=16, dropout=0.1)
)


def reviews(start: int, count: int) -> list[str]:
    """Texts of eight sentences, one or two of which tell the class: even ones are bad."""
    return [written(LABELS[n % 2], n, SENTENCES) for n in range(start, start + count)]


def _learned(count: int = 160) -> tuple[Features, np.ndarray, tuple[str, ...]]:
    n = np.arange(count)
    return Features(np.zeros((count, 0), np.float32), n, n), n % 2, tuple(reviews(0, count))


def terms_member(folder: Path, settings: TermsSettings | None = None, email: bool = False) -> Member:
    """Terms that were fitted on 160 texts."""
    features, y, texts = _learned()
    fitted = Terms(features, y, 2, texts, settings or TermsSettings()).fit("linear", 4.0, None, 0)
    spec = Verbatim(email=email)
    card = replace(CARDS[TERMS], preprocess=spec, features=2, digest="ab" * 32)
    return Member(FrontEnd(spec), card, fitted.save(folder), SAME)


def cnn_member(folder: Path) -> Member:
    """A document CNN that was trained on 160 texts."""
    features, y, texts = _learned()
    torch.manual_seed(0)
    fitted = DocumentCnn(features, y, 2, texts, settings=CNN).fit("linear", 0.01, None, 0)
    main, tokenizer = fitted.save(folder), folder / "tokenizer.json"
    spec = replace(fitted.spec, tokenizer=know(tokenizer))
    card = replace(CARDS[DOCUMENT_CNN], preprocess=spec, features=2, digest="cd" * 32)
    return Member(FrontEnd(spec), card, main, SAME, folder / WEIGHTS, tokenizer)


def transformer_member(kind: str = "linear") -> Member:
    """A head on the tiny encoder with random weights, which knows the rare words' meaning."""
    backbone = load_backbone(NAME)
    texts = reviews(0, 160)
    rows = [prepare(text, backbone.card.preprocess) for text in texts]
    with torch.inference_mode():
        x = np.concatenate([backbone(torch.from_numpy(row)[None])[1].numpy() for its in rows for row in its])
    y = np.repeat(np.arange(len(texts)) % 2, [len(its) for its in rows])
    head = fit_head(kind, x, y, 2, strength=1.0)  # type: ignore[arg-type]
    network = backbone_ir(backbone.card, lambda: backbone)
    card = backbone.card
    return Member(FrontEnd(card.preprocess), card, network, head, None, cached_tokenizer(card))


def model_of(
    members: Sequence[Member],
    *,
    combine: str = "sum",
    calibration: AnyCalibration = CALIBRATION,
    labels: Sequence[str] = LABELS,
) -> Model:
    """A model of some members."""
    first, *others = members
    return Model(
        labels=labels,
        modality="text",
        front_end=first.front_end,
        backbone=first.backbone,
        network=first.network,
        head=first.head,
        weights=first.weights,
        tokenizer=first.tokenizer,
        others=others,
        combine=combine,  # type: ignore[arg-type]
        calibration=calibration,
        precision="fp32",
    )

"""Models of several members, and members whose network was trained: answered, saved, exported, rebuilt."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_model import FEATURES, LABELS, Tiny
from torch import nn

from headstart import backbones
from headstart.artefact import Model, export, load
from headstart.artefact.members import Member, combined
from headstart.artefact.schema import FrontEnd
from headstart.backbones import Card, tensors
from headstart.backbones.backbone import Backbone
from headstart.engines.conversion import convert, save_ir
from headstart.errors import ArtefactError, BackboneError, OptionError
from headstart.transfer.calibration import AnyCalibration, Calibration, Interval, Thresholds, sigmoid, softmax
from headstart.transfer.heads import Head

Network = Callable[..., tuple[Backbone, Path]]


@pytest.fixture(scope="session")
def other_network(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Network:
    """A function (size) → another network with random weights, and its IR."""
    folder = tmp_path_factory.mktemp("others")

    def make(size: int = 16) -> tuple[Backbone, Path]:
        spec = replace(tiny.backbone.card.preprocess, size=size)
        torch.manual_seed(size + 1)
        block = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU())
        card = replace(tiny.backbone.card, name="other", preprocess=spec, features=4, parameters=120)
        backbone = Backbone(card, {"stem": block})
        path = folder / f"other-{size}.xml"
        if not path.exists():
            save_ir(convert(backbone, card), path)
        return backbone, path

    return make


def random_head(features: int, seed: int) -> Head:
    generator = np.random.default_rng(seed)
    weight = generator.normal(0, 1, (features, len(LABELS))).astype(np.float32)
    return Head("linear", ((weight, generator.normal(0, 1, len(LABELS)).astype(np.float32)),))


def second(made: tuple[Backbone, Path]) -> Member:
    backbone, network = made
    return Member(FrontEnd(backbone.card.preprocess), backbone.card, network, random_head(4, 1))


@pytest.fixture(params=[16, 24], ids=["equal front ends", "different front ends"])
def pair(request: pytest.FixtureRequest, tiny: Tiny, other_network: Network) -> Model:
    """A model of two members."""
    return tiny.model(others=[second(other_network(request.param))], head=random_head(FEATURES, 0))


CALIBRATIONS: dict[str, AnyCalibration] = {
    "labels": Thresholds(0.7, (0.3, 0.5, 0.6)),
    "number": Interval(0.9, 2.0),
}

logits = st.lists(st.floats(-20, 20), min_size=3, max_size=3)


@settings(deadline=None, max_examples=50)
@given(st.lists(logits, min_size=2, max_size=4))
def test_the_combined_logits_stand_for_the_mean_probabilities(members: list[list[float]]) -> None:
    each = [np.array([member]) for member in members]
    mean = np.mean([softmax(z) for z in each], 0)
    np.testing.assert_allclose(softmax(combined(each, "label")), mean, atol=1e-9)
    mean = np.mean([sigmoid(z) for z in each], 0)
    np.testing.assert_allclose(sigmoid(combined(each, "labels")), mean, atol=1e-9)
    np.testing.assert_allclose(combined(each, "number"), np.mean(each, 0))


@settings(deadline=None, max_examples=20)
@given(logits, st.sampled_from(["label", "labels", "number"]))
def test_one_member_speaks_for_itself(member: list[float], target: str) -> None:
    z = np.array([member])
    assert combined([z], target) is z  # type: ignore[arg-type]
    twice = combined([z, z], target)  # type: ignore[arg-type]
    difference = twice - z
    spread = np.ptp(difference) if target == "label" else np.abs(difference).max()
    assert spread < 1e-6


def by_hand(model: Model, pictures: list[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """What the members say one by one, combined step by step."""
    each = []
    for member in model.members:
        alone = Model(
            labels=model.labels,
            modality=model.modality,
            front_end=member.front_end,
            backbone=member.backbone,
            network=member.network,
            head=member.head,
            calibration=replace(model.calibration, temperature=1.0),  # type: ignore[arg-type]
        )
        each.append(alone.predict_proba(pictures))
    return softmax(np.log(np.mean(each, 0)), model.calibration.temperature)  # type: ignore[union-attr]


def test_the_answer_is_the_calibrated_mean_of_the_members(pair: Model, tiny: Tiny) -> None:
    pictures = list(tiny.pictures)
    np.testing.assert_allclose(pair.predict_proba(pictures), by_hand(pair, pictures), rtol=1e-4, atol=1e-6)


def test_items_that_cannot_be_read_keep_their_place(pair: Model, tiny: Tiny) -> None:
    good = tiny.pictures[0]
    answers = pair.predict([b"bad", good, b"bad", b"bad", good, good, b"bad"])
    assert [answer.error is None for answer in answers] == [False, True, False, False, True, True, False]
    assert answers[1].probabilities == answers[4].probabilities == answers[5].probabilities


def test_an_item_is_read_once_for_each_front_end(
    pair: Model, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headstart.images.modality import ImageModality

    asked: list[int] = []
    plain = ImageModality.inputs

    def counted(self, source, spec, kernel):  # type: ignore[no-untyped-def]
        asked.append(spec.size)
        return plain(self, source, spec, kernel)

    monkeypatch.setattr(ImageModality, "inputs", counted)
    pair.predict(list(tiny.pictures))
    assert len(asked) == len(tiny.pictures) * len(pair.front_ends)


def test_embedding_is_the_first_members(pair: Model, tiny: Tiny) -> None:
    rows = pair.embed(list(tiny.pictures))
    assert rows.shape == (9, FEATURES)
    np.testing.assert_array_equal(rows, tiny.model(golden=False).embed(list(tiny.pictures)))


def test_members_that_share_a_network_run_it_once(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    twin = Member(
        FrontEnd(tiny.backbone.card.preprocess), tiny.backbone.card, tiny.network, random_head(FEATURES, 2)
    )
    model = tiny.model(others=[twin])
    seen: list[int] = []
    run = model.engine.run

    def counted(inputs, wanted):  # type: ignore[no-untyped-def]
        for pair in run(inputs, wanted):
            seen.append(1)
            yield pair

    monkeypatch.setattr(model.engine, "run", counted)
    model.predict(list(tiny.pictures))
    assert len(seen) == len(tiny.pictures)


def test_a_saved_pair_answers_the_same(pair: Model, tiny: Tiny, tmp_path: Path) -> None:
    pair.save(tmp_path / "pair")
    copy = load(tmp_path / "pair")
    assert [member.backbone.name for member in copy.members] == ["tiny", "other"]
    pictures = list(tiny.pictures)
    np.testing.assert_allclose(copy.predict_proba(pictures), pair.predict_proba(pictures), atol=1e-5)
    names = {path.name for path in (tmp_path / "pair").iterdir()}
    assert {"network.xml", "network-2.xml", "network-2.bin", "head-2.safetensors"} <= names
    copy.save(tmp_path / "again")  # from its own files
    np.testing.assert_allclose(
        load(tmp_path / "again").predict_proba(pictures), pair.predict_proba(pictures), atol=1e-5
    )


def test_a_swapped_member_is_noticed(pair: Model, tmp_path: Path) -> None:
    pair.save(tmp_path / "pair")
    for suffix in (".xml", ".bin"):
        shutil.copy(tmp_path / "pair" / f"network{suffix}", tmp_path / "pair" / f"network-2{suffix}")
    with pytest.raises(ArtefactError, match=r"network-2\.(xml|bin)"):
        load(tmp_path / "pair")


@pytest.mark.parametrize("target", ["label", "labels", "number"])
@pytest.mark.parametrize(("to", "suffix"), [("openvino", ".xml"), ("onnx", ".onnx")])
def test_members_that_see_the_same_become_one_graph(
    tiny: Tiny,
    other_network: Network,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    target: str,
    to: str,
    suffix: str,
) -> None:
    other = other_network(16)
    monkeypatch.setattr(
        backbones, "load", lambda name, offline: {"tiny": tiny.backbone, "other": other[0]}[name]
    )
    changes = {"calibration": CALIBRATIONS[target]} if target in CALIBRATIONS else {}
    member, head = second(other), random_head(FEATURES, 0)
    if target == "number":
        changes["labels"] = ("value",)
        member = replace(member, head=Head("linear", tuple((w[:, :1], b[:1]) for w, b in member.head.layers)))
        head = Head("linear", tuple((w[:, :1], b[:1]) for w, b in head.layers))
    model = tiny.model(others=[member], head=head, **changes)
    written = export(model, tmp_path / f"pair{suffix}", to=to)
    compiled = openvino.Core().compile_model(str(written), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    batch = np.stack([picture[:16, :16] for picture in tiny.pictures])
    answer = "value" if target == "number" else "probabilities"
    np.testing.assert_allclose(compiled({"pixels": batch})[answer], model.answer_inputs(batch), atol=0.02)


@pytest.mark.parametrize("to", ["openvino", "onnx"])
def test_members_that_see_different_pixels_are_no_graph(
    tiny: Tiny, other_network: Network, tmp_path: Path, to: str
) -> None:
    model = tiny.model(others=[second(other_network(24))])
    with pytest.raises(OptionError, match="one by one"):
        export(model, tmp_path, to=to)
    assert list(tmp_path.iterdir()) == []


def test_the_card_names_every_member(pair: Model) -> None:
    for name in ("tiny", "other"):
        assert f"weights: {name} " in pair.card
    assert "mean" in pair.card
    assert "tiny" in repr(pair)
    assert "other" in repr(pair)


# -- members whose network was trained ------------------------------------------------------------------


def trained(backbone: Backbone, folder: Path) -> tuple[Card, Path, Path]:
    """Move the weights a little, as training does: (card, IR, weights)."""
    from safetensors.torch import save

    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter += 0.05
    state = {n: t.contiguous() for n, t in backbone.state_dict().items() if "num_batches_tracked" not in n}
    backbone.card = replace(backbone.card, digest=tensors.digest(state), labels=None)
    (folder / "trained.safetensors").write_bytes(save(state))
    save_ir(convert(backbone, backbone.card), folder / "trained.xml")
    return backbone.card, folder / "trained.xml", folder / "trained.safetensors"


@pytest.fixture(scope="module")
def lite_model(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A cut, resized and trained Lite0, saved and loaded."""
    folder = tmp_path_factory.mktemp("trained")
    backbone = backbones.load("efficientnet_lite0").cut("stage2").at(32)
    card, network, weights = trained(backbone, folder)
    model = tiny.model(
        front_end=FrontEnd(card.preprocess),
        backbone=card,
        network=network,
        weights=weights,
        head=random_head(card.features, 3),
    )
    return load(model.save(folder / "model"))


def test_a_trained_network_comes_back_in_torch(lite_model: Model, tiny: Tiny) -> None:
    backbone = lite_model.torch_network()
    assert backbone.card == lite_model.backbone
    assert list(backbone.blocks) == ["stem", "stage1", "stage2"]
    assert lite_model.golden is not None
    with torch.no_grad():
        features = backbone(torch.from_numpy(lite_model.golden.inputs))[1].numpy()
    seen = np.stack([lite_model.engine.one(x, ("features",))["features"] for x in lite_model.golden.inputs])
    np.testing.assert_allclose(features, seen, atol=0.02 * np.abs(seen).max())  # the CPU may compute in bf16
    plain = backbones.load("efficientnet_lite0").cut("stage2").at(32)
    with torch.no_grad():
        assert not np.allclose(plain(torch.from_numpy(lite_model.golden.inputs))[1].numpy(), seen, atol=1.0)


def test_a_trained_network_is_exported_to_onnx(lite_model: Model, tmp_path: Path) -> None:
    assert export(lite_model, tmp_path, to="onnx").stat().st_size > 10_000


def test_a_trained_member_without_its_classifier_loads_into_the_whole_network(tmp_path: Path) -> None:
    from headstart.artefact.rebuilding import torch_network

    card, network, weights = trained(backbones.load("efficientnet_lite0").at(32), tmp_path)
    member = Member(FrontEnd(card.preprocess), card, network, random_head(card.features, 0), weights)
    assert torch_network(member).classifier is None


def test_other_weights_than_the_cards_are_refused(lite_model: Model, tmp_path: Path) -> None:
    from headstart.artefact.rebuilding import torch_network

    member = lite_model.members[0]
    with pytest.raises(BackboneError, match="digest"):
        torch_network(replace(member, weights=None))
    wrong = replace(member, backbone=replace(member.backbone, digest="ef" * 32))
    with pytest.raises(ArtefactError, match="digest"):
        torch_network(wrong)
    shallower = replace(member, backbone=replace(member.backbone, blocks=("stem", "stage1")))
    with pytest.raises(BackboneError, match="cut after"):
        torch_network(shallower)


def test_a_model_that_lost_its_weights_does_not_load(lite_model: Model, tmp_path: Path) -> None:
    folder = shutil.copytree(lite_model.network.parent, tmp_path / "model")
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ArtefactError, match=r"weights\.safetensors"):
        load(folder)


def test_an_untrained_member_has_no_file_of_weights(pair: Model, tmp_path: Path) -> None:
    pair.save(tmp_path / "pair")
    assert not list((tmp_path / "pair").glob("weights*"))
    assert isinstance(load(tmp_path / "pair").calibration, Calibration)

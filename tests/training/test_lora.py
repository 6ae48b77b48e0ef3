"""LoRA adapters in tiny transformers with random weights, really trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from toy_training import toy_backbone, toy_plan

from headstart import backbones
from headstart.backbones import Preprocess
from headstart.backbones.backbone import Backbone
from headstart.backbones.tensors import digest
from headstart.engines.conversion import convert
from headstart.engines.openvino_engine import OpenVinoEngine
from headstart.errors import OptionError
from headstart.modalities import modality
from headstart.training import lora
from headstart.training.checkpoints import Checkpoints, Identity
from headstart.training.data import TrainingData
from headstart.training.inputs import Inputs
from headstart.training.loop import Trained, train
from headstart.training.network import Network, bind, make_head, trained_names
from headstart.training.plan import HEAD, Phase, Plan, Settings

pytestmark = pytest.mark.usefixtures("one_thread")

SIDE = 32
SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "patch_size": 8,
}
PREPROCESSOR = {"size": {"height": SIDE, "width": SIDE}, "resample": 2}
LABELS = ("across", "along", "checks")


def made(family: str) -> transformers.PreTrainedModel:
    torch.manual_seed(1)
    if family == "vit":
        return transformers.ViTModel(
            transformers.ViTConfig(**SHAPE, image_size=SIDE), add_pooling_layer=False
        )
    if family == "dinov2":
        return transformers.Dinov2Model(transformers.Dinov2Config(**SHAPE, image_size=SIDE))
    return transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**SHAPE, image_size=SIDE))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("hub")

    def save(family: str) -> Path:
        if not (root / family).exists():
            made(family).save_pretrained(root / family)
            (root / family / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
        return root / family

    return save


Load = Callable[[str], Backbone]


@pytest.fixture
def load(folder: Callable[[str], Path]) -> Load:
    return lambda family: backbones.load(f"hf:{folder(family)}", offline=True)


FAMILIES = ("vit", "dinov2", "clip")


def plan_for(backbone: Backbone, *blocks: str, epochs: int = 2, **settings: object) -> Plan:
    chosen = {"batch": 16, "precision": "fp32", "dropout": 0.0, "lora": 4, **settings}
    rates = {**dict.fromkeys(blocks or ("layer2", "layer3"), 0.01), HEAD: 0.01}
    name, last = backbone.card.name, backbone.card.blocks[-1]
    phases = (Phase("adapters", epochs, rates),)
    return Plan("fine-tune-late", name, last, SIDE, phases, settings=Settings(**chosen))  # type: ignore[arg-type]


def adapted(backbone: Backbone, plan: Plan) -> Network:
    lora.add(backbone, plan)
    return Network(backbone, make_head(plan, backbone.card.features, len(LABELS)))


def shaken(network: Network) -> Network:
    """Adapters as after some training: B is no longer zero."""
    generator = torch.Generator().manual_seed(2)
    for name, weight in network.named_parameters():
        if lora.is_adapter(name):
            weight.data = 0.3 * torch.randn(weight.shape, generator=generator)
    return network


@pytest.fixture(scope="module")
def pictures(
    write_pictures: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[torch.Tensor, NDArray[np.int64]]:
    """Striped pictures, in turn of each label."""
    root = write_pictures(tmp_path_factory.mktemp("stripes"), 0, **dict.fromkeys(LABELS, 24))
    spec = Preprocess(size=SIDE)
    y = np.arange(72) % len(LABELS)
    files = [root / LABELS[k] / f"{n // len(LABELS):03d}.jpg" for n, k in enumerate(y.tolist())]
    return torch.from_numpy(np.concatenate([modality("image").inputs(f, spec, "torch") for f in files])), y


class Pixels:
    start: str | None = None

    def __init__(self, pixels: torch.Tensor) -> None:
        self.pixels = pixels

    def batch(self, items: NDArray[np.int64], epoch: int | None) -> torch.Tensor:
        return self.pixels[items]


def data_of(pictures: tuple[torch.Tensor, NDArray[np.int64]]) -> TrainingData:
    pixels, y = pictures
    items = np.arange(len(y))

    def inputs(_phase: Phase) -> Inputs:
        return Pixels(pixels)

    return TrainingData(inputs, y, items[:48], items[48:], len(LABELS), "stripes", LABELS)


def probe_pixels(count: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, SIDE, SIDE, 3), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("family", FAMILIES)
def test_merged_answers_like_unmerged_and_like_before_when_nothing_was_learned(
    family: str, load: Load
) -> None:
    backbone, pixels = load(family), probe_pixels()
    keys = set(backbone.state_dict())
    with torch.no_grad():
        before = backbone(pixels)[1]
        network = adapted(backbone, plan_for(backbone))
        torch.testing.assert_close(backbone(pixels)[1], before, rtol=0, atol=0)
        unmerged = shaken(network).eval()(pixels)
        assert (backbone(pixels)[1] - before).abs().max() > 0.01  # the adapters do something
        lora.merge(backbone)
        torch.testing.assert_close(network(pixels), unmerged, rtol=1e-4, atol=1e-5)
    assert set(backbone.state_dict()) == keys
    assert not lora.has_adapters(backbone)


@pytest.mark.parametrize("family", FAMILIES)
def test_only_adapters_of_the_named_blocks_and_the_head_learn(family: str, load: Load) -> None:
    backbone = load(family)
    plan = plan_for(backbone)
    network = adapted(backbone, plan)
    groups = bind(network, plan, plan.phases[0])
    learning = {name for name, weight in network.named_parameters() if weight.requires_grad}
    assert {name.split(".")[2] for name in learning if name.startswith("backbone")} == {"layer2", "layer3"}
    assert all(lora.is_adapter(name) or name.startswith("head.") for name in learning)
    assert all("q_proj" in name or "v_proj" in name for name in learning if name.startswith("backbone"))
    in_groups = {id(weight) for group in groups for weight in group["params"]}
    assert in_groups == {id(weight) for weight in network.parameters() if weight.requires_grad}
    assert {group["name"] for group in groups} == {"layer2", "layer3", HEAD}
    assert set(trained_names(network, plan)) == learning


def test_the_line_counts_what_learns(load: Load) -> None:
    backbone = load("vit")
    rank, width, blocks, layers = 4, SHAPE["hidden_size"], 2, 2
    before = sum(p.numel() for name in ("layer2", "layer3") for p in backbone.blocks[name].parameters())
    line = lora.add(backbone, plan_for(backbone))
    expected = blocks * layers * 2 * rank * width
    assert line == f"LoRA of rank 4 in layer2 to layer3: {expected:,} weights learn instead of {before:,}"
    assert "layer3:" in lora.add(load("vit"), plan_for(backbone, "layer3"))


def test_the_same_seed_draws_the_same_adapters_and_leaves_chance_alone(load: Load) -> None:
    backbone = load("vit")
    plan = plan_for(backbone)

    def drawn(plan: Plan) -> str:
        other = load("vit")
        state = torch.get_rng_state()
        lora.add(other, plan)
        assert torch.equal(torch.get_rng_state(), state)
        return digest({name: weight.data for name, weight in other.named_parameters()})

    assert drawn(plan) == drawn(plan) != drawn(plan.replace(seed=1))


@pytest.mark.parametrize("family", ["vit", "clip"])
def test_training_learns_stripes_and_leaves_the_own_weights_alone(
    family: str, load: Load, pictures: tuple[torch.Tensor, NDArray[np.int64]]
) -> None:
    backbone, original = load(family), load(family).state_dict()
    plan = plan_for(backbone, epochs=6)
    network = adapted(backbone, plan)
    head_alone = train(
        Network(load(family), make_head(plan, 32, 3)),
        plan.replace(phases=(replace(plan.phases[0], rates={HEAD: 0.01}),)),
        data_of(pictures),
        progress=False,
    )
    trained = train(network, plan, data_of(pictures), progress=False)
    losses = [line["train_loss"] for line in trained.history if "train_loss" in line]
    assert len(losses) == 6
    assert losses[-1] < 0.6 * losses[0]
    assert trained.val_loss < head_alone.val_loss
    for name, tensor in backbone.state_dict().items():
        if not lora.is_adapter(name):
            assert torch.equal(tensor, original[name.replace(".base_layer", "")]), name
    with torch.no_grad():
        before = network(probe_pixels())
        lora.merge(backbone)
        torch.testing.assert_close(network(probe_pixels()), before, rtol=1e-4, atol=1e-5)
    changed = {n for n, t in backbone.state_dict().items() if not torch.equal(t, original[n])}
    assert {name.split(".")[1] for name in changed} == {"layer2", "layer3"}


class Killed(Exception):
    pass


def test_a_resumed_run_ends_with_the_same_bits_and_checkpoints_hold_only_what_learns(
    load: Load,
    pictures: tuple[torch.Tensor, NDArray[np.int64]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backbone = load("vit")
    plan = plan_for(backbone, epochs=2, dropout=0.2, ema=0.9)

    def go(run: Path, resume: bool = False) -> tuple[Trained, Network]:
        network = adapted(load("vit"), plan)
        trained = train(network, plan, data_of(pictures), run=run, resume=resume, progress=False, every=0)
        return trained, network

    whole, straight = go(tmp_path / "whole")
    save, saved = Checkpoints.save, 0

    def dying(self: Checkpoints, *arguments: object) -> None:
        nonlocal saved
        save(self, *arguments)  # type: ignore[arg-type]
        saved += 1
        if saved == 7:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", dying)
        with pytest.raises(Killed):
            go(tmp_path / "cut")
    resumed, again = go(tmp_path / "cut", resume=True)
    assert digest(again.state_dict()) == digest(straight.state_dict())
    np.testing.assert_array_equal(resumed.val_logits, whole.val_logits)
    identity = Identity.of(plan, backbone.card.digest, "stripes", LABELS)
    tensors, _, best = Checkpoints(tmp_path / "cut" / "checkpoints", identity).load()
    kept = {name.removeprefix("weights.") for name in tensors if name.startswith("weights.")}
    assert kept == {name for name in again.state_dict() if lora.is_adapter(name) or name.startswith("head.")}
    assert set(best) == {*kept, "val_logits"}


def test_a_merged_network_converts_and_answers_the_same(load: Load) -> None:
    backbone, pixels = load("dinov2"), probe_pixels(1)
    shaken(adapted(backbone, plan_for(backbone)))
    with torch.no_grad():
        expected = backbone(pixels)[1]
    lora.merge(backbone)
    engine = OpenVinoEngine(convert(backbone, backbone.card), "fp32")
    found = engine.one(pixels[0].numpy(), ("features",))["features"]
    np.testing.assert_allclose(found, expected[0].numpy(), rtol=1e-3, atol=1e-4)


def test_networks_without_attention_and_random_ones_are_refused(load: Load) -> None:
    with pytest.raises(OptionError, match=r"attention layers.*'toy'.*fine-tune-late"):
        lora.add(toy_backbone(), toy_plan(lora=4))
    backbone = load("vit")
    with pytest.raises(OptionError, match="attention layers"):
        lora.add(backbone, plan_for(backbone, "embeddings"))
    assert not lora.has_adapters(backbone)
    with pytest.raises(OptionError, match="pretrained weights for LoRA"):
        lora.add(backbone, plan_for(backbone).replace(strategy="scratch"))


@pytest.mark.parametrize("rank", [-1, 1.5, True])
def test_a_rank_is_a_whole_number(rank: object) -> None:
    with pytest.raises(OptionError, match="LoRA rank"):
        Settings(lora=rank)  # type: ignore[arg-type]


def test_the_plan_says_so(load: Load) -> None:
    plan = plan_for(load("vit"))
    assert "LoRA adapters of rank 4" in plan.words()
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    assert "LoRA" not in plan.replace(settings=Settings()).words()


def test_merging_without_adapters_changes_nothing() -> None:
    backbone = toy_backbone()
    before = digest(backbone.state_dict())
    lora.merge(backbone)
    assert digest(backbone.state_dict()) == before

"""Models in the hub's format: tiny ones with random weights, saved here, answer as transformers does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from test_backbone import assert_openvino_agrees, random_pixels

from headstart import backbones
from headstart.backbones import hub
from headstart.errors import BackboneError, OptionError

PREPROCESSOR = {
    "size": {"shortest_edge": 36},
    "crop_size": {"height": 32, "width": 32},
    "do_center_crop": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
}
VIT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "patch_size": 8,
}


def tiny(family: str) -> Any:
    torch.manual_seed(3)
    t = transformers
    made = {
        "resnet": lambda: t.ResNetForImageClassification(
            t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], num_labels=5)
        ),
        "convnext": lambda: t.ConvNextForImageClassification(
            t.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, num_labels=5)
        ),
        "mobilenet_v2": lambda: t.MobileNetV2ForImageClassification(
            t.MobileNetV2Config(depth_multiplier=0.35, num_labels=5)
        ),
        "vit": lambda: t.ViTForImageClassification(t.ViTConfig(**VIT, image_size=32, num_labels=5)),
        # Learned at 64 pixels, used at 32: the positions are interpolated, as in the published models.
        "dinov2": lambda: t.Dinov2Model(t.Dinov2Config(**VIT, image_size=64)),
        "clip": lambda: t.CLIPVisionModel(t.CLIPVisionConfig(**VIT, image_size=32)),
    }[family]()
    for name, value in made.named_parameters():
        if "layer_scale" in name or name.endswith("bias"):
            torch.nn.init.normal_(value, 0.5, 0.1)  # fresh ones hide mistakes: zeros and 1e-6
    return made.eval()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("hub")

    def save(family: str) -> Path:
        folder = root / family
        if not folder.exists():
            tiny(family).save_pretrained(folder)
            (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
        return folder

    return save


CLASSIFIERS = ["resnet", "convnext", "mobilenet_v2", "vit"]


@pytest.mark.parametrize("family", CLASSIFIERS)
def test_classifiers_answer_as_transformers_does(family: str, saved: Callable[[str], Path]) -> None:
    folder = saved(family)
    model = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    backbone = backbones.load(f"hf:{folder}", offline=True)
    pixels = random_pixels(2, 32)
    with torch.no_grad():
        grid, features = backbone(pixels)
        torch.testing.assert_close(backbone.logits(features), model(backbone.normalise(pixels)).logits)
    assert features.shape == (2, backbone.card.features) == grid.shape[:2]
    assert backbone.card.labels == f"hf:{folder}"


@pytest.mark.parametrize("family", ["dinov2", "clip"])
def test_trunks_answer_as_transformers_does(family: str, saved: Callable[[str], Path]) -> None:
    model = tiny(family)
    backbone = backbones.load(f"hf:{saved(family)}", offline=True)
    pixels = random_pixels(2, 32)
    with torch.no_grad():
        grid, features = backbone(pixels)
        expected = model(backbone.normalise(pixels))
    torch.testing.assert_close(features, expected.pooler_output)
    assert grid.shape == (2, 16, 4, 4)
    if family == "dinov2":  # CLIP's own output leaves the last norm to the class token
        torch.testing.assert_close(grid.flatten(2).transpose(1, 2), expected.last_hidden_state[:, 1:])
    assert backbone.classifier is None
    assert backbone.card.labels is None


BLOCKS = {
    "resnet": ("embedder", "stage1", "stage2"),
    "convnext": ("embeddings", "stage1", "stage2"),
    "vit": ("embeddings", "layer1", "layer2"),
    "dinov2": ("embeddings", "layer1", "layer2"),
    "clip": ("embeddings", "layer1", "layer2"),
}


@pytest.mark.parametrize("family", list(BLOCKS))
def test_blocks_run_in_parts_and_hold_every_weight(family: str, saved: Callable[[str], Path]) -> None:
    backbone = backbones.load(f"hf:{saved(family)}", offline=True)
    assert backbone.card.blocks == BLOCKS[family]
    assert backbone.card.parameters == sum(p.numel() for p in backbone.parameters())
    with torch.no_grad():
        x = backbone.normalise(random_pixels(1, 32))
        first, second, _ = BLOCKS[family]
        parts = backbone.run_blocks(backbone.run_blocks(x, stop=first), start=second)
        assert torch.equal(parts, backbone.run_blocks(x))
    with pytest.raises(OptionError):
        backbone.run_blocks(x, stop="stage9")


@pytest.mark.parametrize("family", ["resnet", "convnext", "dinov2", "clip"])
def test_openvino_agrees_on_hub_models(family: str, saved: Callable[[str], Path]) -> None:
    assert_openvino_agrees(backbones.load(f"hf:{saved(family)}", offline=True))


def test_the_card_is_made_from_the_files(saved: Callable[[str], Path]) -> None:
    name = f"hf:{saved('resnet')}"
    card = backbones.card(name)
    assert (card.name, card.features, card.architecture) == (name, 16, "ResNetForImageClassification")
    assert card.preprocess.size == 32
    assert card.preprocess.crop == pytest.approx(32 / 36)
    assert card.preprocess.mean == pytest.approx((123.675, 116.28, 103.53))
    assert card.digest == backbones.card(name).digest
    assert card.digest != backbones.card(f"hf:{saved('convnext')}").digest
    assert backbones.fetch(name) == saved("resnet")


def test_transformers_settings_are_left_as_they_were(saved: Callable[[str], Path]) -> None:
    logging = transformers.utils.logging
    before = (logging.get_verbosity(), logging.is_progress_bar_enabled())
    backbones.load(f"hf:{saved('resnet')}")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_loading_is_silent(saved: Callable[[str], Path], capfd: pytest.CaptureFixture[str]) -> None:
    backbones.load(f"hf:{saved('clip')}")
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny("resnet").save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    return tmp_path / "model"


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "model.safetensors"])
@pytest.mark.parametrize("damage", ["absent", "cut", "empty"])
def test_damaged_files_get_a_clear_error(name: str, damage: str, folder: Path) -> None:
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    if damage != "absent":
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    with pytest.raises(BackboneError, match=r"expected .* received .* to fix"):
        backbones.load(f"hf:{folder}")


def test_weights_in_a_pickle_only_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(tiny("resnet").state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(BackboneError, match="safetensors"):
        backbones.load(f"hf:{folder}")


def test_missing_weights_are_not_made_up(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    del state["resnet.encoder.stages.1.layers.0.shortcut.convolution.weight"]
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(BackboneError, match="shortcut"):
        backbones.load(f"hf:{folder}")


def test_other_families_are_named(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    with pytest.raises(BackboneError, match=r"resnet, convnext, mobilenet_v2, vit, dinov2, clip.*'gpt2'"):
        backbones.load(f"hf:{folder}")


@pytest.mark.parametrize("name", ["hf:", "hf:/no/such/folder", "hf:resnet-50", "hf:a/b/c", "hf:./x"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(BackboneError, match="hf:owner/model"):
        backbones.load(name)


def test_a_model_nobody_fetched_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BackboneError, match=r"hf:/path/to/folder"):
        backbones.load("hf:headstart-tests/nothing-here", offline=True)


def test_a_file_does_not_go_with_a_hub_name(folder: Path) -> None:
    with pytest.raises(BackboneError, match="catalogue"):
        backbones.load(f"hf:{folder}", path=folder / "model.safetensors")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        # microsoft/resnet-50, facebook/convnext-tiny-224
        ({"size": 224, "crop_pct": 0.875, "resample": 3}, (224, "crop", 0.875)),
        ({"size": {"shortest_edge": 384}, "resample": 3}, (384, "squash", 1.0)),
        # facebook/dinov2-small
        (
            {
                "size": {"shortest_edge": 256},
                "crop_size": {"height": 224, "width": 224},
                "do_center_crop": True,
            },
            (224, "crop", 0.875),
        ),
        # google/vit-base-patch16-224
        ({"size": {"height": 224, "width": 224}}, (224, "squash", 1.0)),
        ({"size": 224}, (224, "squash", 1.0)),
        # openai/clip-vit-base-patch32
        ({"size": 224, "crop_size": 224, "do_center_crop": True}, (224, "crop", 1.0)),
    ],
)
def test_preprocessing_of_published_models(config: dict[str, Any], expected: tuple[int, str, float]) -> None:
    spec = hub.preprocess(config, Path())
    assert (spec.size, spec.resize, spec.crop) == expected


@pytest.mark.parametrize(
    "config",
    [
        {"size": 224, "resample": 0},
        {"size": 224, "do_resize": False},
        {"size": {"height": 224, "width": 200}},
        {"size": {"height": 256, "width": 256}, "crop_size": 224, "do_center_crop": True},
        {"size": {"shortest_edge": 200}, "crop_size": 224, "do_center_crop": True},
        {"size": 224, "image_std": [0.5]},
        {"size": 224, "image_std": [0.0, 0.0, 0.0]},
    ],
)
def test_preprocessing_that_cannot_be_followed_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(BackboneError):
        hub.preprocess(config, Path())


@settings(deadline=None, max_examples=50)
@given(
    mean=st.lists(st.floats(0, 1), min_size=3, max_size=3),
    std=st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
    scale=st.sampled_from([1 / 255, 1 / 127.5]),
    grey=st.integers(0, 255),
)
def test_mean_and_std_become_grey_levels(
    mean: list[float], std: list[float], scale: float, grey: int
) -> None:
    config = {"size": 8, "image_mean": mean, "image_std": std, "rescale_factor": scale}
    spec = hub.preprocess(config, Path())
    for channel in range(3):
        expected = (grey * scale - mean[channel]) / std[channel]
        assert (grey - spec.mean[channel]) / spec.std[channel] == pytest.approx(expected, abs=1e-6)

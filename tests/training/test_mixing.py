"""Mixup and CutMix: shares that agree with the pixels, types, and chance that can be stored."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.errors import OptionError
from headstart.training.mixing import mix
from headstart.training.plan import Settings

few = settings(deadline=None, max_examples=40)
MIXUP, CUTMIX, BOTH = Settings(mixup=0.4), Settings(cutmix=1.0), Settings(mixup=0.4, cutmix=1.0)


def chance(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def flat_pictures(n: int, height: int, width: int, pixels: bool) -> torch.Tensor:
    """Item i is i everywhere, so that a mixture shows what is in it."""
    values = torch.arange(n).float()
    if pixels:
        return values.to(torch.uint8).view(n, 1, 1, 1).expand(n, height, width, 3).contiguous()
    return values.view(n, 1, 1, 1).expand(n, 2, height, width).contiguous()


@few
@given(
    n=st.integers(1, 6),
    side=st.integers(1, 9),
    pixels=st.booleans(),
    chosen=st.sampled_from([MIXUP, CUTMIX, BOTH]),
    seed=st.integers(0, 10_000),
)
def test_shapes_types_and_sums_stay(n: int, side: int, pixels: bool, chosen: Settings, seed: int) -> None:
    x, y = flat_pictures(n, side, side + 1, pixels), torch.eye(n)
    before = x.clone()
    mixed, soft = mix(x, y, chosen, chance(seed))
    assert (mixed.shape, mixed.dtype) == (x.shape, x.dtype)
    assert torch.equal(x, before)
    torch.testing.assert_close(soft.sum(1), torch.ones(n))
    torch.testing.assert_close(soft.sum(0), torch.ones(n))  # every item is a partner once
    assert (soft >= -1e-6).all()
    assert (mixed.float() >= 0).all()
    assert (mixed.float() <= n - 1).all()


@few
@given(n=st.integers(2, 6), seed=st.integers(0, 10_000))
def test_mixup_blends_as_its_targets_say(n: int, seed: int) -> None:
    x, y = torch.rand(n, 2, 3, 3), torch.eye(n)
    mixed, soft = mix(x, y, MIXUP, chance(seed))
    torch.testing.assert_close(mixed, torch.einsum("ij,jchw->ichw", soft, x))


@few
@given(n=st.integers(2, 6), seed=st.integers(0, 10_000))
def test_mixed_pixels_are_within_half_a_grey_level(n: int, seed: int) -> None:
    x = torch.randint(0, 256, (n, 4, 4, 3), dtype=torch.uint8, generator=chance(seed))
    mixed, soft = mix(x, torch.eye(n), MIXUP, chance(seed))
    exact = torch.einsum("ij,jhwc->ihwc", soft, x.float())
    assert (mixed.float() - exact).abs().max() <= 0.501


@few
@given(n=st.integers(2, 6), side=st.integers(2, 12), pixels=st.booleans(), seed=st.integers(0, 10_000))
def test_cutmix_counts_the_places_that_it_replaced(n: int, side: int, pixels: bool, seed: int) -> None:
    x = flat_pictures(n, side, side, pixels)
    mixed, soft = mix(x, torch.eye(n), CUTMIX, chance(seed))
    for i in range(n):
        for j in range(n):
            share = (mixed[i] == j).float().mean()
            assert share.item() == pytest.approx(soft[i, j].item(), abs=1e-5)


@few
@given(seed=st.integers(0, 10_000), pixels=st.booleans())
def test_cutmix_replaces_one_rectangle(seed: int, pixels: bool) -> None:
    x = torch.stack([torch.zeros(9, 9), torch.ones(9, 9)])
    shaped: Any = x[..., None].to(torch.uint8) if pixels else x[:, None]
    mixed, _ = mix(shaped, torch.eye(2), CUTMIX, chance(seed))
    other = (mixed[0].reshape(9, 9) == 1).nonzero()
    if len(other):
        low, high = other.amin(0), other.amax(0)
        assert len(other) == (high - low + 1).prod()


def test_chance_is_all_in_the_generator() -> None:
    generator = chance(3)
    mix(torch.rand(4, 1, 6, 6), torch.eye(4), BOTH, generator)
    state = generator.get_state()
    x = torch.rand(4, 1, 6, 6)
    first = mix(x, torch.eye(4), BOTH, generator)
    again = torch.Generator()
    again.set_state(state)
    torch.manual_seed(77)  # chance elsewhere has no say
    second = mix(x, torch.eye(4), BOTH, again)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    third = mix(x, torch.eye(4), BOTH, again)
    assert not torch.equal(first[0], third[0])


def test_both_are_used_where_both_are_wanted() -> None:
    generator, x, y = chance(0), flat_pictures(4, 8, 8, pixels=False), torch.eye(4)
    kinds = set()
    for _ in range(30):
        mixed, _ = mix(x, y, BOTH, generator)
        kinds.add(bool((mixed == mixed.round()).all()))
    assert kinds == {True, False}


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_shares_are_drawn_from_the_beta_distribution(alpha: float) -> None:
    generator, shares = chance(1), []
    x, y = torch.zeros(2, 1, 2, 2), torch.eye(2)
    while len(shares) < 600:
        _, soft = mix(x, y, Settings(mixup=alpha), generator)
        if soft[0, 1] > 0:  # otherwise every item is its own partner
            shares.append(soft[0, 0].item())
    drawn = torch.tensor(shares)
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.06)
    assert drawn.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.2)


def test_several_labels_and_numbers_mix_too() -> None:
    x, held, numbers = (
        torch.rand(2, 1, 2, 2),
        torch.tensor([[1.0, 1.0], [0.0, 1.0]]),
        torch.tensor([10.0, 20.0]),
    )
    for seed in range(8):
        _, soft = mix(x, held, MIXUP, chance(seed))
        _, mean = mix(x, numbers, MIXUP, chance(seed))
        assert soft[:, 1].tolist() == pytest.approx([1, 1])
        assert mean[0].item() == pytest.approx(20 - 10 * soft[0, 0].item(), abs=1e-4)


def test_nothing_wanted_changes_nothing() -> None:
    x, y, generator = torch.rand(3, 4), torch.tensor([0, 1, 2]), chance(0)
    state = generator.get_state()
    mixed, same = mix(x, y, Settings(), generator)
    assert mixed is x
    assert same is y
    assert torch.equal(generator.get_state(), state)


def test_mixup_takes_rows_and_tokens_and_cutmix_does_not() -> None:
    rows = torch.rand(3, 7)
    assert mix(rows, torch.eye(3), MIXUP, chance(0))[0].shape == rows.shape
    with pytest.raises(OptionError, match="CutMix"):
        mix(torch.rand(3, 5, 7), torch.eye(3), CUTMIX, chance(0))


def test_class_indices_are_refused() -> None:
    with pytest.raises(OptionError, match="soft targets"):
        mix(torch.rand(3, 1, 2, 2), torch.tensor([0, 1, 1]), MIXUP, chance(0))

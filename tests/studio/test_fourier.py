"""Pictures as waves: in range, independent of each other, smooth, in the colours of photographs."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.studio.fourier import FourierPictures


@settings(deadline=None, max_examples=20)
@given(count=st.integers(1, 4), size=st.integers(4, 65), seed=st.integers(0, 1000))
def test_pictures_are_pictures(count: int, size: int, seed: int) -> None:
    pictures = FourierPictures(count, size, seed=seed)()
    assert pictures.shape == (count, 3, size, size)
    assert 0 <= float(pictures.min().detach()) <= float(pictures.max().detach()) <= 255
    # They begin near grey, where every channel can still be reached.
    assert 90 < float(pictures.mean().detach()) < 165


@settings(deadline=None, max_examples=10)
@given(count=st.integers(1, 5), seed=st.integers(0, 1000))
def test_a_picture_does_not_depend_on_those_beside_it(count: int, seed: int) -> None:
    alone, among = FourierPictures(1, 16, seed=seed)(), FourierPictures(count, 16, seed=seed)()
    torch.testing.assert_close(alone[0], among[0])
    if count > 1:
        assert not torch.equal(among[0], among[1])


def test_every_wave_can_be_reached() -> None:
    """Any grey picture can be made: the waves are a complete set."""
    pictures = FourierPictures(1, 16, seed=0)
    wanted = 60 + 120 * torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0)).expand(
        1, 3, 16, 16
    )
    optimiser = torch.optim.LBFGS(pictures.parameters(), max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = (pictures() - wanted).square().mean()
        loss.backward()
        return loss

    optimiser.step(closure)
    assert float(closure().detach()) < 1


def test_equal_waves_give_more_to_long_ones() -> None:
    """Photographs have little fine detail: an equal change of all waves changes coarse structure most."""
    grey = FourierPictures(8, 64, seed=0)().detach().mean(1)
    power = torch.fft.fft2(grey - grey.mean((1, 2), keepdim=True)).abs().square().mean(0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(64)))
    long = float(power[torch.from_numpy((frequency > 0) & (frequency < 0.1))].mean())
    short = float(power[torch.from_numpy(frequency > 0.4)].mean())
    assert long > 10 * short


def test_brightness_varies_more_than_colour() -> None:
    pictures = FourierPictures(8, 32, seed=0)().detach()
    brightness = pictures.mean(1, keepdim=True)
    colour = pictures - brightness
    assert float(brightness.std()) > 1.5 * float(colour.std())

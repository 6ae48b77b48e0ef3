"""Places of pictures: every method points at what is known to count, in pixels of the original picture."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pasted_patterns import LABELS, Known
from PIL import Image

from headstart.artefact.model import Model
from headstart.errors import DecodeError, OptionError
from headstart.explain import PictureExplanation
from headstart.explain.network import score_network
from headstart.explain.pictures import METHODS
from headstart.transfer.calibration import AnyCalibration, Interval, Thresholds
from headstart.transfer.heads import Head

pytestmark = pytest.mark.usefixtures("one_thread")


def hits(known: Known, method: str, most: int) -> float:
    """Return how often the strongest place lies in the pattern (the pointing game)."""
    found = []
    for each in known.pictures[:most]:
        why = known.model.explain(each.picture, method=method, label=each.label)
        assert isinstance(why, PictureExplanation)
        left, top, right, bottom = why.box
        heat = why.heat(bottom - top, right - left)
        y, x = np.unravel_index(heat.argmax(), heat.shape)
        x0, y0, x1, y1 = each.box
        found.append(x0 <= left + x < x1 and y0 <= top + y < y1)
    return float(np.mean(found))


@pytest.mark.parametrize("method", METHODS)
def test_the_strongest_place_is_in_the_pattern(known: Known, method: str) -> None:
    # At random 14 per cent would be, always at the centre 40.
    most, least = (3, 0.5) if method == "gradients" else (8, 0.75)
    assert hits(known, method, most) >= least


def test_all_evidence_adds_up_where_it_is_exact(known: Known) -> None:
    why = known.model.explain(known.pictures[0].picture)
    assert isinstance(why, PictureExplanation)
    assert why.exact
    assert why.label == known.pictures[0].label
    network = score_network(known.model)
    column = known.model.labels.index(why.label)
    (weight, bias) = known.model.head.layers[0]
    p = np.delete(known.model.predict_proba([known.pictures[0].picture])[0], column)
    apart = np.delete(bias, column) @ (p / p.sum())
    temperature = known.model.calibration.temperature  # type: ignore[union-attr]
    offset = (bias[column] - apart) / temperature
    assert network is score_network(known.model)
    # What is left is the entropy of the others' shares: the log-odds against them are not quite linear.
    score = np.log(why.confidence / (1 - why.confidence))
    entropy = -(p / p.sum() * np.log(p / p.sum())).sum()
    assert why.evidence.sum() + offset - entropy == pytest.approx(score, abs=0.15)
    assert weight.shape[1] == len(LABELS)


def test_the_map_without_torch_is_the_one_of_the_gradient(known: Known) -> None:
    from headstart.artefact.streaming import prepare
    from headstart.explain.gradients import cam

    each = known.pictures[1]
    why = known.model.explain(each.picture, method="hirescam", label=each.label)
    assert isinstance(why, PictureExplanation)
    (pixels,) = prepare((1, each.picture), known.model.front_ends, "image").inputs.values()
    column = known.model.labels.index(each.label)
    network = score_network(known.model)
    for high_resolution in (True, False):
        (wanted,) = cam(network, [pixels[0]], column, high_resolution=high_resolution)
        # One runs in bfloat16, where the processor does, the other in float32.
        assert np.corrcoef(why.evidence.ravel(), wanted.ravel())[0, 1] > 0.99
        assert np.abs(why.evidence - wanted).max() < 0.15 * np.abs(wanted).max()


def test_integrated_gradients_add_up_to_the_difference() -> None:
    """On a network without kinks near the way, for there a sum of 24 gradients is an integral."""
    import torch
    from torch import nn

    from headstart.backbones.backbone import Backbone
    from headstart.backbones.card import Card, Preprocess
    from headstart.explain.gradients import integrated
    from headstart.explain.network import ScoreNetwork
    from headstart.explain.overlay import blur

    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    spec = Preprocess(size=48, mean=(127.0, 127.0, 127.0), std=(64.0, 64.0, 64.0))
    card = Card("toy", "toy", "here", "CC0-1.0", "nothing", spec, 6, ("stem",), 168, "")
    toy = Backbone(card, {"stem": nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.Softplus())})
    weight = generator.normal(size=(6, 4)).astype(np.float32)
    network = ScoreNetwork(
        [toy], [Head("linear", ((weight, np.zeros(4, np.float32)),))], "label", "mean", 2.0
    )
    pixels = generator.integers(0, 255, (48, 48, 3)).astype(np.uint8)
    (brought,) = integrated(network, [pixels], 1)
    there, away = (torch.from_numpy(x.copy())[None].float() for x in (pixels, blur(pixels)))
    assert brought.shape == (3, 3)
    assert brought.sum() == pytest.approx(float(network(there, column=1) - network(away, column=1)), rel=1e-3)


def test_the_network_in_torch_answers_as_the_model(known: Known) -> None:
    import torch

    from headstart.artefact.streaming import prepare

    network = score_network(known.model)
    for each in known.pictures[:4]:
        (pixels,) = prepare((1, each.picture), known.model.front_ends, "image").inputs.values()
        x = torch.from_numpy(np.array(pixels[0]))[None]
        (p,) = known.model.predict_proba([each.picture])
        for column in range(len(LABELS)):
            found = float(torch.sigmoid(network(x, column=column)))
            assert found == pytest.approx(p[column], abs=0.03)


def test_a_label_of_ones_own_choice(known: Known) -> None:
    each = known.pictures[0]
    for label in LABELS:
        why = known.model.explain(each.picture, label=label)
        assert why.label == label
        assert why.confidence == pytest.approx(known.model.predict([each.picture])[0].probabilities[label])
    with pytest.raises(OptionError, match=r"'checks', 'rings', 'stripes'.*'nonsense'"):
        known.model.explain(each.picture, label="nonsense")
    with pytest.raises(OptionError, match="auto, gradcam, hirescam"):
        known.model.explain(each.picture, method="nonsense")


def with_calibration(model: Model, calibration: AnyCalibration, columns: int) -> Model:
    """Return the model with the first columns of its head, answering in another way."""
    ((weight, bias),) = model.head.layers
    head = Head("linear", ((weight[:, :columns], bias[:columns]),))
    member = model.members[0]
    return Model(
        labels=model.labels if columns > 1 else ("value",),
        modality="image",
        front_end=member.front_end,
        backbone=member.backbone,
        network=member.network,
        head=head,
        calibration=calibration,
    )


def test_numbers_and_several_labels(known: Known) -> None:
    """Their answers are linear in what the places bring, so the evidence and the bias are the answer."""
    each = known.pictures[0]
    ((_, bias),) = known.model.head.layers
    number = with_calibration(known.model, Interval(0.9, 1.0), 1)
    why = number.explain(each.picture)
    assert isinstance(why, PictureExplanation)
    assert (why.label, why.exact) == ("value", True)
    assert why.evidence.sum() + bias[0] == pytest.approx(number.predict([each.picture])[0].value, abs=0.05)
    several = with_calibration(known.model, Thresholds(2.0, (0.5, 0.5, 0.5)), 3)
    for column, label in enumerate(LABELS):
        why = several.explain(each.picture, label=label)
        assert isinstance(why, PictureExplanation)
        log_odds = np.log(why.confidence / (1 - why.confidence))
        assert why.evidence.sum() + bias[column] / 2 == pytest.approx(log_odds, abs=0.05)
    for method in ("gradcam", "occlusion"):
        assert number.explain(each.picture, method=method).label == "value"


def test_the_region_is_in_pixels_of_the_original_picture(known: Known) -> None:
    """A picture beside other things, enlarged: the network sees the middle only."""
    each = known.pictures[0]
    large = np.asarray(Image.fromarray(each.picture).resize((768, 768)))
    wide = np.full((768, 2000, 3), 90, np.uint8)
    wide[:, 616:1384] = large
    why = known.model.explain(wide, label=each.label)
    assert isinstance(why, PictureExplanation)
    left, top, right, bottom = why.region()
    x0, y0, x1, y1 = (3 * edge for edge in each.box)
    assert x0 + 616 <= (left + right) / 2 <= x1 + 616
    assert y0 <= (top + bottom) / 2 <= y1
    side = round(768 * known.model.front_end.preprocess.crop)  # type: ignore[union-attr]
    assert why.box == ((2000 - side) // 2, (768 - side) // 2, (2000 + side) // 2, (768 + side) // 2)
    assert 0 < why.share <= 1


def encoded(picture: Image.Image, kind: str, **more: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **more)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("source", "size"),
    [
        (encoded(Image.new("RGB", (1, 1), "red"), "PNG"), (1, 1)),
        (encoded(Image.new("RGBA", (40, 30), (200, 30, 30, 90)), "PNG"), (40, 30)),
        (encoded(Image.new("CMYK", (64, 48), (10, 90, 30, 20)), "JPEG"), (64, 48)),
        (np.random.default_rng(0).integers(0, 255, (60, 1200, 3), np.uint8), (1200, 60)),
        (np.random.default_rng(0).integers(0, 255, (1200, 60, 3), np.uint8), (60, 1200)),
    ],
    ids=["one pixel", "alpha", "CMYK", "panorama", "tower"],
)
@pytest.mark.parametrize("method", ["auto", "gradients", "occlusion"])
def test_odd_pictures(
    known: Known, source: bytes | NDArray[np.uint8], size: tuple[int, int], method: str
) -> None:
    why = known.model.explain(source, method=method)
    assert isinstance(why, PictureExplanation)
    found = json.loads(json.dumps(why.to_json(), allow_nan=False))
    assert found["size"] == list(size)
    left, top, right, bottom = found["region"]
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    shown = why.overlay()
    assert shown.dtype == np.uint8
    assert shown.shape[1] / shown.shape[0] == pytest.approx(size[0] / size[1], rel=0.05)


def test_what_is_no_picture(known: Known, tmp_path: Path) -> None:
    file = tmp_path / "damaged.jpg"
    file.write_bytes(b"\xff\xd8\xff no picture")
    with pytest.raises(DecodeError, match=r"damaged\.jpg"):
        known.model.explain(file)
    with pytest.raises(DecodeError, match="readable"):
        known.model.explain(tmp_path / "absent.jpg")


def test_files_of_every_kind(known: Known, tmp_path: Path) -> None:
    why = known.model.explain(known.pictures[0].picture)
    for name in ("why.png", "why.jpg", "why.html", "why.json"):
        why.save(tmp_path / name)
    with Image.open(tmp_path / "why.png") as shown:
        assert shown.size == (320, 320)  # smaller ones are enlarged
    assert json.loads((tmp_path / "why.json").read_text())["exact"] is True
    page = (tmp_path / "why.html").read_text()
    assert "Orange speaks for the answer" in page
    assert "http" not in page.replace("http-equiv", "")
    with pytest.raises(OptionError, match=r"\.png"):
        why.save(tmp_path / "why.txt")


def test_several_members_add_up(known: Known, tmp_path: Path) -> None:
    """Members that see other parts of the picture: the map is of all that any of them sees."""
    from dataclasses import replace

    model = known.model
    first = model.members[0]
    spec = replace(first.front_end.preprocess, crop=0.5)  # type: ignore[type-var]
    second = replace(first, front_end=replace(first.front_end, preprocess=spec))
    joined = Model(
        labels=model.labels,
        modality="image",
        front_end=first.front_end,
        backbone=first.backbone,
        network=first.network,
        head=first.head,
        calibration=model.calibration,
        others=[replace(second, network=_copy(first.network, tmp_path))],
    )
    each = known.pictures[0]
    for method in ("auto", "gradcam", "occlusion"):
        why = joined.explain(each.picture, method=method, label=each.label)
        assert isinstance(why, PictureExplanation)
        assert not why.exact
        left, top, right, bottom = why.region()
        assert each.box[0] <= (left + right) / 2 <= each.box[2], method
        assert each.box[1] <= (top + bottom) / 2 <= each.box[3], method


def _copy(network: Path, folder: Path) -> Path:
    for file in (network, network.with_suffix(".bin")):
        (folder / f"second{file.suffix}").write_bytes(file.read_bytes())
    return folder / "second.xml"


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(0, 2**32 - 1),
)
def test_regions_are_inside_and_hold_their_share(
    rows: int, columns: int, height: int, width: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.uint8)
    why = PictureExplanation("x", "y", 0.5, "z", True, picture, generator.normal(size=(rows, columns)))
    left, top, right, bottom = why.region()
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert 0 <= why.share <= 1
    assert why.overlay().shape[2] == 3
    none = PictureExplanation("x", "y", 0.5, "z", True, picture, np.zeros((rows, columns)))
    assert none.region() == (0, 0, width, height)
    assert none.share == 0


def test_tokens_of_a_transformer_are_looked_at_where_they_still_count() -> None:
    """Behind the last block only the class token counts: the map is of the block before."""
    import torch
    from torch import Tensor, nn

    from headstart.backbones.backbone import Backbone, ClassToken
    from headstart.backbones.card import Card, Preprocess
    from headstart.explain.gradients import cam
    from headstart.explain.network import ScoreNetwork

    class Patches(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            patches = x.unfold(2, 8, 8).unfold(3, 8, 8).mean((4, 5)).flatten(2).transpose(1, 2)
            return torch.cat([torch.zeros(len(x), 1, 3), patches], 1)

    class Attends(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            normed = nn.functional.layer_norm(x[:, 1:], (3,))  # for which a token's length is the same
            return torch.cat([x[:, :1] + normed.mean(1, keepdim=True), x[:, 1:]], 1)

    spec = Preprocess(size=40, mean=(127.0, 127.0, 127.0), std=(64.0, 64.0, 64.0))
    blocks = {"embeddings": Patches(), "layer1": nn.Identity(), "layer2": Attends()}
    card = Card("toy", "toy", "here", "CC0-1.0", "nothing", spec, 3, tuple(blocks), 0, "")
    head = Head("linear", ((np.array([[1.0, 0], [0, 0], [0, 1]], np.float32), np.zeros(2, np.float32)),))
    network = ScoreNetwork([Backbone(card, blocks, ClassToken(5))], [head], "label", "mean")
    pixels = np.full((40, 40, 3), (120, 200, 120), np.uint8)
    pixels[8:16, 24:32] = (200, 127, 110)  # red: the first class
    pixels[32:, :8] = (110, 127, 200)  # blue: the second
    for high_resolution in (True, False):
        (brought,) = cam(network, [pixels], 0, high_resolution=high_resolution)
        assert brought.shape == (5, 5)
        assert np.unravel_index(brought.argmax(), (5, 5)) == (1, 3)
        assert np.unravel_index(brought.argmin(), (5, 5)) == (4, 0)


def test_without_its_reason_the_answer_falls(known: Known) -> None:
    for each in known.pictures[:4]:
        why = known.model.explain(each.picture, label=each.label)
        assert why.check is not None
        assert why.check.fall > 0
        assert why.check.confidence < why.confidence


def test_explaining_needs_no_torch(known: Known, tmp_path: Path) -> None:
    import subprocess
    import sys

    known.model.save(tmp_path / "m.headstart")
    Image.fromarray(known.pictures[0].picture).save(tmp_path / "x.png")
    code = (
        "import sys, headstart as hs\n"
        f"why = hs.load({str(tmp_path / 'm.headstart')!r}).explain({str(tmp_path / 'x.png')!r})\n"
        f"why.save({str(tmp_path / 'why.html')!r})\n"
        "assert not {'torch', 'captum', 'matplotlib', 'scipy', 'sklearn'} & set(sys.modules), 'heavy'"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "The frame is around" in (tmp_path / "why.html").read_text()

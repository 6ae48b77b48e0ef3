"""Maps that answer: dots are where the script thinks they are; nothing is too slow, too big or too odd."""

from __future__ import annotations

import io
import json
import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from headstart.pages import Glimpse, Markup
from headstart.retrieval.hover import TILE, Thumbnails, answering, thumbnails
from headstart.retrieval.maps import MOST, ItemMap, map_section

NASTY = "</script><script>alert(1)</script> & 'quotes' ü"


def jpeg(colour: tuple[int, int, int], size: tuple[int, int] = (160, 120)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "JPEG")
    return buffer.getvalue()


def noise(number: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def content(page: str) -> dict[str, list[list[object]]]:
    found = re.search('<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    read: dict[str, list[list[object]]] = json.loads(found[1])
    return read


def mapped(count: int = 40, label: str = "kind", seed: int = 0) -> ItemMap:
    vectors = np.random.default_rng(seed).normal(size=(count, 6)).astype(np.float32)
    names = [f"{label}/{n}.jpg" for n in range(count)]
    found = ItemMap.of(vectors, [f"{label} {n % 3}" for n in range(count)], names=names)
    assert found is not None
    return found


def test_each_picture_lies_on_its_own_tile() -> None:
    colours = {"red": (220, 20, 20), "blue": (20, 20, 220)}
    names = ["red", "nothing", "blue"] * 20
    found = thumbnails(names, lambda name: jpeg(colours[name]) if name in colours else None, 60)
    assert found.pictured == (True, False, True) * 20
    assert found.words == ("",) * 60
    assert found.sheet is not None
    sheet = np.asarray(Image.open(io.BytesIO(found.sheet)))
    assert sheet.shape == (3 * TILE, 25 * TILE, 3)
    for number, name in enumerate(names):
        row, column = divmod(number, 25)
        tile = sheet[row * TILE :, column * TILE :][2 : TILE - 2, 2 : TILE - 2]  # decoders smooth edges
        wanted = colours.get(name, (127, 127, 127))
        assert np.abs(tile.astype(int) - wanted).max() < 12, name


def test_texts_are_shown_by_their_beginning() -> None:
    found = thumbnails(["long", "short"], {"long": "x" * 1000, "short": "two words"}.get)
    assert found.sheet is None
    assert found.pictured == (False, False)
    assert found.words == ("x" * 160, "two words")


def test_a_slow_disk_does_not_keep_a_report_waiting() -> None:
    def slow(name: str) -> Glimpse:
        time.sleep(0.05)
        return jpeg((1, 2, 3))

    started = time.monotonic()
    found = thumbnails([str(n) for n in range(MOST)], slow, seconds=0.4)
    assert time.monotonic() - started < 5
    assert 0 < sum(found.pictured) < MOST / 2
    shown = [n for n, pictured in enumerate(found.pictured) if pictured]
    if len(shown) > 8:  # spread over all, not the first ones
        assert max(shown) > MOST / 2


def test_the_sheet_stays_small_whatever_the_pictures() -> None:
    pictures = [noise(n) for n in range(6)]
    found = thumbnails([str(n) for n in range(MOST)], lambda name: pictures[int(name) % 6], 60)
    assert found.sheet is not None
    assert len(found.sheet) < 1_500_000  # noise is the worst there is; photographs take a quarter of it


def test_the_dots_are_where_the_script_looks_for_them() -> None:
    found = mapped()
    section = map_section(found, "pictures")
    assert section is not None
    page = str(section[1][1])
    told = content(page)
    for number, svg in enumerate(re.findall("<svg.*?</svg>", page, re.DOTALL)):
        box = re.search('viewBox="0 0 ([0-9.]+) ([0-9.]+)"', svg)
        assert box is not None
        size = np.array([float(box[1]), float(box[2])])
        uses = re.findall('<use[^>]*? x="([0-9.]+)" y="([0-9.]+)"[^>]*fill', svg)
        drawn = np.array(sorted((float(x), float(y)) for x, y in uses))
        thought = np.array(sorted(map(tuple, np.array(told["places"][number]) * size)))
        assert len(drawn) == 40
        assert np.abs(drawn - thought).max() < 0.5


def test_dots_say_what_they_are() -> None:
    section = map_section(mapped(12), "pictures", lambda name: f"about {name}")
    assert section is not None
    told = content(str(section[1][1]))
    assert told["items"][4] == ["kind 1", "kind/4.jpg", "about kind/4.jpg", False]
    assert '<p class="quiet" hidden>Point at a dot' in str(section[1][1])


def test_a_map_without_names_has_no_script() -> None:
    vectors = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    section = map_section(ItemMap.of(vectors, ["a"] * 12), "pictures", lambda name: jpeg((0, 0, 0)))
    assert section is not None
    assert "<script" not in "".join(section[1])
    assert "arrow keys" not in "".join(section[1])


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.text(), st.text(), st.text()), min_size=1, max_size=5))
def test_nothing_in_names_labels_or_texts_leaves_the_data_block(items: list[tuple[str, str, str]]) -> None:
    labels, names, words = (tuple(column) for column in zip(*items, strict=True))
    places: NDArray[np.float64] = np.zeros((len(items), 2))
    page = str(answering(Markup(""), [places], names, labels, Thumbnails(None, (False,) * len(items), words)))
    assert content(page)["items"] == [[*item, False] for item in zip(labels, names, words, strict=True)]
    assert page.count("<script") == page.count("</script>") == 2


def test_markup_in_a_name_is_no_markup() -> None:
    section = map_section(mapped(9, NASTY), "pictures")
    assert section is not None
    page = "".join(section[1])
    assert "<script>alert" not in page
    assert content(page)["items"][0] == [f"{NASTY} 0", f"{NASTY}/0.jpg", "", False]


@pytest.mark.parametrize("shown", [None, lambda name: None])
def test_items_that_cannot_be_shown_still_have_their_names(shown: object) -> None:
    found = thumbnails(["a", "b"], shown)  # type: ignore[arg-type]
    assert found == Thumbnails(None, (False, False), ("", ""))

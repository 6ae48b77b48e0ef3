"""Maps that answer, in a real browser: to a mouse, to keys, to a finger, and without scripts."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from headstart.pages import Page
from headstart.retrieval.maps import ItemMap, map_section

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")

COLOURS = {"red": (220, 20, 20), "blue": (20, 20, 220)}


def shown(name: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (160, 120), COLOURS[name.split("/")[0]]).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    vectors = np.random.default_rng(0).normal(size=(24, 6)).astype(np.float32)
    labels = ["red", "blue"] * 12
    names = [f"{label}/{n}.jpg" for n, label in enumerate(labels)]
    section = map_section(ItemMap.of(vectors, labels, names=names), "pictures", shown)
    assert section is not None
    page = Page("Colours", lead="A map.").section(section[0], *section[1])
    path = tmp_path_factory.mktemp("page") / "map.html"
    path.write_text(page.html(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield found
        found.close()


@pytest.fixture
def page(browser: Any, file: Path) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1000, "height": 900}, has_touch=True)
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.goto(file.as_uri())
    yield opened
    assert wrong == []
    context.close()


def dot(page: Any, number: int, chart: int = 0) -> tuple[float, float]:
    """Where a dot of a chart is in the window."""
    data = json.loads(page.locator(".dots [type='application/json']").inner_text())
    svg = page.locator(".dots svg").nth(chart)
    svg.scroll_into_view_if_needed()
    area = svg.bounding_box()
    x, y = data["places"][chart][number]
    return area["x"] + x * area["width"], area["y"] + y * area["height"]


@pytest.mark.parametrize("chart", [0, 1])
def test_a_dot_under_the_mouse_shows_its_item_on_both_maps(page: Any, chart: int) -> None:
    tip = page.locator(".tip")
    assert tip.is_hidden()
    for number, label in ((4, "red"), (7, "blue")):
        page.mouse.move(*dot(page, number, chart))
        tip.wait_for(state="visible")
        assert tip.inner_text().split() == [label, f"{label}/{number}.jpg"]
        seen = Image.open(io.BytesIO(tip.locator("img").screenshot())).convert("RGB").resize((1, 1))
        assert np.abs(np.array(seen.getpixel((0, 0))) - COLOURS[label]).max() < 40
        for each in (0, 1):
            ring = page.locator(".ring").nth(each).bounding_box()
            x, y = dot(page, number, each)
            assert abs(ring["x"] + ring["width"] / 2 - x) < 2
            assert abs(ring["y"] + ring["height"] / 2 - y) < 2
    page.mouse.move(2, 2)
    tip.wait_for(state="hidden")


def test_arrow_keys_walk_from_dot_to_dot(page: Any) -> None:
    page.locator(".dots figure > div").first.focus()
    seen = []
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
        seen.append(page.locator(".tip small").inner_text())
    assert all(seen)
    assert len(set(seen)) >= 3
    before = page.locator(".ring").first.bounding_box()["x"]
    page.keyboard.press("ArrowLeft")
    assert page.locator(".ring").first.bounding_box()["x"] <= before
    page.keyboard.press("Escape")
    assert page.locator(".tip").is_hidden()


def test_a_finger_shows_an_item_and_it_stays(page: Any) -> None:
    page.touchscreen.tap(*dot(page, 3))
    page.locator(".tip").wait_for(state="visible")
    assert page.locator(".tip b").inner_text() == "blue"


def test_the_page_is_accessible_and_fits_a_phone(browser: Any, file: Path) -> None:
    context = browser.new_context(viewport={"width": 320, "height": 700})
    page = context.new_page()
    page.goto(file.as_uri())
    data = json.loads(page.locator(".dots [type='application/json']").inner_text())
    visible = next(n for n, (x, _) in enumerate(data["places"][0]) if 0.3 < x < 0.6)  # the chart can scroll
    page.mouse.move(*dot(page, visible))
    page.locator(".tip").wait_for(state="visible")
    violations = axe.Axe().run(page).response["violations"]
    assert [each["id"] for each in violations] == []
    area = page.locator(".tip").bounding_box()
    assert area["x"] >= 0
    assert area["x"] + area["width"] <= 320
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    context.close()


def test_without_scripts_the_maps_are_what_they_are(browser: Any, file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    assert page.locator(".dots svg").count() == 2
    assert page.get_by_text("Point at a dot").is_hidden()
    context.close()

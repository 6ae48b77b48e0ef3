"""The pages in a real browser, served by Gunicorn: with a mouse, with keys alone, without scripts."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from real_server import Server, run_server
from signed_in import NAME, PASSWORD

from headstart.serving.feedback import FILE, FeedbackStore
from headstart.serving.people import People

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
TEXT = "What a good day. The rain was bad. A good end."
OPEN = ("/", "/?model=mood", "/models/patterns/card", "/login")
CLOSED = (
    "/studio",
    "/studio/make/summarize",
    "/studio/make/explain",
    "/review",
    "/review?model=mood",
    "/monitor",
)
LOOKS = {"light": ("light", 1100), "dark": ("dark", 1100), "phone": ("light", 320)}


@pytest.fixture(scope="module")
def server(patterns: Path, mood: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Both models behind Gunicorn, keeping all traffic for review."""
    state = tmp_path_factory.mktemp("browser") / "state"
    People(state).add(NAME, PASSWORD)
    options = ("--workers", "1", "--keep-traffic", "1")
    with run_server(state, patterns, mood, options=options) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, without a window."""
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def cookies(browser: Any, server: Server) -> Any:
    """What the browser keeps of a login."""
    context = browser.new_context(base_url=server.url)
    page = context.new_page()
    page.goto("/login")
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_text("Log out").wait_for()
    kept = context.storage_state()
    context.close()
    return kept


Open = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any, server: Server, cookies: Any) -> Iterator[Open]:
    """A function that opens a page; whatever the console complains about fails the test."""
    contexts, complaints = [], []

    def opened(path: str, *, logged_in: bool = True, **options: Any) -> Any:
        context = browser.new_context(
            base_url=server.url, storage_state=cookies if logged_in else None, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda told: complaints.append(told.text) if told.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def striped_file(pattern_pictures: Path) -> str:
    """A picture of the class "along"."""
    return str(pattern_pictures / "along" / "01.jpg")


def violations(page: Any) -> list[str]:
    """Return what axe has against a page."""
    found = axe.Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html'][:150]}" for each in found for node in each["nodes"]]


def answered(page: Any) -> Any:
    """Wait for the answers, and return the first one's words."""
    page.locator("#answers[aria-busy=false] .said").first.wait_for()
    return page.locator(".said").first.inner_text()


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_accessible_and_fits(look: str, open_page: Open, striped_file: str) -> None:
    scheme, width = LOOKS[look]
    page = open_page("/", color_scheme=scheme, viewport={"width": width, "height": 700})
    page.set_input_files("#files", striped_file)
    answered(page)

    def fine() -> None:
        assert violations(page) == [], page.url
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{page.url} is {wide} pixels wide"

    fine()
    page.goto("/?model=mood")
    page.get_by_label("Text", exact=True).fill(TEXT)
    page.get_by_role("button", name="Ask").click()
    answered(page)
    fine()
    for path in (*OPEN[2:], *CLOSED):
        page.goto(path)
        fine()


def test_a_chosen_picture_is_answered_in_place_and_announced(open_page: Open, striped_file: str) -> None:
    page = open_page("/", logged_in=False)
    page.evaluate("window.same = true")
    page.set_input_files("#files", striped_file)
    assert answered(page) == "along"
    assert page.get_by_role("status").inner_text() == "Answer: along"
    assert page.evaluate("window.same") is True
    assert page.locator(".seen img").count() == 2
    sides = page.locator(".seen img").last.evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert sides == [320, 320]  # the picture itself, enlarged so that the marks can be seen


def test_a_dropped_picture_is_answered(open_page: Open, striped_file: str) -> None:
    page = open_page("/", logged_in=False)
    content = list(Path(striped_file).read_bytes())
    transfer = page.evaluate_handle(
        """content => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(content)], "dropped.jpg", {type: "image/jpeg"}));
            return transfer;
        }""",
        content,
    )
    page.dispatch_event("#drop", "dragenter", {"dataTransfer": transfer})
    assert "over" in page.locator("#drop").get_attribute("class")
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
    assert answered(page) == "along"
    assert "dropped.jpg" in page.locator("figcaption").inner_text()


def test_the_camera_takes_a_picture(open_page: Open) -> None:
    page = open_page("/", logged_in=False, permissions=["camera"])
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Take the picture").click()
    assert answered(page) in {"across", "along", "checks"}
    assert "camera.jpg" in page.locator("figcaption").inner_text()
    page.get_by_role("button", name="Stop the camera").click()
    assert page.locator("#camera").is_hidden()
    assert page.get_by_role("button", name="Use the camera").is_visible()


def test_without_scripts_the_form_answers_all_the_same(open_page: Open, striped_file: str) -> None:
    page = open_page("/", logged_in=False, java_script_enabled=False)
    assert page.get_by_role("button", name="Use the camera").count() == 0
    page.set_input_files("#files", striped_file)
    page.get_by_role("button", name="Ask").click()
    assert page.locator(".said").inner_text() == "along"
    page.get_by_label("Model", exact=True).select_option("mood")
    page.get_by_role("button", name="Show").click()
    page.get_by_label("Text", exact=True).fill(TEXT)
    page.get_by_role("button", name="Ask").click()
    assert page.locator(".said").inner_text() in {"good", "bad"}
    assert page.locator(".marked").first.locator("mark").count() == 3  # the sentences
    assert page.locator(".marked").last.locator("mark").count() == len(TEXT.split())


def test_keys_alone_are_enough_and_the_focus_shows(open_page: Open) -> None:
    page = open_page("/?model=mood", logged_in=False)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    for _ in range(8):
        page.keyboard.press("Tab")
        focus = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert focus != "none", page.evaluate("document.activeElement.outerHTML")
        if page.evaluate("document.activeElement.id") == "text":
            page.keyboard.type(TEXT)
        if page.evaluate("document.activeElement.textContent") == "Ask":
            page.keyboard.press("Enter")
            break
    assert answered(page) in {"good", "bad"}


def test_an_error_is_told_where_the_answers_come(open_page: Open, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"this is no picture")
    page = open_page("/", logged_in=False)
    page.set_input_files("#files", str(broken))
    page.locator("#answers h2").wait_for()
    assert page.locator("#answers h2").inner_text() == "broken.jpg cannot be read"


def test_one_key_reviews_and_keys_can_be_switched_off(
    open_page: Open, server: Server, pattern_pictures: Path
) -> None:
    store = FeedbackStore(server.state / FILE)
    for number in (2, 3, 4):
        server.predict("patterns", (pattern_pictures / "checks" / f"{number:02d}.jpg").read_bytes())
    server.wait(lambda: store.counts("patterns")["waiting"] >= 3)
    before = len(store.corrections("patterns"))
    page = open_page("/review?model=patterns")
    item = page.locator("#review input[name=item]")
    first = item.input_value()
    page.keyboard.press("3")
    page.get_by_text("Noted: checks.").wait_for()
    correction = store.corrections("patterns")[-1]
    assert (correction.answer, correction.reviewer) == ("checks", NAME)
    assert len(store.corrections("patterns")) == before + 1
    second = item.input_value()
    assert second != first
    page.get_by_label("Keys answer").uncheck()
    page.keyboard.press("1")
    page.wait_for_timeout(300)
    assert item.input_value() == second
    page.get_by_label("Keys answer").check()
    page.keyboard.press("s")
    page.wait_for_function(
        "number => { const it = document.querySelector('#review input[name=item]');"
        " return !it || it.value !== number; }",
        arg=second,
    )
    assert store.counts("patterns")["skipped"] == 1


def test_the_studio_from_form_to_result(open_page: Open, server: Server) -> None:
    page = open_page("/studio")
    page.get_by_role("link", name="Summarise").click()
    page.get_by_label("Or write one").fill(TEXT)
    page.get_by_label("Sentences to pick").fill("1")
    page.get_by_role("button", name="Summarise").click()
    page.get_by_text("It waits for its turn.").wait_for()
    code = "from headstart.cli import main; main()"
    line = [sys.executable, "-c", code, "worker", "--once", "--state", str(server.state)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    page.get_by_text("It is done.").wait_for()  # the page has noticed by itself
    frame = page.frame_locator("iframe.result")
    assert "1 of 3" in frame.locator(".lead").inner_text() or frame.locator("mark").count() >= 1
    assert violations(page) == []
    page.get_by_role("link", name="Studio", exact=True).first.click()
    assert re.search(r"\bdone\b", page.locator("#jobs").inner_text())
    page.locator("#jobs .gallery a").first.click()
    page.get_by_role("button", name="Remove from the gallery").click()
    page.get_by_text("The job and its files are gone.").wait_for()


def test_logging_in_wrong_then_right_then_out(browser: Any, server: Server) -> None:
    context = browser.new_context(base_url=server.url)
    page = context.new_page()
    page.goto("/login?next=/monitor")
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill("a wrong password")
    page.keyboard.press("Enter")
    assert "do not go together" in page.get_by_role("alert").inner_text()
    assert page.get_by_label("Name").input_value() == NAME
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Log out").click()
    page.goto("/monitor")
    assert "/login" in page.url
    context.close()

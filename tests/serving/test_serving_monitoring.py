"""Monitoring: real models, their traffic, the page, the gauge, the command."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

import headstart as hs
from headstart.artefact import Model
from headstart.cli import run
from headstart.errors import DataError
from headstart.evaluation.drift import MIX, reliability_of
from headstart.fitting import evaluate_model
from headstart.serving.app import create_app
from headstart.serving.feedback import FILE, FeedbackStore
from headstart.serving.monitoring import (
    Watch,
    activity,
    drift_of,
    drift_ratio,
    past_of,
    reference_from,
    see,
)
from headstart.serving.monitoring_page import DriftReport
from headstart.serving.records import Traffic
from headstart.serving.settings import Settings

WritePictures = Callable[..., Path]
COUNTS = {"across": 12, "along": 12, "checks": 12}


@pytest.fixture(scope="module")
def model(patterns: Path) -> Model:
    return hs.load(patterns)


@pytest.fixture(scope="module")
def clean(write_pictures: WritePictures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures like those that the model learned from, but others."""
    return write_pictures(tmp_path_factory.mktemp("clean"), 500, **COUNTS)


@pytest.fixture(scope="module")
def blurred(clean: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("blurred")
    for path in clean.rglob("*.jpg"):
        target = root / path.relative_to(clean)
        target.parent.mkdir(exist_ok=True)
        Image.open(path).filter(ImageFilter.GaussianBlur(8)).save(target)
    return root


@pytest.fixture(scope="module")
def served(patterns: Path, clean: Path, blurred: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of a server that was asked about clean pictures, then about blurred ones."""
    state = tmp_path_factory.mktemp("state")
    app = create_app(Settings((patterns,), state))
    for folder in (clean, blurred):
        for path in sorted(folder.rglob("*.jpg")):
            answer = app.test_client().post("/v1/models/patterns:predict", data=path.read_bytes())
            assert answer.status_code == 200
            app.extensions["headstart"].feedback.flush()  # of a second it would keep a sample
    return state


def test_a_fit_keeps_answers_that_are_as_good_as_on_new_items(model: Model, clean: Path) -> None:
    assert model.reference is not None
    assert len(model.reference) == 42
    sure = model.reference.answers.max(1).mean()
    new = evaluate_model(model, clean).evaluations["test"]
    assert sure == pytest.approx(np.max(new.probabilities, 1).mean(), abs=0.2)


def test_traffic_of_a_server_raises_the_alarm_when_it_changes(served: Path, model: Model) -> None:
    store = FeedbackStore(served / FILE)
    traffic = store.traffic("patterns")
    assert traffic.embeddings is not None
    assert len(traffic) == 72
    assert drift_of(model, traffic, window=36).alarm
    assert not drift_of(model, Traffic(*(part[:36] for part in vars(traffic).values()))).alarm


def test_the_gauge_is_above_one_when_there_is_drift(served: Path, model: Model) -> None:
    ratio = drift_ratio(model, "patterns", "1", FeedbackStore(served / FILE))
    assert ratio is not None
    assert ratio > 1
    assert drift_ratio(model, "patterns", "7", FeedbackStore(served / FILE)) is None


def test_watching_never_waits(served: Path, patterns: Path) -> None:
    app = create_app(Settings((patterns,), served))
    version = app.extensions["headstart"].registry["patterns"]
    watch = Watch(FeedbackStore(served / FILE))
    started = time.monotonic()
    assert watch.gauge(version) is None
    assert time.monotonic() - started < 0.5
    until = time.monotonic() + 30
    while watch.gauge(version) is None and time.monotonic() < until:
        time.sleep(0.05)
    value = watch.gauge(version)
    assert value is not None
    assert value > 1


def test_known_labels_show_whether_the_model_is_as_right_as_it_claims(model: Model, clean: Path) -> None:
    traffic, honest = see(model, hs.data.open(clean))
    assert len(traffic) == 36
    assert honest is not None
    assert honest.items == 36
    assert honest.accuracy == pytest.approx(evaluate_model(model, clean).evaluations["test"].accuracy)


def test_corrections_show_it_too(tmp_path: Path, model: Model, clean: Path) -> None:
    store = FeedbackStore(tmp_path / FILE)
    for path in sorted(clean.rglob("*.jpg")):
        content = path.read_bytes()
        (prediction,) = model.predict([content])
        store.record("patterns", "1", content, prediction, model.embed([content])[0])
        wrong = "across" if prediction.label != "across" else "along"
        store.correct("patterns", content, wrong, "ada")
    found = drift_of(model, store.traffic("patterns"), corrections=store.corrections("patterns"))
    assert found.reasons == ("calibration",)
    assert found.reliability is not None
    assert found.reliability.accuracy == 0


def test_past_windows_end_with_the_newest_traffic(model: Model, clean: Path) -> None:
    traffic, _ = see(model, hs.data.open(clean))
    (only,) = past_of(model, traffic)
    assert only.items == 36
    assert 0 < only.p_value <= 1


def test_texts_that_were_counted_are_compared_by_their_answers(mood: Path, folder_of_texts: Path) -> None:
    model = hs.load(mood)
    assert model.reference is not None
    assert model.reference.embeddings.shape[1] == 0
    traffic, _ = see(model, hs.data.open(folder_of_texts))
    found = drift_of(model, traffic)
    assert {check.name for check in found.checks} == {MIX, "confidence"}


def test_a_model_without_a_reference_says_what_helps(model: Model, patterns: Path, clean: Path) -> None:
    bare = hs.load(patterns)
    bare.reference = None
    traffic, _ = see(model, hs.data.open(clean))
    with pytest.raises(DataError, match="--reference DATA"):
        drift_of(bare, traffic)
    made = reference_from(bare, hs.data.open(clean))
    assert not drift_of(bare, traffic, reference=made).alarm


def test_activity_counts_what_was_answered_when(served: Path) -> None:
    traffic = FeedbackStore(served / FILE).traffic("patterns")
    (day,) = activity(traffic, step=10 * 86400.0)[-1:]
    assert day["items"] == sum(day["labels"].values())
    assert 0 < day["confidence"] <= 1


def test_the_page_escapes_labels_and_says_what_differs(model: Model, blurred: Path) -> None:
    traffic, _ = see(model, hs.data.open(blurred))
    drift = drift_of(model, traffic)
    page = DriftReport(
        "<b>cats", "1", "pictures", drift, past_of(model, traffic) * 2, {"corrections": 1, "waiting": 2}
    )
    html = page.html()
    assert "<b>cats" not in html
    assert "&lt;b&gt;cats" in html
    assert "differs" in html
    assert "across" in html
    assert json.loads(json.dumps(page.to_json()))["alarm"] is True


def last_line(capfd: pytest.CaptureFixture[str]) -> dict[str, object]:
    found: dict[str, object] = json.loads(capfd.readouterr().out.splitlines()[-1])
    return found


def test_the_command_tells_clean_items_from_others_by_its_exit_code(
    patterns: Path, clean: Path, blurred: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "drift.html"
    assert run(["monitor", str(patterns), str(blurred), "--json", "-o", str(page)]) == 1
    assert last_line(capfd)["alarm"] is True
    assert "<html" in page.read_text()
    assert run(["monitor", str(patterns), str(clean), "--reference", str(clean), "--json"]) == 0
    assert last_line(capfd)["alarm"] is False


def test_the_command_reads_the_servers_traffic(
    patterns: Path, served: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["monitor", str(patterns), "--state", str(served), "--window", "30", "--json"]) == 1
    found = last_line(capfd)
    assert found["items"] == 30
    assert found["counts"]
    assert run(["monitor", str(patterns), "--state", str(tmp_path), "--json"]) == 2
    assert "--state DIR" in str(last_line(capfd)["error"])


def test_metrics_have_the_gauge(served: Path, patterns: Path) -> None:
    client = create_app(Settings((patterns,), served)).test_client()
    until = time.monotonic() + 30
    while b'headstart_drift{model="patterns"}' not in (page := client.get("/metrics").data):
        assert time.monotonic() < until, page
        time.sleep(0.1)
    line = next(line for line in page.splitlines() if line.startswith(b'headstart_drift{model="patterns"}'))
    assert float(line.split()[-1]) > 1


def test_the_page_says_in_which_direction_the_calibration_is_off(model: Model, clean: Path) -> None:
    drift = drift_of(model, see(model, hs.data.open(clean))[0])
    sure = np.full(200, 0.8)
    for right, said in ((100, "less often right"), (160, "as right as"), (199, "more often right")):
        known = reliability_of(sure, np.arange(200) < right)
        html = DriftReport("m", "1", "pictures", replace(drift, reliability=known)).html()
        assert f"{said}" in html
        assert html.count(" often right than it claims") == (said != "as right as")


def test_monitoring_needs_nothing_of_training(patterns: Path, clean: Path) -> None:
    code = (
        "import sys\nfor name in ('torch', 'sklearn', 'scipy', 'matplotlib', 'pyarrow'):\n"
        "    sys.modules[name] = None\nfrom headstart.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "monitor", str(patterns), str(clean), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 1), done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["items"] == 36

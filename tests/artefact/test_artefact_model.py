from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_model import LABELS, Tiny

from headstart.artefact import streaming
from headstart.artefact.model import Model, Prediction
from headstart.errors import ArtefactError, DecodeError, OptionError
from headstart.images.preprocess import prepare
from headstart.transfer.calibration import Abstention, Calibration, Conformal


def test_answers_are_those_of_the_steps_done_by_hand(model: Model, tiny: Tiny) -> None:
    inputs = [prepare(picture, model.front_end.preprocess) for picture in tiny.pictures]
    rows = np.stack([model.engine.one(value, ("features",))["features"] for value in inputs])
    np.testing.assert_array_equal(model.embed(tiny.pictures), rows)
    expected = model.calibration.probabilities(model.head.logits(rows))
    np.testing.assert_allclose(model.predict_proba(tiny.pictures), expected, rtol=1e-5)
    answers = model.predict(tiny.pictures)
    assert [answer.label for answer in answers] == [label for label in LABELS for _ in range(3)]
    for answer, row in zip(answers, expected, strict=True):
        assert list(answer.probabilities) == list(LABELS)
        assert answer.confidence == max(answer.probabilities.values())
        np.testing.assert_allclose(list(answer.probabilities.values()), row, rtol=1e-5)
        assert answer.labels_set == tuple(name for name, p in answer.probabilities.items() if p >= 0.2)
        assert answer.error is None


def test_every_kind_of_source_gives_the_same_answer(
    model: Model, tiny: Tiny, png: bytes, tmp_path: Path
) -> None:
    (tmp_path / "a picture").write_bytes(png)
    sources = [tmp_path / "a picture", str(tmp_path / "a picture"), png, tiny.pictures[0]]
    answers = model.predict(sources)
    assert len({answer.confidence for answer in answers}) == 1
    named = [str(tmp_path / "a picture")] * 2 + ["input 3", "input 4"]
    assert [answer.input for answer in answers] == named
    np.testing.assert_array_equal(
        model.predict_proba(np.stack([tiny.pictures[0]] * 2))[0], model.predict_proba([png])[0]
    )


def test_with_tta_a_picture_and_its_mirror_image_get_one_answer(model: Model, tiny: Tiny) -> None:
    mirrored = [np.ascontiguousarray(picture[:, ::-1]) for picture in tiny.pictures]
    rows = model.embed([*tiny.pictures, *mirrored])
    mean = model.head.logits(rows).reshape(2, len(mirrored), -1).mean(0)
    expected = model.calibration.probabilities(mean)
    np.testing.assert_allclose(model.predict_proba(tiny.pictures, tta=True), expected, rtol=1e-4)
    np.testing.assert_allclose(model.predict_proba(mirrored, tta=True), expected, rtol=1e-4)
    answers = model.predict(tiny.pictures, tta=True)
    assert [answer.confidence for answer in answers] == pytest.approx(expected.max(1), rel=1e-4)


@settings(deadline=None, max_examples=30)
@given(
    kinds=st.lists(st.sampled_from(["array", "png", "text", "empty", "missing", "folder", "number", "float"]))
)
def test_bad_inputs_never_stop_the_rest_and_order_is_kept(
    model: Model, tiny: Tiny, png: bytes, tmp_path_factory: pytest.TempPathFactory, kinds: list[str]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    make: dict[str, Any] = {
        "array": tiny.pictures[4],
        "png": png,
        "text": b"Dear Sir",
        "empty": b"",
        "missing": folder / "missing.png",
        "folder": folder,
        "number": 3,
        "float": np.zeros((4, 4, 3)),
    }
    answers = model.predict([make[kind] for kind in kinds])
    assert len(answers) == len(kinds)
    for kind, answer in zip(kinds, answers, strict=True):
        if kind in ("array", "png"):
            assert answer.label == (LABELS[1] if kind == "array" else LABELS[0])
        else:
            assert (answer.label, answer.confidence, answer.probabilities, answer.labels_set) == (
                None,
                0.0,
                {},
                (),
            )
            assert answer.error is not None
            assert "to fix:" in answer.error
            assert answer.to_json() == {"input": answer.input, "error": answer.error}


def test_json_of_an_answer(model: Model, tiny: Tiny) -> None:
    value = model.predict(tiny.pictures[:1])[0].to_json()
    assert set(value) == {"input", "label", "confidence", "probabilities", "labels_set"}
    assert isinstance(value["confidence"], float)
    assert all(type(part) is float for part in value["probabilities"].values())


@pytest.mark.parametrize("method", ["predict_proba", "embed"])
def test_matrices_raise_for_a_bad_input_and_name_it(model: Model, tiny: Tiny, method: str) -> None:
    with pytest.raises(DecodeError, match=r"nowhere\.jpg: No such file"):
        getattr(model, method)([tiny.pictures[0], "nowhere.jpg", b""])


def test_nothing_asked_nothing_answered(model: Model) -> None:
    assert model.predict([]) == []
    assert model.predict_proba([]).shape == (0, 3)
    assert model.embed(iter(())).shape == (0, 6)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "embed"])
@pytest.mark.parametrize("single", ["a.jpg", Path("a.jpg"), b"\xff\xd8", np.zeros((20, 20, 3), np.uint8)])
def test_a_single_item_is_refused_with_advice(model: Model, method: str, single: Any) -> None:
    with pytest.raises(OptionError, match=r"predict\(\[item\]\)"):
        getattr(model, method)(single)


def test_stream_reads_only_a_few_items_ahead(model: Model, tiny: Tiny) -> None:
    drawn = 0

    def endless() -> Iterator[Any]:
        nonlocal drawn
        for number in itertools.count():
            drawn += 1
            yield tiny.pictures[number % 9] if number % 4 else b"broken"

    before = threading.active_count()
    stream = model.stream(endless())
    for position, answer in enumerate(itertools.islice(stream, 200)):
        assert (answer.error is None) == (position % 4 != 0)
        assert drawn - position < 100
    stream.close()  # type: ignore[attr-defined]
    assert threading.active_count() <= before


def test_an_error_in_the_callers_generator_comes_through(model: Model, tiny: Tiny) -> None:
    def failing() -> Iterator[Any]:
        yield tiny.pictures[0]
        raise KeyError("the caller's own")

    with pytest.raises(KeyError, match="the caller's own"):
        model.predict(failing())


def test_abstaining_withholds_exactly_the_unsure_answers(tiny: Tiny) -> None:
    plain = tiny.model(golden=False)
    confidences = sorted(answer.confidence for answer in plain.predict(tiny.pictures))
    threshold = confidences[4]
    model = tiny.model(
        golden=False, calibration=Calibration(0.7, Conformal(0.9, 0.0), Abstention(0.99, threshold, 0.5))
    )
    for answer, full in zip(
        model.predict(tiny.pictures, abstain=True), model.predict(tiny.pictures), strict=True
    ):
        assert full.label is not None
        assert answer.label == (full.label if full.confidence >= threshold else None)
        assert answer.probabilities == full.probabilities
        assert answer.error is None
        assert answer.labels_set == LABELS  # with a threshold of 0 nothing is ruled out


def test_rows_of_an_item_are_pooled_by_their_mean_logits(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording or a long text has many rows; this modality makes one of each corner of a picture."""

    class Corners:
        noun = "corners"

        def inputs(self, source: Any, spec: Any, kernel: str) -> Any:
            assert kernel == "pillow"
            return np.stack(
                [source[:16, :16], source[-16:, :16], source[:16, -16:]][: 1 + source[0, 0, 0] % 3]
            )

    monkeypatch.setattr(streaming, "modality", lambda _: Corners())
    model = tiny.model(golden=False)
    rows = [
        np.stack(
            [model.engine.one(v, ("features",))["features"] for v in Corners().inputs(p, None, "pillow")]
        )
        for p in tiny.pictures
    ]
    assert len({len(part) for part in rows}) > 1
    logits = np.stack([model.head.logits(part).mean(0) for part in rows])
    np.testing.assert_allclose(
        model.predict_proba(tiny.pictures), model.calibration.probabilities(logits), rtol=1e-5
    )
    np.testing.assert_allclose(model.embed(tiny.pictures), [part.mean(0) for part in rows], rtol=1e-5)


def test_network_starts_at_the_first_question(tiny: Tiny, tmp_path: Path) -> None:
    model = tiny.model(golden=False, network=tmp_path / "gone.xml")
    assert "3 classes" in repr(model)
    with pytest.raises(ArtefactError, match="no such file"):
        model.predict(tiny.pictures)


def test_golden_vectors_are_prepared_inputs_with_answers(model: Model, tiny: Tiny) -> None:
    golden = model.golden
    assert golden is not None
    assert (golden.inputs.shape, golden.inputs.dtype) == ((3, 16, 16, 3), np.uint8)
    np.testing.assert_array_equal(golden.inputs[1], prepare(tiny.pictures[3], model.front_end.preprocess))
    np.testing.assert_allclose(golden.probabilities, model.predict_proba(tiny.pictures[::3]), rtol=1e-5)
    with pytest.raises(DecodeError):
        tiny.model(golden=False).record_golden([b"broken"])


def test_notebook_card_shows_figures_and_escapes_labels(model: Model) -> None:
    html = model._repr_html_()
    assert "test, accuracy" in html
    assert "0.5" in html
    assert "b/ä &lt;&amp;&gt; 🌸" in html
    assert "<&>" not in html


def test_model_card_has_what_a_reader_needs(model: Model) -> None:
    text = model.card
    for title in (
        "Intended use",
        "Use it",
        "Labels",
        "How good it is",
        "Data it was fitted on",
        "Backbone",
        "Limits",
    ):
        assert f"\n## {title}\n" in text
    assert "CC0-1.0" in text
    assert "1. class 2\n2. class 10\n3. b/ä \\<&\\> 🌸\n" in text
    assert "| test, accuracy\\_interval | 0.4, 0.6 |" in text
    assert "| counts, train, class\\_2 | 3 |" in text
    assert "hold the true label for 90% of items" in text
    assert "(20% of them)" in text


@settings(deadline=None, max_examples=30)
@given(labels=st.lists(st.text(), min_size=2, max_size=4, unique=True))
def test_no_label_breaks_out_of_its_line(tiny: Tiny, labels: list[str]) -> None:
    model = tiny.model(golden=False, labels=labels)
    lines = model.card.split("\n")
    start = lines.index("## Labels") + 2
    assert [line.split(".")[0] for line in lines[start : start + len(labels)]] == [
        str(number) for number in range(1, len(labels) + 1)
    ]
    assert sum(line.startswith("## ") for line in lines) == 9


def test_prediction_is_a_plain_value() -> None:
    first = Prediction("a", "x", 0.9, {"x": 0.9, "y": 0.1}, ("x",))
    assert first == Prediction("a", "x", 0.9, {"x": 0.9, "y": 0.1}, ("x",))


def test_many_classes_are_listed_in_part(tiny: Tiny) -> None:
    model = tiny.model(golden=False, labels=[f"c{number}" for number in range(150)])
    assert "100. c99\n" in model.card
    assert "c100" not in model.card
    assert "and 50 more in `artefact.json`" in model.card
    assert "# headstart model: 150 classes\n" in model.card


def test_real_photographs(photos: dict[str, Any], tmp_path: Path) -> None:
    """The offline default: a nearest-centroid head on EfficientNet-Lite0 tells a cat from a cup of coffee."""
    from headstart import backbones
    from headstart.artefact import load
    from headstart.artefact.schema import FrontEnd
    from headstart.engines.conversion import backbone_ir
    from headstart.transfer.heads import Head, fit_head

    card = backbones.card("efficientnet_lite0")
    parts: dict[str, Any] = {
        "labels": ("cat", "coffee"),
        "modality": "image",
        "front_end": FrontEnd(card.preprocess),
        "backbone": card,
        "network": backbone_ir(card, lambda: backbones.load(card.name)),
        "calibration": Calibration(1.0, Conformal(0.9, 0.1), Abstention(0.99, 0.5, 1.0)),
    }
    blank = Head("linear", ((np.zeros((1280, 2), np.float32), np.zeros(2, np.float32)),))
    cat, coffee = photos["chelsea"], photos["coffee"]
    rows = Model(**parts, head=blank).embed([cat[:, :300], cat[:, :340], coffee[:, :400], coffee[:, :500]])
    model = Model(**parts, head=fit_head("linear", rows, np.array([0, 0, 1, 1]), 2))
    model.record_golden([cat, coffee])
    for number, picture in enumerate((cat[:, 100:], coffee[:, 100:])):
        Image.fromarray(picture).save(tmp_path / f"{number}.jpg", quality=92)
    kept = load(model.save(tmp_path / "model"))
    assert [answer.label for answer in kept.predict([tmp_path / "0.jpg", tmp_path / "1.jpg"])] == [
        "cat",
        "coffee",
    ]

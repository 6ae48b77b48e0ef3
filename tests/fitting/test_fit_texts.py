"""Texts the whole way: fit, save, load, predict, evaluate, report; every view of them; bad input."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import headstart as hs
from headstart.artefact.golden import stacked
from headstart.backbones.card import Tokens, Verbatim
from headstart.backbones.catalogue import CARDS, is_cached
from headstart.errors import ArtefactError, DecodeError, HeadstartError, OptionError
from headstart.fitting import answers, compare_models, evaluate_model, fit
from headstart.fitting.reporting import Report
from headstart.pages import Markup
from test_imports import TRAINING, loaded
from toy_texts import NAME, OWN, ToyText, write_texts, written

ASKED = [written("good", 900), written("bad", 901), written("good", 903), written("bad", 902)]
ANSWERS = ["good", "bad", "good", "bad"]


@pytest.fixture(scope="module")
def model(toy_text: ToyText, folder_of_texts: Path) -> hs.Model:
    return fit(folder_of_texts, precision="fp32")


@pytest.fixture(scope="module")
def saved(model: hs.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model.save(tmp_path_factory.mktemp("model") / "m.headstart")


def answered(model: hs.Model) -> list[str | None]:
    return [found.label for found in model.predict(ASKED)]


def test_the_worst_errors_have_marked_words_and_neighbours(model: hs.Model) -> None:
    assert isinstance(model.report, Report)
    why = model.report.content.why
    assert all(reason.near for reason in why)
    assert any(isinstance(reason.shown, Markup) for reason in why)
    page = model.report.html()
    assert '<p class="marked"' in page
    assert why[0].near[0].name in page


def round_trip(model: hs.Model, folder: Path) -> hs.Model:
    """Save and load: the copy answers exactly as the original."""
    again = hs.load(model.save(folder / "copy.headstart"))
    np.testing.assert_allclose(again.predict_proba(ASKED), model.predict_proba(ASKED), atol=1e-6)
    return again


def test_by_default_meaning_and_words_answer_together(model: hs.Model) -> None:
    assert [member.backbone.name for member in model.members] == [NAME, "terms"]
    assert model.combine == "sum"
    assert "terms" in model.plan["views"]
    assert all(weight > 0 for weight in model.plan["views"].values())
    assert model.metrics["validation"]["accuracy"] >= 0.9
    assert isinstance(model.front_ends[0].preprocess, Tokens)
    assert isinstance(model.front_ends[1].preprocess, Verbatim)


def test_the_report_says_what_was_stacked_and_how_much_each_part_counts(model: hs.Model) -> None:
    assert isinstance(model.report, Report)
    content, views = model.report.content, model.plan["views"]
    depth = model.members[0].backbone.blocks[-1]
    assert model.plan["cut"] == depth
    facts = dict(content.facts)
    assert f"from block {depth};" in facts["Features"]
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in views.items())
    assert f"weights: {weights};" in facts["Head"]
    assert f"Only linear heads on features of {depth} and terms are fitted, on" in content.plan


def test_saved_and_loaded(model: hs.Model, saved: Path, folder_of_texts: Path, tmp_path: Path) -> None:
    again = round_trip(model, tmp_path)
    assert answered(again) == ANSWERS
    assert again.golden is not None
    assert [inputs.dtype for inputs in (again.golden.inputs, *again.golden.others)] == [np.int32, np.uint8]
    # Moved, and saved once more: the tokenizer goes along.
    moved = hs.load(shutil.move(tmp_path / "copy.headstart", tmp_path / "moved.headstart"))
    third = hs.load(moved.save(tmp_path / "third.headstart"))
    shutil.rmtree(tmp_path / "moved.headstart")
    assert answered(third) == ANSWERS
    paths = sorted((folder_of_texts / "good").iterdir())[:2]
    by_path, by_text, by_bytes = (
        again.predict_proba(sources)
        for sources in (paths, [p.read_text() for p in paths], [p.read_bytes() for p in paths])
    )
    np.testing.assert_array_equal(by_path, by_text)
    np.testing.assert_array_equal(by_path, by_bytes)


def test_a_loaded_model_needs_nothing_of_training(saved: Path) -> None:
    code = (
        "import headstart as hs\n"
        f"model = hs.load({str(saved)!r})\n"
        f"assert [found.label for found in model.predict({ASKED!r})] == {ANSWERS!r}"
    )
    assert loaded(code, {*TRAINING, "gensim"}) == set()


def test_evaluated_and_reported(model: hs.Model, saved: Path, folder_of_texts: Path, tmp_path: Path) -> None:
    fresh = write_texts(tmp_path / "fresh", start=500, good=10, bad=10)
    report = evaluate_model(hs.load(saved), fresh)
    assert report.evaluations["test"].accuracy >= 0.9
    assert "optimistic" in evaluate_model(hs.load(saved), folder_of_texts).html()
    assert isinstance(model.report, Report)
    for whole in (model.report.html(), report.html()):
        page = re.sub("<script.*?</script>", "", whole, flags=re.DOTALL)  # where a map lies is in pixels
        assert "pixel" not in page
        assert "picture" not in page
    assert "passages of at most 32 tokens" in model.report.html()
    card = (saved / "README.md").read_text(encoding="utf-8")
    assert "pixels" not in card
    assert '"tokens" is int32 [n, t]' in card
    assert "the sum of their logits" in card


def test_evaluating_answers_as_predict_does(model: hs.Model, folder_of_texts: Path) -> None:
    found = answers(model, folder_of_texts)
    asked = model.predict_proba([item.source for item in found.dataset])
    np.testing.assert_allclose(found.probabilities, asked, atol=1e-3)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("backbone", [NAME, "terms", "document_cnn"])
def test_a_named_backbone_answers_alone(
    backbone: str, toy_text: ToyText, folder_of_texts: Path, tmp_path: Path
) -> None:
    model = fit(folder_of_texts, backbone=backbone, precision="fp32")
    assert [member.backbone.name for member in model.members] == [backbone]
    again = round_trip(model, tmp_path)
    assert evaluate_model(again, folder_of_texts).evaluations["train"].accuracy >= 0.85
    again.embed(ASKED)
    assert (again.plan["strategy"], again.plan["backbone"]) == ("freeze-all", backbone)


def test_folds(toy_text: ToyText, folder_of_texts: Path) -> None:
    model = fit(folder_of_texts, folds=3)
    assert list(model.metrics) == ["cross-validation"]
    assert model.metrics["cross-validation"]["accuracy"] >= 0.9
    assert answered(model) == ANSWERS


def mail(label: str, number: int) -> str:
    """A message whose header gives the class away to whoever reads it: answers must not depend on it."""
    return f"From: {label}@example.org\nSubject: {label}\n\n{written(label, number)}\n"


def test_email_is_recorded_and_used(toy_text: ToyText, tmp_path: Path) -> None:
    for label in ("good", "bad"):
        (tmp_path / "mail" / label).mkdir(parents=True)
        for number in range(20):
            (tmp_path / "mail" / label / f"{number}.txt").write_text(mail(label, number))
    model = round_trip(fit(tmp_path / "mail", email=True, precision="fp32"), tmp_path)
    assert all(front.preprocess.email for front in model.front_ends)  # type: ignore[union-attr]
    plain = model.predict_proba(ASKED)
    for header in ("From: good@example.org\nSubject: good\n\n", "From: bad@example.org\nSubject: bad\n\n"):
        np.testing.assert_allclose(model.predict_proba([header + text for text in ASKED]), plain, atol=1e-6)
    assert evaluate_model(model, tmp_path / "mail").evaluations["train"].accuracy >= 0.9
    with pytest.raises(OptionError, match="texts"):
        fit(tmp_path / "mail", email=True, backbone="efficientnet_lite0")


def manifest(path: Path, key: str) -> Path:
    """Texts with several labels, or a number: how many good words are in them."""
    chance = np.random.default_rng(0)
    with path.open("w", encoding="utf-8") as file:
        for number in range(60):
            there = [label for label in ("good", "bad") if chance.random() < 0.6]
            text = " ".join(written(label, 4 * number + 1) for label in there) or "The man went home."
            answer: object = there if key == "labels" else 1.0 * len(there)
            file.write(json.dumps({"text": text, key: answer}) + "\n")
    return path


@pytest.mark.parametrize("target", ["labels", "number"])
def test_several_labels_and_numbers(target: str, toy_text: ToyText, tmp_path: Path) -> None:
    key = "labels" if target == "labels" else "label"
    data = hs.data.open(manifest(tmp_path / "data.jsonl", key), target=target, modality="text")  # type: ignore[arg-type]
    model = fit(data, precision="fp32")
    assert model.target == target
    again = hs.load(model.save(tmp_path / "m.headstart"))
    found = again.predict(ASKED[:2])
    assert all((answer.labels is not None) == (target == "labels") for answer in found)
    assert all((answer.value is not None) == (target == "number") for answer in found)
    evaluate_model(again, data)
    for backbone in ("terms", "document_cnn"):
        with pytest.raises(OptionError, match="one label"):
            fit(data, backbone=backbone)


@pytest.mark.parametrize("head", ["mlp", "centroid"])
def test_other_heads_read_the_encoder(head: str, toy_text: ToyText, folder_of_texts: Path) -> None:
    model = fit(folder_of_texts, head=head, precision="fp32")  # type: ignore[arg-type]
    assert [(member.backbone.name, member.head.kind) for member in model.members] == [(NAME, head)]
    with pytest.raises(OptionError, match="linear"):
        fit(folder_of_texts, head=head, backbone="terms")  # type: ignore[arg-type]


def test_bad_input_is_named_and_the_rest_is_learned(toy_text: ToyText, tmp_path: Path) -> None:
    root = tmp_path / "numbers"
    for label, name in (("good", "007"), ("bad", "1")):
        (root / name).mkdir(parents=True)
        for number in range(16):
            (root / name / f"{number:02d}.txt").write_text(written(label, number), encoding="utf-8")
    (root / "1" / "empty.txt").write_bytes(b"")
    (root / "1" / "blank.txt").write_bytes(b" \n\t ")
    (root / "1" / "binary.txt").write_bytes(bytes(range(256)) * 40)
    (root / "1" / "zip.txt").write_bytes(b"PK\x03\x04" + bytes(500))
    (root / "1" / "latin.txt").write_bytes(("déjà vu, " * 10 + written("bad", 70)).encode("latin-1"))
    (root / "007" / "utf16.txt").write_bytes(written("good", 71).encode("utf-16"))
    (root / "007" / "stop.txt").write_text("the a of it and in")
    (root / "007" / "unknown.txt").write_text("zxqwv jklmp " * 9)
    (root / "007" / "sentence.txt").write_text("superb film " * 10_000)
    said: list[str] = []
    model = fit(root, say=said.append, precision="fp32")
    assert model.labels == ("1", "007")  # natural order, and still words
    assert isinstance(model.report, Report)
    left = {Path(problem.name).name for problem in model.report.content.left_out}
    assert left == {"empty.txt", "blank.txt", "binary.txt", "zip.txt"}
    assert model.data["items"] == 32 + 5
    again = hs.load(model.save(tmp_path / "m.headstart"))
    found = again.predict(
        ["", "the a of", "zxqwv", bytes(range(256)) * 40, "superb film " * 10_000, tmp_path / "none.txt"]
    )
    assert [answer.error is None for answer in found] == [False, True, True, False, True, False]
    assert found[4].label == "007"
    with pytest.raises(DecodeError):
        again.predict_proba([""])


def test_a_text_of_ten_megabytes(model: hs.Model) -> None:
    text = " ".join(written("good", number) for number in range(1000)) * 150
    assert len(text) > 10_000_000
    (found,) = model.predict([text])
    assert found.label == "good"


@pytest.mark.parametrize("file", ["terms-2.json", "terms-2.safetensors", "tokenizer.json", "network.bin"])
def test_damage_is_noticed(file: str, saved: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(saved, tmp_path / "copy"))
    content = bytearray((copy / file).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / file).write_bytes(content)
    with pytest.raises(ArtefactError, match=file):
        hs.load(copy)
    (copy / file).unlink()
    with pytest.raises(ArtefactError, match=file):
        hs.load(copy)


def test_another_tokenizer_is_refused(saved: Path, tmp_path: Path) -> None:
    """Also when the digests of the files were put right."""
    from headstart.artefact import schema
    from headstart.files import digest_file

    copy = Path(shutil.copytree(saved, tmp_path / "copy"))
    value = json.loads((copy / "tokenizer.json").read_text(encoding="utf-8"))
    (copy / "tokenizer.json").write_text(json.dumps(value), encoding="utf-8")
    artefact = schema.read(copy)
    artefact.files["tokenizer.json"] = digest_file(copy / "tokenizer.json")
    schema.write(artefact, copy)
    with pytest.raises(ArtefactError, match="the tokenizer"):
        hs.load(copy)


def test_golden_vectors_are_checked(saved: Path, tmp_path: Path) -> None:
    from headstart.artefact.loading import check_model

    model = hs.load(saved)
    assert model.golden is not None
    check_model(model)
    model.golden.others[0][:] = ord("x")
    with pytest.raises(ArtefactError, match="golden"):
        check_model(model)


def test_stacked_fills_up_with_padding() -> None:
    rows = [np.frombuffer(text, np.uint8) for text in (b"film", b"a")]
    found = stacked(rows)
    assert found.tobytes() == b"filma\0\0\0"
    lines = np.ones((2, 3), np.int32)
    assert stacked([lines, lines]).shape == (2, 2, 3)


def test_two_models_answer_together_and_are_compared(
    toy_text: ToyText, folder_of_texts: Path, tmp_path: Path
) -> None:
    both = hs.fit_ensemble(folder_of_texts, backbones=[NAME, "terms"], precision="fp32")
    assert (both.combine, len(both.members)) == ("mean", 2)
    assert both.members[0].tokenizer is not None
    again = round_trip(both, tmp_path)
    one = fit(folder_of_texts, backbone="terms", precision="fp32")
    found = compare_models(again, one, write_texts(tmp_path / "fresh", start=300, good=9, bad=9))
    assert found.to_json()


@pytest.mark.parametrize("to", ["openvino", "onnx"])
def test_exported_or_refused(
    to: str, model: hs.Model, toy_text: ToyText, folder_of_texts: Path, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="networks alone"):
        hs.export(model, tmp_path / "both", to=to)
    with pytest.raises(OptionError, match="networks alone"):
        hs.export(fit(folder_of_texts, backbone="terms"), tmp_path / "terms", to=to)
    one = fit(folder_of_texts, backbone=NAME, precision="fp32")
    if to == "openvino":
        assert hs.export(one, tmp_path / "one", to=to).is_file()  # checked by its golden vectors
    else:
        with pytest.raises(OptionError, match="openvino"):
            hs.export(one, tmp_path / "one", to=to)


@pytest.mark.slow
def test_int8(toy_text: ToyText, folder_of_texts: Path, tmp_path: Path) -> None:
    model = fit(folder_of_texts, backbone=NAME, precision="int8")
    again = hs.load(model.save(tmp_path / "m.headstart"))
    assert again.precision == "int8"
    assert evaluate_model(again, folder_of_texts).evaluations["train"].accuracy >= 0.7


def test_torch_computes_the_same_features(model: hs.Model, toy_text: ToyText, folder_of_texts: Path) -> None:
    other = fit(folder_of_texts, engine="torch", precision="fp32")
    np.testing.assert_allclose(other.predict_proba(ASKED), model.predict_proba(ASKED), atol=1e-2)


def test_minilm_and_terms_on_real_weights(
    session_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADSTART_CACHE", str(session_cache))
    if not is_cached(CARDS["minilm-l6"]):
        pytest.skip("the weights of minilm-l6 are not here")
    root = write_texts(tmp_path / "reviews", good=15, bad=15)
    model = fit(root, backbone="minilm-l6", offline=True)
    assert model.metrics["validation"]["accuracy"] >= 0.5
    again = hs.load(model.save(tmp_path / "m.headstart"))
    assert again.embed(["A lovely film."]).shape == (1, 384)
    assert set(OWN) > set(again.labels)


def test_texts_are_no_pictures(toy_text: ToyText, folder_of_texts: Path, model: hs.Model) -> None:
    with pytest.raises(OptionError, match="texts"):
        fit(folder_of_texts, backbone="efficientnet_lite0")
    with pytest.raises(OptionError, match="pictures"):
        model.predict(ASKED, tta=True)
    with pytest.raises(HeadstartError):
        model.predict_proba([np.zeros((4, 4, 3), np.uint8)])

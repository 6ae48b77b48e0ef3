"""The studio's explanations: a page, pictures and JSON of many files, and what cannot be explained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from headstart.errors import DecodeError, MissingExtraError, OptionError
from headstart.studio.explanations import explain_files
from headstart.studio.making import EXPLAIN
from toy_sounds import encoded, toy_scene
from toy_texts import ToyText
from written_models import model_of, terms_member, transformer_member

GOOD = "The man went home with a scene. Then it was superb. The plot again."


def quiet(_share: float, _step: str) -> None:
    pass


@pytest.fixture(scope="module")
def terms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = model_of([terms_member(tmp_path_factory.mktemp("terms"))])
    model.record_golden(["The man went home."])
    return model.save(tmp_path_factory.mktemp("saved") / "mood.headstart")


def texts(folder: Path, *contents: str) -> list[Path]:
    files = [folder / f"{number}.txt" for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_text(content)
    return files


def test_texts_are_marked_by_words_and_sentences(terms: Path, tmp_path: Path) -> None:
    files = texts(tmp_path, GOOD, GOOD.replace("superb", "dull"), "", "word")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    told: list[tuple[float, str]] = []
    out = tmp_path / "out"
    out.mkdir()
    explain_files(terms, [*files, tmp_path / "a.png"], out, lambda *each: told.append(each))
    assert [share for share, _ in told] == [0.0, 0.0, 0.2, 0.4, 0.6, 0.8]
    good, bad, word, *unread = json.loads((out / "explain.json").read_text())
    assert (good["label"], bad["label"]) == ("good", "bad")
    assert (good["top"]["text"], good["top_sentence"]["text"]) == ("superb.", "Then it was superb.")
    assert good["check"]["left_out"] == "Then it was superb."
    assert word["check"] is None
    assert [each["input"] for each in unread] == ["2.txt", "a.png"]
    page = (out / "explain.html").read_text()
    assert page.count("Word by word") == 2
    assert "Cannot be read" in page
    assert sorted(file.name for file in out.iterdir()) == ["explain.html", "explain.json"]


def test_a_sound_brings_its_pictures_and_what_is_heard(noises: Path, tmp_path: Path) -> None:
    (tmp_path / "scene.flac").write_bytes(encoded(toy_scene(), "FLAC"))
    out = tmp_path / "out"
    out.mkdir()
    explain_files(noises, [tmp_path / "scene.flac"], out, quiet, method="occlusion")
    assert {file.name for file in out.iterdir()} == {
        "01.png", "01-heard.png", "explain.html", "explain.json"
    }  # fmt: skip
    (told,) = json.loads((out / "explain.json").read_text())
    assert [each["label"] for each in told["segments"]] == ["hiss", "tone"]
    heard = [each for each in told["segments"] if each["label"] == told["label"]]
    assert any(each["start"] - 1 < told["moment"][0] < each["end"] + 1 for each in heard)
    assert "What is heard when" in (out / "explain.html").read_text()


def test_nothing_that_can_be_read_and_methods_that_do_not_fit_are_errors(terms: Path, tmp_path: Path) -> None:
    with pytest.raises(DecodeError):
        explain_files(terms, texts(tmp_path, "", " "), tmp_path, quiet)
    with pytest.raises(OptionError, match="occlusion"):
        explain_files(terms, texts(tmp_path, GOOD), tmp_path, quiet, method="gradcam")
    with pytest.raises(OptionError, match="How"):
        EXPLAIN.read({"method": "magic"})
    assert EXPLAIN.read({}) == {"method": "auto"}


def test_without_torch_gradients_name_what_is_missing(
    toy_text: ToyText, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of([transformer_member()])
    model.record_golden(["The man went home."])
    saved = model.save(tmp_path / "toy.headstart")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match=r"headstart\[train\]"):
        explain_files(saved, texts(tmp_path, GOOD), tmp_path, quiet, method="gradients")
    explain_files(saved, texts(tmp_path, GOOD), tmp_path, quiet)
    assert "occlusion" in (tmp_path / "explain.json").read_text()

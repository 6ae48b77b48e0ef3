"""Learning from corrections: better versions are promoted, others not, none is lost, and one can go back."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import headstart as hs
from headstart.artefact import Model
from headstart.artefact.versions import find
from headstart.cli import run
from headstart.data.items import Item
from headstart.errors import ArtefactError, DataError, OptionError, StorageError
from headstart.fitting.refitting import refit
from headstart.fitting.whereabouts import remember, whereabouts
from headstart.serving import updating
from headstart.serving.feedback import FILE, FeedbackStore
from headstart.serving.models import Registry
from headstart.serving.settings import Settings
from headstart.transfer.calibration import Interval

WritePictures = Callable[..., Path]
CLASSES = ("across", "along", "checks")


COLOURS = {"across": (200, 40, 40), "along": (40, 180, 60), "checks": (50, 70, 220)}


def strange(label: str, number: int) -> bytes:
    """A picture of a new appearance: no stripes at all, but a disc whose colour tells the class."""
    generator = np.random.default_rng([number, *label.encode()])
    canvas = generator.integers(90, 160, (64, 64, 3))
    x, y = np.meshgrid(np.arange(64), np.arange(64))
    inside = np.hypot(*(axis - generator.integers(24, 40) for axis in (x, y))) < generator.integers(14, 22)
    canvas[inside] = np.array(COLOURS[label]) + generator.integers(-30, 30, 3)
    buffer = io.BytesIO()
    Image.fromarray(canvas.clip(0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def corrections() -> tuple[Item, ...]:
    pairs = [(label, number) for number in range(24) for label in CLASSES]
    return tuple(Item(f"{label} {n}", strange(label, n), label) for label, n in pairs)


@pytest.fixture(scope="module")
def data(write_pictures: WritePictures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with a test part."""
    root = tmp_path_factory.mktemp("old") / "patterns"
    write_pictures(root / "train", 0, across=14, along=14, checks=14)
    write_pictures(root / "test", 200, across=8, along=8, checks=8)
    return root


@pytest.fixture(scope="module")
def champion(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hs.fit(data).save(tmp_path_factory.mktemp("champion") / "patterns.headstart")


@pytest.fixture
def installed(champion: Path, tmp_path: Path) -> Path:
    """A copy of the champion that a test may change."""
    return Path(shutil.copytree(champion, tmp_path / "patterns.headstart"))


def store_of(folder: Path, items: Sequence[Item]) -> FeedbackStore:
    store = FeedbackStore(folder / FILE)
    for item in items:
        assert isinstance(item.source, bytes)
        assert item.label is not None
        store.correct("patterns", item.source, item.label, "ada")
    return store


def accuracy(model: Model, items: Sequence[Item]) -> float:
    said = model.predict([item.source for item in items])
    return float(np.mean([answer.label == item.label for answer, item in zip(said, items, strict=True)]))


def test_a_new_appearance_is_learned_and_the_old_one_is_not_forgotten(
    champion: Path, data: Path, corrections: tuple[Item, ...]
) -> None:
    model = hs.load(champion)
    unseen = tuple(Item(f"{x} {n}", strange(x, n), x) for n in range(50, 60) for x in CLASSES)
    found = refit(model, data, corrections)
    assert found.better, found.verdict
    assert found.judged_on == "test"
    assert found.learned == len(corrections)
    assert found.fresh.items == len(corrections)
    assert accuracy(found.model, unseen) >= accuracy(model, unseen) + 0.1
    assert found.fresh.accuracy[0] == pytest.approx(accuracy(model, corrections))
    assert found.old.accuracy[1] >= found.old.accuracy[0] - 0.05
    # Of the challenger these are answers of heads that had not seen the items: no better than on new ones.
    assert found.fresh.accuracy[1] == pytest.approx(accuracy(found.model, unseen), abs=0.25)
    assert found.model.reference is not None
    again = refit(model, data, corrections)
    assert again.to_json() | {"seconds": 0} == found.to_json() | {"seconds": 0}


def test_without_a_test_part_old_items_are_judged_out_of_fold(
    champion: Path, data: Path, corrections: tuple[Item, ...]
) -> None:
    found = refit(hs.load(champion), data / "train", corrections)
    assert found.judged_on == "out-of-fold"
    assert found.old.items == 42
    assert found.better, found.verdict


def test_what_teaches_nothing_is_not_promoted(
    champion: Path, data: Path, corrections: tuple[Item, ...]
) -> None:
    order = np.random.default_rng(1).permutation(len(corrections))
    nonsense = [
        replace(item, label=corrections[place].label) for item, place in zip(corrections, order, strict=True)
    ]
    found = refit(hs.load(champion), data, nonsense)
    assert not found.better
    assert "stays" in found.verdict


def test_what_the_champion_has_learned_is_not_what_it_is_judged_on(
    champion: Path, data: Path, corrections: tuple[Item, ...]
) -> None:
    second = refit(hs.load(champion), data, corrections[:36]).model
    with pytest.raises(DataError, match="has not learned from"):
        refit(second, data, corrections[:36])
    assert refit(second, data, corrections).fresh.items == 36


def test_a_correction_of_an_old_item_replaces_its_label(champion: Path, data: Path) -> None:
    old = sorted((data / "train" / "across").iterdir())[0]
    wrong = Item("old", old.read_bytes(), "along")
    more = [Item(f"{x} {n}", strange(x, n), x) for n in range(3) for x in CLASSES]
    model = hs.load(champion)
    model.data["seen"] = []
    found = refit(model, data, [wrong, *more])
    assert found.learned == 10
    assert found.model.data["counts"]["train"] == {"across": 16, "along": 18, "checks": 17}


def test_a_version_is_kept_beside_the_old_one_and_there_is_a_way_back(
    installed: Path, data: Path, corrections: tuple[Item, ...], tmp_path: Path
) -> None:
    before = sorted((file.name, file.read_bytes()) for file in installed.iterdir())
    registry = Registry(Settings((installed,), tmp_path / "state"))
    assert registry["patterns"].version == "1"
    done = updating.update(installed, store_of(tmp_path, corrections), data)
    assert (done.champion, done.promoted) == ("1", "2")
    assert done.folder == installed / "2.headstart"
    # Whoever loads it by its old name gets what answers now.
    assert hs.load(installed).created == hs.load(done.folder).created
    first = sorted((file.name, file.read_bytes()) for file in (installed / "1.headstart").iterdir())
    assert first == before
    registry.reload()
    assert registry["patterns"].version == "2"
    assert accuracy(registry["patterns"].model, corrections) > 0.6
    assert updating.rollback(installed) == "1"
    registry.reload()
    assert registry["patterns"].version == "1"
    assert set(find(installed).folders) == {"1", "2"}
    with pytest.raises(ArtefactError, match="before 1"):
        updating.rollback(installed)
    assert updating.update(installed, store_of(tmp_path, ()), data).promoted == "3"


def test_the_data_are_found_where_the_model_was_fitted_on_them(
    installed: Path, corrections: tuple[Item, ...], tmp_path: Path
) -> None:
    store = store_of(tmp_path, corrections)
    assert updating.update(installed, store).promoted == "2"
    # The new version knows where its data are, too; but there is nothing new to learn.
    with pytest.raises(DataError, match="has not learned from"):
        updating.update(installed, store)


def test_lost_data_are_asked_for(
    installed: Path, corrections: tuple[Item, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import headstart.fitting.whereabouts as room

    monkeypatch.setattr(room, "cache_dir", lambda: tmp_path / "empty")
    with pytest.raises(DataError, match="--data DIR"):
        updating.update(installed, store_of(tmp_path, corrections))
    remember("abc", tmp_path / "gone")
    assert whereabouts("abc") is None
    (tmp_path / "gone").mkdir()
    assert whereabouts("abc") == tmp_path / "gone"


def test_a_version_that_cannot_be_written_changes_nothing(
    installed: Path, champion: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = hs.load(champion)

    def full(_path: object) -> Path:
        raise StorageError("room", "a full disk", "free some")

    monkeypatch.setattr(model, "save", full)
    with pytest.raises(StorageError):
        updating.keep(installed, find(installed), model)
    assert find(installed).default == "1"
    assert [entry.name for entry in installed.parent.iterdir() if "versions" in entry.name] == []
    hs.load(installed)


def test_what_cannot_be_updated_says_so(
    installed: Path, champion: Path, data: Path, tmp_path: Path, folder_of_texts: Path
) -> None:
    with pytest.raises(DataError, match="corrections of 'patterns'"):
        updating.update(installed, FeedbackStore(tmp_path / FILE), data)
    model = hs.load(champion)
    one = [Item("a", strange("along", 1), "along")]
    with pytest.raises(DataError, match="data of pictures"):
        refit(model, folder_of_texts, one)
    model.calibration = Interval(0.9, 1.0)
    with pytest.raises(OptionError, match="one label"):
        refit(model, data, one)


def test_models_of_terms_learn_from_texts(mood: Path, folder_of_texts: Path) -> None:
    model = hs.load(mood)
    pairs = [(label, n) for n in range(20) for label in ("good", "bad")]
    words = {"good": "blorp", "bad": "fnord"}
    fresh = [Item(f"{x} {n}", f"{words[x]} number {n} {words[x]}", x) for x, n in pairs]
    found = refit(model, folder_of_texts, fresh)
    assert found.fresh.accuracy[1] > found.fresh.accuracy[0] + 0.3, found.verdict
    answers = found.model.predict(["such a blorp", "quite the fnord"])
    assert [answer.label for answer in answers] == ["good", "bad"]


def test_the_command_updates_and_goes_back(
    installed: Path,
    data: Path,
    corrections: tuple[Item, ...],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:

    store_of(tmp_path, corrections)
    command = ["update", str(installed), "--state", str(tmp_path), "--json"]
    assert run([*command, "--data", str(data)]) == 0
    found = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert found["promoted"] == "2"
    assert found["server_told"] is False
    assert found["corrections"]["p_value"] < 0.05
    assert run([*command, "--rollback"]) == 0
    assert json.loads(capfd.readouterr().out.splitlines()[-1])["version"] == "1"
    assert run([*command, "--rollback"]) == 2

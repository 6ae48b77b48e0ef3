"""Which models are found, which version answers, and what a reload changes."""

from __future__ import annotations

import gc
import shutil
import threading
import time
import weakref
from pathlib import Path

import pytest
from werkzeug.exceptions import NotFound

from headstart.errors import ArtefactError, OptionError
from headstart.serving.models import Registry, find
from headstart.serving.settings import Settings


def versions(folder: Path, model: Path, *names: str) -> Path:
    for name in names:
        shutil.copytree(model, folder / f"{name}.headstart")
    return folder


def spoil(model: Path) -> None:
    head = model / "head.safetensors"
    head.write_bytes(head.read_bytes()[:-1] + b"\0\0")


def test_an_artefact_is_its_only_version(mood: Path) -> None:
    found = find(mood)
    assert (found.name, list(found.folders), found.default) == ("mood", ["1"], "1")


def test_the_newest_version_answers_unless_a_file_names_another(mood: Path, tmp_path: Path) -> None:
    folder = versions(tmp_path / "cats", mood, "1", "2", "10")
    found = find(folder)
    assert (found.name, list(found.folders), found.default) == ("cats", ["1", "2", "10"], "10")
    (folder / "default").write_text("2\n")
    assert find(folder).default == "2"
    (folder / "default").write_text("3")
    with pytest.raises(ArtefactError, match="write one of 1, 2, 10"):
        find(folder)


@pytest.mark.parametrize("what", ["missing", "empty", "file"])
def test_what_is_no_model_is_refused(what: str, tmp_path: Path) -> None:
    path = tmp_path / what
    if what == "empty":
        path.mkdir()
    elif what == "file":
        path.write_text("no model")
    with pytest.raises(ArtefactError, match="which holds none"):
        find(path)


def test_two_models_of_one_name_and_no_model_are_refused(mood: Path, tmp_path: Path) -> None:
    other = shutil.copytree(mood, tmp_path / "mood")
    with pytest.raises(OptionError, match="different names"):
        Registry(Settings((mood, other), tmp_path))
    with pytest.raises(OptionError, match="at least one"):
        Registry(Settings((), tmp_path))


def test_versions_are_asked_for_by_name(mood: Path, tmp_path: Path) -> None:
    registry = Registry(Settings((versions(tmp_path / "m", mood, "1", "2", "3", "4"),), tmp_path))
    assert registry["m"].version == "4"
    assert registry.get("m", "1").answer(["a good day"])[0].label in {"good", "bad"}
    with pytest.raises(NotFound, match="no version '9'; it has: 1, 2, 3, 4"):
        registry.get("m", "9")
    with pytest.raises(NotFound, match="no model 'x'; there are: m"):
        registry.get("x")
    first = weakref.ref(registry.get("m", "1"))
    for version in ("2", "3"):
        registry.get("m", version)
    gc.collect()
    assert first() is None  # a few stay loaded, not all
    assert registry["m"].version == "4"


def test_a_reload_takes_up_what_is_new_and_lets_go_of_the_old(mood: Path, tmp_path: Path) -> None:
    folder = versions(tmp_path / "m", mood, "1")
    registry = Registry(Settings((folder,), tmp_path))
    old = registry["m"]
    assert registry.reload() == []
    assert registry["m"] is old
    versions(folder, mood, "2")
    assert registry.reload() == ["m: version 2"]
    assert registry["m"].version == "2"
    (folder / "default").write_text("1")  # rolled back
    assert registry.reload() in ([], ["m: version 1"])
    assert registry["m"].version == "1"
    assert old.answer(["a good day"])[0].error is None  # whoever still holds it is answered


def test_a_version_that_is_saved_again_is_taken_up(mood: Path, tmp_path: Path) -> None:
    path = shutil.copytree(mood, tmp_path / "again.headstart")
    registry = Registry(Settings((path,), tmp_path))
    old = registry["again"]
    shutil.rmtree(path)
    shutil.copytree(mood, path, copy_function=shutil.copyfile)
    assert registry.reload() == ["again: version 1"]
    assert registry["again"] is not old


def test_a_damaged_version_does_not_answer_and_does_not_stop_the_others(mood: Path, tmp_path: Path) -> None:
    folder = versions(tmp_path / "m", mood, "1")
    registry = Registry(Settings((folder,), tmp_path))
    spoil(versions(folder, mood, "2") / "2.headstart")
    assert registry.reload() == []
    assert registry["m"].version == "1"
    assert registry.versions("m").default == "1"
    assert Registry(Settings((folder,), tmp_path))["m"].version == "1"  # nor at the start
    spoil(folder / "1.headstart")
    with pytest.raises(ArtefactError, match="as it was saved"):
        Registry(Settings((folder,), tmp_path))


def test_requests_go_on_during_reloads(mood: Path, tmp_path: Path) -> None:
    folder = versions(tmp_path / "m", mood, "1", "2")
    registry = Registry(Settings((folder,), tmp_path))
    expected = set(registry["m"].model.labels)
    ended = threading.Event()
    wrong: list[object] = []

    def ask() -> None:
        while not ended.is_set():
            answer = registry["m"].answer(["a good day"])[0]
            if answer.label not in expected:
                wrong.append(answer)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 2
    while time.monotonic() < until:
        for version in ("1", "2"):
            (folder / "default").write_text(version)
            registry.reload()
            assert registry["m"].version == version
    ended.set()
    for thread in threads:
        thread.join(10)
    assert wrong == []


def test_a_str_is_no_path_on_the_server(patterns: Path, tmp_path: Path) -> None:
    registry = Registry(Settings((patterns,), tmp_path))
    with pytest.raises(OptionError, match="would be a path on the server"):
        registry["patterns"].answer([str(patterns / "artefact.json")])


def test_answers_are_those_of_the_model_itself(
    patterns: Path, pattern_pictures: Path, tmp_path: Path
) -> None:
    served = Registry(Settings((patterns,), tmp_path))["patterns"]
    files = sorted(pattern_pictures.rglob("*.jpg"))[::5]
    contents = [path.read_bytes() for path in files]
    until = time.monotonic() + 30
    predictions, features = served.predict([*contents, b"no picture"], until)
    expected = served.model.predict(contents)
    assert [each.to_json() for each in predictions[:-1]] == [each.to_json() for each in expected]
    assert predictions[-1].error is not None
    assert features[-1] is None
    for feature, wanted in zip(features, served.model.embed(contents), strict=False):
        assert feature is not None
        assert (feature == wanted).all()

"""Passes over a data set: each content goes through the network once, ever."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar, NoReturn

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headstart import backbones, data
from headstart.backbones.backbone import Depths
from headstart.engines.choosing import Choice, Engine, choose
from headstart.images import modality as image_modality
from headstart.images import preprocess
from headstart.images.augmentation import LIGHT, STANDARD
from headstart.images.decode import decode
from headstart.images.preprocess import prepare
from headstart.transfer.passes import Output, Pass, View, examine, extract
from headstart.transfer.shards import Kind
from headstart.transfer.store import FeatureStore

Start = Callable[[], Engine]


@pytest.fixture(scope="module")
def choice() -> Choice:
    card = backbones.card("efficientnet_lite0")
    chosen = choose(card, lambda: backbones.load(card.name), engine="openvino")
    engine = chosen.start()
    return Choice(chosen.key, lambda: engine)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FeatureStore]:
    with FeatureStore(tmp_path / "store") as opened:
        yield opened


def never() -> NoReturn:
    pytest.fail("the engine was started although nothing had to be computed")


def age(root: Path) -> None:
    """Make the files look old: the store rightly distrusts what changed in the last two seconds."""
    past = time.time_ns() - 60_000_000_000
    for file in root.rglob("*.jpg"):
        os.utime(file, ns=(past, past))


def run(source: object, store: FeatureStore, choice: Choice, start: Start | None = None) -> Pass:
    card = backbones.card("efficientnet_lite0")
    dataset = data.open(source)  # type: ignore[arg-type]
    return extract(dataset, store, card, choice.key, start or choice.start, progress=False)


def rows(found: Pass, store: FeatureStore) -> dict[str, np.ndarray]:
    digests = [facts.digest for facts in found.facts]
    X, item, missing = store.read(found.space, digests)
    assert missing == []
    return {digests[position]: X[n] for n, position in enumerate(item)}


def test_a_second_pass_starts_no_engine(
    tmp_path: Path, write_pictures: Callable[..., Path], store: FeatureStore, choice: Choice
) -> None:
    root = write_pictures(tmp_path / "p", across=6, along=6)
    first = run(root, store, choice)
    assert first.computed == 12
    again = run(root, store, choice, never)
    assert again.computed == 0
    assert again.facts == first.facts
    age(root)
    run(root, store, choice, never)  # remembers the files now that they are old enough to be trusted
    for file in root.rglob("*.jpg"):
        state = file.stat()
        file.write_bytes(b"x" * state.st_size)
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert run(root, store, choice, never).facts == first.facts, (
        "files of the same size and time are not read"
    )


def test_ten_more_pictures_compute_ten(
    tmp_path: Path, write_pictures: Callable[..., Path], store: FeatureStore, choice: Choice
) -> None:
    root = write_pictures(tmp_path / "p", across=50, along=50)
    assert run(root, store, choice).computed == 100
    before = rows(run(root, store, choice, never), store)
    write_pictures(root, start=50, across=5, along=5)
    found = run(root, store, choice)
    assert found.computed == 10
    after = rows(found, store)
    assert len(after) == 110
    assert all(np.array_equal(after[digest], row) for digest, row in before.items())


def test_other_names_compute_nothing(
    tmp_path: Path, write_pictures: Callable[..., Path], store: FeatureStore, choice: Choice
) -> None:
    root = write_pictures(tmp_path / "p", across=4, along=4)
    first = run(root, store, choice)
    root.rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "along").rename(tmp_path / "elsewhere" / "renamed")
    moved = run(tmp_path / "elsewhere", store, choice, never)
    assert moved.computed == 0
    assert {f.digest for f in moved.facts} == {f.digest for f in first.facts}


def test_changed_content_is_computed_again(
    tmp_path: Path, write_pictures: Callable[..., Path], store: FeatureStore, choice: Choice
) -> None:
    root = write_pictures(tmp_path / "p", across=3, along=3)
    age(root)
    first = run(root, store, choice)
    changed = root / "across" / "001.jpg"
    changed.write_bytes((root / "along" / "002.jpg").read_bytes() + b"\0")
    second = run(root, store, choice)
    assert second.computed == 1
    assert [a == b for a, b in zip(first.facts, second.facts, strict=True)].count(False) == 1


def test_copies_are_computed_once(
    tmp_path: Path, write_pictures: Callable[..., Path], store: FeatureStore, choice: Choice
) -> None:
    root = write_pictures(tmp_path / "p", across=2, along=2)
    for number in range(30):
        (root / "along" / f"copy{number}.jpg").write_bytes((root / "across" / "000.jpg").read_bytes())
    found = run(root, store, choice)
    assert found.computed == 4
    assert len(found.facts) == 34
    assert store.read(found.space, [facts.digest for facts in found.facts])[2] == []


def test_errors_are_remembered(
    tmp_path: Path, write_pictures: Callable[..., Path], store: FeatureStore, choice: Choice
) -> None:
    root = write_pictures(tmp_path / "p", across=2, along=2)
    bad = root / "along" / "bad.jpg"
    bad.write_bytes(b"this is no picture")
    age(root)
    first = run(root, store, choice)
    wrong = [facts for facts in first.facts if facts.error]
    assert len(wrong) == 1
    assert wrong[0].fingerprint is None
    bad.chmod(0o644)
    state = bad.stat()
    bad.write_bytes(b"0" * state.st_size)
    os.utime(bad, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert run(root, store, choice, never).facts == first.facts
    (root / "along" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert run(root, store, choice, never).computed == 0


def test_a_missing_file_is_a_fact_and_found_once_it_is_there(
    tmp_path: Path, write_pictures: Callable[..., Path], store: FeatureStore, choice: Choice
) -> None:
    root = write_pictures(tmp_path / "p", across=1, along=1)
    files = [root / "across" / "000.jpg", root / "along" / "000.jpg", root / "along" / "late.jpg"]
    first = run(files, store, choice)
    assert first.computed == 2
    assert first.facts[2].digest == ""
    assert first.facts[2].error
    files[2].write_bytes(files[0].read_bytes() + b"\0")
    second = run(files, store, choice)
    assert second.computed == 1
    assert second.facts[2].error is None


def test_examining_first_leaves_only_the_network_to_do(
    tmp_path: Path, write_pictures: Callable[..., Path], store: FeatureStore, choice: Choice
) -> None:
    root = write_pictures(tmp_path / "p", across=3, along=3)
    age(root)
    facts = examine(data.open(root), store, progress=False)
    found = run(root, store, choice)
    assert found.computed == 6
    assert found.facts == facts
    assert {(f.shape, f.error) for f in facts} == {((64, 64), None)}
    assert len({f.fingerprint for f in facts}) > 1


def test_paths_bytes_and_arrays_have_the_same_place(
    tmp_path: Path, write_pictures: Callable[..., Path], store: FeatureStore, choice: Choice
) -> None:
    file = write_pictures(tmp_path / "p", across=1) / "across" / "000.jpg"
    assert run([file], store, choice).computed == 1
    assert run([file.read_bytes()], store, choice, never).computed == 0
    array = np.zeros((40, 50, 3), np.uint8)
    assert run([array, array.copy()], store, choice).computed == 1
    assert run([array.reshape(50, 40, 3)], store, choice).computed == 1, "the shape belongs to the content"


def test_another_precision_is_another_space(
    tmp_path: Path, write_pictures: Callable[..., Path], store: FeatureStore, choice: Choice
) -> None:
    root = write_pictures(tmp_path / "p", across=2, along=1)
    first = run(root, store, choice)
    other = Choice({**choice.key, "precision": "another"}, choice.start)
    second = run(root, store, other)
    assert second.space != first.space
    assert second.computed == 3


def test_a_failing_engine_keeps_what_it_finished(
    tmp_path: Path, write_pictures: Callable[..., Path], store: FeatureStore, choice: Choice
) -> None:
    root = write_pictures(tmp_path / "p", across=10, along=10)

    class Stops:
        key = choice.key

        def run(self, inputs, wanted):  # type: ignore[no-untyped-def]
            for number, pair in enumerate(choice.start().run(inputs, wanted)):
                if number == 7:
                    raise KeyboardInterrupt
                yield pair

    with pytest.raises(KeyboardInterrupt):
        run(root, store, choice, Stops)  # type: ignore[arg-type]
    assert run(root, store, choice).computed == 13


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(9)))
def test_rows_do_not_depend_on_the_order(
    order: list[int],
    pattern_pictures: Path,
    tmp_path_factory: pytest.TempPathFactory,
    choice: Choice,
    known_rows: dict[str, np.ndarray],
) -> None:
    files = sorted(pattern_pictures.rglob("0[0-2].jpg"))
    with FeatureStore(tmp_path_factory.mktemp("store")) as store:
        found = rows(run([files[n] for n in order], store, choice), store)
    assert found.keys() == known_rows.keys()
    assert all(np.array_equal(row, known_rows[digest]) for digest, row in found.items())


@pytest.fixture(scope="module")
def known_rows(
    pattern_pictures: Path, tmp_path_factory: pytest.TempPathFactory, choice: Choice
) -> dict[str, np.ndarray]:
    with FeatureStore(tmp_path_factory.mktemp("store")) as store:
        found = rows(run(sorted(pattern_pictures.rglob("0[0-2].jpg")), store, choice), store)
        return {digest: row.copy() for digest, row in found.items()}


# -- other outputs and other views ---------------------------------------------------------------------------


class Means:
    """An engine whose "means" are the input's mean colours, and that counts what it is asked."""

    key: ClassVar = {"engine": "means"}

    def __init__(self) -> None:
        self.inputs: list[np.ndarray] = []

    def run(self, inputs, wanted):  # type: ignore[no-untyped-def]
        for key, pixels in inputs:
            self.inputs.append(pixels)
            yield key, {name: pixels.mean((0, 1), dtype=np.float32) for name in wanted}


def means(
    source: object, store: FeatureStore, engine: Means, *views: View | None, dtype: Kind = "float16"
) -> Pass:
    dataset = data.open(source)  # type: ignore[arg-type]
    card = backbones.card("efficientnet_lite0")
    output = Output("means", 3, dtype)
    return extract(
        dataset, store, card, engine.key, lambda: engine, output=output, views=views, progress=False
    )


def test_any_output_of_any_view_is_kept_in_a_space_of_its_own(
    tmp_path: Path, write_pictures: Callable[..., Path], store: FeatureStore
) -> None:
    root, engine = write_pictures(tmp_path / "p", across=3, along=2), Means()
    views = [None, View(STANDARD, 0, 0), View(STANDARD, 0, 1), View(STANDARD, 1, 0), View(LIGHT, 0, 0)]
    found = means(root, store, engine, *views)
    assert (found.computed, len(engine.inputs), len(set(found.spaces))) == (25, 25, 5)
    digests = [facts.digest for facts in found.facts]
    rows = [store.rows(space, digests)[np.arange(5)] for space in found.spaces]
    assert all(each.dtype == np.float16 and each.shape == (5, 3) for each in rows)
    assert not any(np.array_equal(rows[n], rows[m]) for n in range(5) for m in range(n))
    again = means(root, store, engine, *views)
    assert (again.computed, again.spaces, again.facts) == (0, found.spaces, found.facts)
    assert means(root, store, engine, None, dtype="float32").space not in found.spaces


def test_views_can_be_added_and_depend_on_the_content_alone(
    tmp_path: Path, write_pictures: Callable[..., Path], store: FeatureStore
) -> None:
    files = sorted(write_pictures(tmp_path / "p", across=4).rglob("*.jpg"))
    first = means(files[2:], store, Means(), View(STANDARD, 7, 0))
    before = rows(first, store)
    engine = Means()
    second = means(files, store, engine, View(STANDARD, 7, 0), View(STANDARD, 7, 1))
    assert second.computed == len(engine.inputs) == 2 + 4
    after = rows(second, store)
    assert all(np.array_equal(after[digest], row) for digest, row in before.items())


def test_a_known_item_is_decoded_once_for_all_its_views(
    tmp_path: Path, write_pictures: Callable[..., Path], store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_pictures(tmp_path / "p", across=3)
    age(root)
    examine(data.open(root), store, progress=False)
    decoded = []
    for module in (preprocess, image_modality):
        monkeypatch.setattr(module, "decode", lambda *a, **k: decoded.append(1) or decode(*a, **k))
    found = means(root, store, Means(), *(View(STANDARD, 0, number) for number in range(5)))
    assert found.computed == 15
    assert len(decoded) == 3


def test_unreadable_items_have_no_views(
    tmp_path: Path, write_pictures: Callable[..., Path], store: FeatureStore
) -> None:
    root = write_pictures(tmp_path / "p", across=2)
    (root / "across" / "bad.jpg").write_bytes(b"\xff\xd8\xff no picture")
    found = means(root, store, Means(), None, View(STANDARD, 0, 0))
    assert found.computed == 4
    assert [facts.error is None for facts in found.facts] == [True, True, False]
    assert store.rows(found.spaces[1], [facts.digest for facts in found.facts]).missing == [2]


def test_every_depth_in_one_pass(pattern_pictures: Path, store: FeatureStore) -> None:
    backbone = backbones.load("efficientnet_lite0").at(64)
    depths = Depths(backbone)
    chosen = choose(backbone.card, lambda: depths, engine="torch", precision="fp32", outputs=("depths",))
    dataset = data.open(sorted(pattern_pictures.rglob("0[0-2].jpg")))
    found = extract(
        dataset, store, backbone.card, chosen.key, chosen.start,
        output=Output("depths", depths.width), progress=False,
    )  # fmt: skip
    X, _, missing = store.read(found.space, [facts.digest for facts in found.facts])
    assert missing == []
    assert X.shape == (9, depths.width)
    pixels = prepare(dataset.items[4].source, backbone.card.preprocess, "torch")
    with torch.inference_mode():
        expected = depths(torch.from_numpy(pixels[None]))[0].numpy()
    assert np.allclose(X[4], expected, rtol=1e-3, atol=1e-3)

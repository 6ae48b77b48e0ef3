"""Passes over a data set: each content goes through the network once, ever."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headstart import backbones, data
from headstart.engines.choosing import Choice, Engine, choose
from headstart.transfer.passes import Pass, examine, extract
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

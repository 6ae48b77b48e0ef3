"""The feedback store: what is kept of traffic, the queue, corrections, retention."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.artefact.prediction import Prediction
from headstart.data.items import Answer
from headstart.errors import DataError, OptionError, StorageError
from headstart.files import digest_bytes
from headstart.serving import feedback
from headstart.serving.feedback import FeedbackStore, open_store
from headstart.serving.sampling import A_SECOND

DAY = 86_400.0


def said(first: float, *, rivals: int = 1) -> Prediction:
    """An answer: how probable "cat" is, beside "dog"."""
    both = {"cat": first, "dog": 1 - first}
    label = max(both, key=both.__getitem__)
    return Prediction("x", label, both[label], both, ("cat", "dog")[:rivals])


@pytest.fixture
def store(tmp_path: Path) -> FeedbackStore:
    return FeedbackStore(tmp_path / "feedback.sqlite", keep_share=1.0)


def test_without_consent_answers_are_kept_but_no_content(tmp_path: Path) -> None:
    store = FeedbackStore(tmp_path / "feedback.sqlite")
    secret = b"what nobody but the client should have"
    store.observe("pets", "1", [secret], [said(0.9)], [np.arange(3.0)])
    store.flush()
    traffic = store.traffic("pets")
    assert traffic.labels == ("cat",)
    assert traffic.answers.tolist() == [pytest.approx([0.9, 0.1])]
    assert traffic.embeddings is not None
    assert traffic.embeddings.tolist() == [[0, 1, 2]]
    assert store.queue("pets") == []
    on_disk = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert secret not in on_disk
    assert digest_bytes(secret).encode() not in on_disk


def test_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    FeedbackStore(tmp_path / "state" / "feedback.sqlite")
    assert (tmp_path / "state" / "feedback.sqlite").stat().st_mode & 0o077 == 0
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0


def test_of_every_second_a_fair_sample_is_kept(store: FeedbackStore) -> None:
    for number in range(500):
        store.observe("pets", "1", [b"%d" % number], [said(number / 500)])
    store.flush()
    kept = store.traffic("pets")
    # The thread may have written once or twice in between.
    assert A_SECOND <= len(kept) <= 4 * A_SECOND
    assert kept.answers[:, 0].min() < 0.4
    assert kept.answers[:, 0].max() > 0.6


def test_what_is_observed_is_written_without_being_asked_to(store: FeedbackStore) -> None:
    store.observe("pets", "1", [b"a"], [said(0.8)])
    until = time.monotonic() + 10
    while not len(store.traffic("pets")) and time.monotonic() < until:
        time.sleep(0.05)
    assert store.counts("pets") == {"traffic": 1, "waiting": 1, "corrections": 0, "skipped": 0}


def test_what_could_not_be_read_is_not_traffic(store: FeedbackStore) -> None:
    store.observe("pets", "1", [b"a", b"b"], [Prediction("x", error="no picture"), said(0.7)], [None, None])
    store.flush()
    assert len(store.traffic("pets")) == 1


@settings(deadline=None, max_examples=15)
@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=12, unique=True))
def test_the_least_certain_items_come_first(chances: list[float]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = FeedbackStore(Path(folder) / "f.sqlite")
        for chance in chances:
            store.record("pets", "1", repr(chance), said(chance))
        margins = [waiting.margin for waiting in store.queue("pets")]
        assert margins == sorted(margins)
        assert margins == pytest.approx(sorted(abs(2 * chance - 1) for chance in chances), abs=1e-5)
        assert len(store.queue("pets", limit=3)) == min(3, len(chances))
        ids = {waiting.id for waiting in store.queue("pets")}
        assert {waiting.id for waiting in store.queue("pets", "random", seed=4)} == ids


def test_disputed_items_come_first_where_that_is_wanted(store: FeedbackStore) -> None:
    store.record("pets", "1", b"sure", said(0.99))
    store.record("pets", "1", b"unsure", said(0.55))
    store.record("pets", "1", b"rivals", said(0.7, rivals=2))
    store.record("pets", "1", b"versions", said(0.9))
    store.record("pets", "2", b"versions", said(0.1))
    order = [store.content("pets", waiting.id) for waiting in store.queue("pets", "disputed")]
    assert set(order[:2]) == {b"rivals", b"versions"}
    assert order[2:] == [b"unsure", b"sure"]


def test_of_copies_the_newest_answer_waits_once(store: FeedbackStore) -> None:
    store.record("pets", "1", b"same", said(0.6))
    store.record("pets", "2", b"same", said(0.8))
    (waiting,) = store.queue("pets")
    assert (waiting.version, waiting.label) == ("2", "cat")
    assert waiting.probabilities == pytest.approx((0.8, 0.2))


def test_the_random_order_is_that_of_its_seed(store: FeedbackStore) -> None:
    for number in range(30):
        store.record("pets", "1", b"%d" % number, said(0.6))

    def order(seed: int) -> list[int]:
        return [waiting.id for waiting in store.queue("pets", "random", seed=seed)]

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert order(1) != sorted(order(1))


def test_a_correction_takes_an_item_out_of_the_queue(store: FeedbackStore) -> None:
    store.record("pets", "3", b"a", said(0.6))
    store.record("pets", "3", b"b", said(0.7))
    first, second = store.queue("pets")
    digest = store.correct("pets", first.id, "dog", "ada")
    store.skip("pets", second.id, "ada")
    assert store.queue("pets") == []
    (found,) = store.corrections("pets")
    assert (found.digest, found.answer, found.content, found.reviewer) == (digest, "dog", b"a", "ada")
    assert (found.version, found.label) == ("3", "cat")
    assert found.confidence == pytest.approx(0.6)
    assert store.counts("pets") == {"traffic": 2, "waiting": 0, "corrections": 1, "skipped": 1}


def test_the_last_word_counts(store: FeedbackStore) -> None:
    for answer, reviewer in (("dog", "ada"), ("cat", "bob")):
        store.correct("pets", b"a", answer, reviewer)
    assert [(each.answer, each.reviewer) for each in store.corrections("pets")] == [("cat", "bob")]


@pytest.mark.parametrize("answer", ["dog", ("dog", "wet"), (), 2.5])
def test_labels_sets_of_them_and_numbers_come_back_as_they_were(store: FeedbackStore, answer: Answer) -> None:
    store.correct("pets", "Ein Wort — 犬", answer, "ada")
    (found,) = store.corrections("pets")
    assert found.answer == answer
    assert found.content.decode() == "Ein Wort — 犬"


def test_a_correction_knows_the_answer_of_a_moment_ago(store: FeedbackStore) -> None:
    store.observe("pets", "1", [b"a"], [said(0.9)])
    store.correct("pets", b"a", "dog", "camera")
    assert store.corrections("pets")[0].label == "cat"


def test_models_do_not_see_each_other(store: FeedbackStore) -> None:
    store.record("pets", "1", b"a", said(0.6))
    store.record("cars", "1", b"a", said(0.6))
    pet = store.queue("pets")[0].id
    store.correct("pets", pet, "dog", "ada")
    assert len(store.queue("cars")) == 1
    assert store.corrections("cars") == []
    assert store.models() == ["cars", "pets"]
    with pytest.raises(OptionError, match="whose content was kept"):
        store.content("cars", pet)


def test_traffic_is_forgotten_but_corrections_stay(store: FeedbackStore) -> None:
    old = time.time() - 31 * DAY
    store.record("pets", "1", b"old", said(0.6), at=old)
    store.record("pets", "1", b"corrected", said(0.6), at=old)
    store.correct("pets", b"corrected", "dog", "ada")
    store.record("pets", "1", b"new", said(0.6))
    store.prune()
    assert [store.content("pets", waiting.id) for waiting in store.queue("pets")] == [b"new"]
    assert len(store.corrections("pets")) == 1


def test_answers_without_content_are_a_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback, "WINDOW", 10)
    store = FeedbackStore(tmp_path / "f.sqlite")
    for number in range(15):
        store.observe("pets", "1", [b"x"], [said(number / 15)])
    store.flush()
    store.prune()
    kept = store.traffic("pets")
    assert kept.answers[:, 0].tolist() == pytest.approx([n / 15 for n in range(5, 15)])


def test_traffic_is_that_of_a_version_since_a_time(store: FeedbackStore) -> None:
    first, second, third = (time.time() - age for age in (30, 20, 10))
    for at, version in ((second, "2"), (first, "1"), (third, "2")):
        store.record("pets", version, b"a", said(0.6), at=at)
    assert store.traffic("pets", since=first + 5).at.tolist() == [second, third]
    assert store.traffic("pets", version="1").at.tolist() == [first]
    assert store.traffic("pets", limit=2).at.tolist() == [second, third]
    assert len(store.traffic("nobody")) == 0


def test_features_are_only_given_where_all_have_them(store: FeedbackStore) -> None:
    store.record("pets", "1", b"a", said(0.6), np.arange(4.0))
    store.record("pets", "1", b"b", said(0.6), np.arange(4.0))
    both = store.traffic("pets").embeddings
    assert both is not None
    assert both.shape == (2, 4)
    store.record("pets", "1", b"c", said(0.6))
    assert store.traffic("pets").embeddings is None


def test_threads_and_stores_write_side_by_side(tmp_path: Path) -> None:
    stores = [FeedbackStore(tmp_path / "f.sqlite") for _ in range(3)]

    def work(place: int) -> None:
        for number in range(20):
            stores[place].correct("pets", f"{place} {number}", "dog", "ada")

    threads = [threading.Thread(target=work, args=(place,)) for place in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stores[0].counts("pets")["corrections"] == 60


def test_what_cannot_be_is_refused(store: FeedbackStore, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="an order"):
        store.queue("pets", "alphabetical")  # type: ignore[arg-type]
    for number in (99, -1, 10**30):
        with pytest.raises(OptionError, match=f"number {number}"):
            store.correct("pets", number, "dog", "ada")
    for answer, reviewer in (("", "ada"), ("dog", "")):
        with pytest.raises(OptionError, match="who gives it"):
            store.correct("pets", b"a", answer, reviewer)
    with pytest.raises(OptionError, match="share"):
        FeedbackStore(tmp_path / "g.sqlite", keep_share=1.5)
    with pytest.raises(DataError, match="--state"):
        open_store(tmp_path / "nowhere")
    broken = tmp_path / "feedback2.sqlite"
    broken.write_bytes(b"no database at all, but long enough to be looked at" * 40)
    with pytest.raises(StorageError, match="feedback store"):
        FeedbackStore(broken)


def test_sql_in_names_is_only_a_name(store: FeedbackStore) -> None:
    name = "pets'; DROP TABLE traffic; --"
    store.record(name, "1", b"a", said(0.6))
    store.correct(name, b"a", "'); DELETE FROM correction; --", name)
    assert store.counts(name)["corrections"] == 1


def test_a_full_disk_costs_monitoring_but_no_answer(
    store: FeedbackStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = threading.Event()

    def full(_rows: Sequence[object]) -> None:
        tried.set()
        raise StorageError("room", "a full disk", "free some")

    monkeypatch.setattr(store, "_write", full)
    store.observe("pets", "1", [b"a"], [said(0.6)])
    assert tried.wait(10)
    monkeypatch.undo()
    store.observe("pets", "1", [b"b"], [said(0.6)])
    store.flush()
    assert len(store.traffic("pets")) == 1

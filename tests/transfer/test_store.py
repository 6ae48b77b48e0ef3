"""The feature store keeps its promises: durable, shared, bounded, and true after any kill."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.errors import OptionError, StorageError
from headstart.transfer.store import FeatureStore

WIDTH = 8


def rows_of(digest: str, count: int = 1) -> np.ndarray:
    """Rows that can be told from their digest alone."""
    seed = int.from_bytes(digest.encode(), "big") % 2**32
    return np.random.default_rng(seed).standard_normal((count, WIDTH)).astype(np.float32)


def fill(store: FeatureStore, digests: list[str], count: int = 1) -> str:
    space = store.space({"backbone": "toy"})
    with store.writer(space, WIDTH) as writer:
        for digest in digests:
            writer.put(digest, rows_of(digest, count))
    return space


def test_rows_come_back_in_the_order_asked_for(tmp_path: Path) -> None:
    with FeatureStore(tmp_path) as store:
        space = fill(store, ["a", "b", "c"])
        fill(store, ["d", "e"], count=3)
        X, item, missing = store.read(space, ["e", "a", "x", "d", "c"])
        assert missing == [2]
        assert item.tolist() == [0, 0, 0, 1, 3, 3, 3, 4]
        assert np.array_equal(
            X, np.concatenate([rows_of("e", 3), rows_of("a"), rows_of("d", 3), rows_of("c")])
        )
        assert store.stored(space) == set("abcde")


def test_one_piece_is_memory_mapped_and_read_only(tmp_path: Path) -> None:
    with FeatureStore(tmp_path) as store:
        space = fill(store, [f"{n}" for n in range(600)])
        X, _, _ = store.read(space, [f"{n}" for n in range(100, 300)])
        assert isinstance(X, np.memmap)
        assert not X.flags.writeable
        assert np.array_equal(X[7], rows_of("107")[0])


def test_spaces_do_not_mix(tmp_path: Path) -> None:
    with FeatureStore(tmp_path) as store:
        one = fill(store, ["a"])
        other = store.space({"backbone": "other"})
        assert other != one
        assert store.read(other, ["a"])[2] == [0]
        assert store.space({"backbone": "toy"}) == one


def test_a_second_process_sees_what_the_first_wrote(tmp_path: Path) -> None:
    with FeatureStore(tmp_path) as first, FeatureStore(tmp_path) as second:
        space = fill(first, ["a"])
        assert second.read(space, ["a"])[2] == []


def _write_many(folder: Path, start: int) -> None:
    with FeatureStore(folder) as store:
        space = store.space({"backbone": "toy"})
        with store.writer(space, WIDTH) as writer:
            for number in range(start, start + 400):
                writer.put(str(number), rows_of(str(number)))
                if number % 50 == 0:
                    writer.commit()


def test_processes_append_side_by_side(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    starts = (0, 200, 400)  # overlapping on purpose: the same item may come from two processes
    workers = [context.Process(target=_write_many, args=(tmp_path, start)) for start in starts]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    with FeatureStore(tmp_path) as store:
        digests = [str(number) for number in range(800)]
        X, item, missing = store.read(store.space({"backbone": "toy"}), digests)
        assert missing == []
        assert item.tolist() == list(range(800))
        assert all(np.array_equal(X[n], rows_of(str(n))[0]) for n in range(800))


_ENDLESS = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_store import FeatureStore, WIDTH, rows_of
with FeatureStore(Path({folder!r})) as store:
    space = store.space({{"backbone": "toy"}})
    with store.writer(space, WIDTH) as writer:
        for number in range(10**9):
            writer.put(str(number), rows_of(str(number)))
            if number % 7 == 0:
                writer.commit()
            if number == 0:
                print("writing", flush=True)
"""


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.11])
def test_a_kill_at_any_instant_leaves_a_true_store(tmp_path: Path, delay: float) -> None:
    script = _ENDLESS.format(here=str(Path(__file__).parent), folder=str(tmp_path))
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    time.sleep(delay)
    child.kill()
    child.wait()
    child.stdout.close()
    with FeatureStore(tmp_path) as store:
        space = store.space({"backbone": "toy"})
        digests = sorted(store.stored(space), key=int)
        assert digests
        X, item, missing = store.read(space, digests)
        assert missing == []
        assert all(np.array_equal(X[n], rows_of(digests[n])[0]) for n in range(len(item)))
        fill(store, ["after"])
        assert store.read(space, ["after"])[2] == []


def test_damaged_rows_are_forgotten_and_only_those(tmp_path: Path) -> None:
    with FeatureStore(tmp_path) as store:
        space = fill(store, ["a", "b", "c"])
        shard = next(tmp_path.rglob("*.f32"))
        content = bytearray(shard.read_bytes())
        content[4 * WIDTH + 3] ^= 1
        shard.write_bytes(content)
        X, item, missing = store.read(space, ["a", "b", "c"])
        assert missing == [1]
        assert item.tolist() == [0, 2]
        assert np.array_equal(X, np.concatenate([rows_of("a"), rows_of("c")]))
        fill(store, ["b"])
        assert store.read(space, ["a", "b", "c"])[2] == []


@pytest.mark.parametrize("keep", [0, 5, 4 * WIDTH + 1])
def test_truncated_and_deleted_shards(tmp_path: Path, keep: int) -> None:
    with FeatureStore(tmp_path) as store:
        space = fill(store, ["a", "b"])
        shard = next(tmp_path.rglob("*.f32"))
        shard.write_bytes(shard.read_bytes()[:keep])
        assert store.read(space, ["a", "b"])[2] == ([0, 1] if keep < 4 * WIDTH else [1])
        shard.unlink()
        assert store.read(space, ["a"])[2] == [0]


def test_a_ruined_index_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"this is no database at all" * 40)
    with FeatureStore(tmp_path) as store:
        space = fill(store, ["a"])
        assert store.read(space, ["a"])[2] == []
    assert list(tmp_path.glob("index.damaged-*"))


def test_eviction_takes_the_oldest_and_spares_what_is_in_use(tmp_path: Path) -> None:
    size = 4 * WIDTH * 100
    old = FeatureStore(tmp_path)
    space = fill(old, [f"old{n}" for n in range(100)])
    middle = FeatureStore(tmp_path)
    fill(middle, [f"middle{n}" for n in range(100)])
    old.close()  # a process that lives holds it, below
    holder = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        with FeatureStore(tmp_path, limit=size) as store:
            shards = [name for (name,) in store._db.execute("SELECT name FROM shards ORDER BY used")]
            store._db.execute("DELETE FROM leases")
            store._db.execute(
                "INSERT INTO leases VALUES (?, ?, ?, ?)", (shards[0], "another", holder.pid, time.time())
            )
            assert store.evict() == size
            assert len(store.read(space, [f"old{n}" for n in range(100)])[2]) == 0
            assert len(store.read(space, [f"middle{n}" for n in range(100)])[2]) == 100
            assert store.evict() == 0
    finally:
        holder.kill()
        holder.wait()


def test_clear_and_info(tmp_path: Path) -> None:
    with FeatureStore(tmp_path) as store:
        fill(store, ["a", "b"])
        info = store.info()
        assert info["items"] == 2
        assert info["spaces"][0]["description"] == {"backbone": "toy"}
        assert info["bytes"] > 0
        store._db.execute("DELETE FROM leases")
        assert store.clear() > 0
        assert store.info()["items"] == 0
        assert not list(tmp_path.rglob("*.f32"))


def test_an_index_of_another_version_is_set_aside_and_its_shards_are_cleared(tmp_path: Path) -> None:
    with FeatureStore(tmp_path) as store:
        space = fill(store, ["a"])
        store._db.execute("PRAGMA user_version = 99")
    with FeatureStore(tmp_path) as store:
        assert store.read(space, ["a"])[2] == [0]
        shard = next(tmp_path.rglob("*.f32"))
        store.clear()
        assert shard.exists(), "it may belong to a run that has only just begun"
        os.utime(shard, (1, 1))
        store.clear()
        assert not shard.exists()


def test_closing_one_store_keeps_the_leases_of_another(tmp_path: Path) -> None:
    with FeatureStore(tmp_path, limit=0) as outer:
        space = fill(outer, ["a"])
        with FeatureStore(tmp_path, limit=0) as inner:
            assert inner.read(space, ["a"])[2] == []
        assert outer.evict() == 0
        assert outer.read(space, ["a"])[2] == []


def test_files_are_known_until_they_change(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(b"one")
    past = time.time_ns() - 60_000_000_000
    os.utime(file, ns=(past, past))
    with FeatureStore(tmp_path / "store") as store:
        state = file.stat()
        store.remember_files([(file, state.st_size, state.st_mtime_ns, "d1")])
        assert store.known_digests([file, tmp_path / "none"]) == ["d1", None]
        file.write_bytes(b"two")
        assert store.known_digests([file]) == [None]
        fresh = file.stat()
        store.remember_files([(file, fresh.st_size, fresh.st_mtime_ns, "d2")])
        assert store.known_digests([file]) == [None], (
            "a file that changed just now may change again unnoticed"
        )


def test_file_names_that_are_not_utf8(tmp_path: Path) -> None:
    file = Path(os.fsdecode(bytes(tmp_path) + b"/\xff\xfe.jpg"))
    file.write_bytes(b"x")
    past = time.time_ns() - 60_000_000_000
    os.utime(file, ns=(past, past))
    with FeatureStore(tmp_path / "store") as store:
        store.remember_files([(file, 1, file.stat().st_mtime_ns, "d")])
        assert store.known_digests([file]) == ["d"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises((StorageError, OSError)):
        FeatureStore(blocked / "store")


_FULL = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_store import FeatureStore, StorageError, WIDTH, rows_of
store = FeatureStore(Path({folder!r}))
space = store.space({{"backbone": "toy"}})
writer = store.writer(space, 4096)
import numpy as np
writer.put("small", np.ones((1, 4096), np.float32)); writer.commit()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    with writer:
        for n in range(100):
            writer.put(str(n), np.ones((1, 4096), np.float32)); writer.commit()
except (StorageError, OSError) as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs POSIX file size limits")
def test_a_file_that_cannot_grow_loses_nothing(tmp_path: Path) -> None:
    script = _FULL.format(here=str(Path(__file__).parent), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("Error"), done.stderr
    with FeatureStore(tmp_path) as store:
        space = store.space({"backbone": "toy"})
        assert store.read(space, ["small"])[2] == []
        assert store.read(space, sorted(store.stored(space)))[2] == []


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 4)), max_size=12),
    st.lists(st.sampled_from("abcdefghij")),
)
def test_any_history_reads_back(
    tmp_path_factory: pytest.TempPathFactory, puts: list[tuple[str, int]], asked: list[str]
) -> None:
    with FeatureStore(tmp_path_factory.mktemp("store")) as store:
        space = store.space({"backbone": "toy"})
        first: dict[str, int] = {}
        for digest, count in puts:
            with store.writer(space, WIDTH) as writer:
                writer.put(digest, rows_of(digest, count))
            first.setdefault(digest, count)
        X, item, missing = store.read(space, asked)
        assert missing == [n for n, digest in enumerate(asked) if digest not in first]
        expected = [rows_of(digest, first[digest]) for digest in asked if digest in first]
        assert np.array_equal(X, np.concatenate(expected)) if expected else len(X) == 0
        assert item.tolist() == [n for n, digest in enumerate(asked) for _ in range(first.get(digest, 0))]


# -- other numbers than float32, and rows that stay on the disk ----------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    dtype=st.sampled_from(["float32", "float16", "uint8"]),
    shards=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    asked=st.lists(st.integers(0, 19), max_size=30),
)
def test_lazy_rows_are_the_stored_rows(
    tmp_path_factory: pytest.TempPathFactory, dtype: str, shards: list[int], asked: list[int]
) -> None:
    count = sum(shards)
    X = np.random.default_rng(count).integers(0, 256, (count, WIDTH)).astype(dtype)
    with FeatureStore(tmp_path_factory.mktemp("store")) as store:
        space = store.space({"dtype": dtype})
        first = 0
        for size in shards:
            with store.writer(space, WIDTH, dtype) as writer:
                for number in range(first, first + size):
                    writer.put(f"{number}", X[number])
            first += size
        rows = store.rows(space, [f"{number}" for number in range(20)])
        assert (len(rows), rows.dtype, rows.missing) == (20, np.dtype(dtype), list(range(count, 20)))
        there = np.array([number for number in asked if number < count], np.int64)
        gathered = rows[there]
        assert gathered.dtype == dtype
        assert np.array_equal(gathered, X[there])
        if len(there) < len(asked):
            with pytest.raises(StorageError, match="a stored row for each item"):
                rows[np.array(asked)]
        read, _, _ = store.read(space, [f"{number}" for number in range(count)])
        assert read.dtype == np.float32
        assert np.array_equal(read, X.astype(np.float32))


def test_gathered_rows_can_be_changed_without_harm(tmp_path: Path) -> None:
    with FeatureStore(tmp_path) as store:
        rows = store.rows(fill(store, ["a", "b"]), ["a", "b"])
        batch = rows[np.array([1, 1])]
        batch += 1
        assert np.array_equal(rows[np.array([1])], rows_of("b"))


def test_float16_saturates_instead_of_overflowing(tmp_path: Path) -> None:
    with FeatureStore(tmp_path) as store:
        space = store.space({"backbone": "loud"})
        with store.writer(space, 4, np.float16) as writer:
            writer.put("a", np.array([[1e6, -np.inf, 65_504, 0.1]], np.float32))
        X, _, missing = store.read(space, ["a"])
        assert missing == []
        assert X[0, :3].tolist() == [65_504, -65_504, 65_504]
        assert X[0, 3] == pytest.approx(0.1, rel=1e-3)
        assert store.info()["spaces"][0]["bytes"] == 8


def test_lazy_rows_are_checked_and_what_is_damaged_is_missing(tmp_path: Path) -> None:
    with FeatureStore(tmp_path) as store:
        space = store.space({"backbone": "toy"})
        with store.writer(space, WIDTH, "float16") as writer:
            for digest in "abc":
                writer.put(digest, rows_of(digest))
        shard = next(tmp_path.rglob("*.f16"))
        content = bytearray(shard.read_bytes())
        content[2 * WIDTH + 1] ^= 1
        shard.write_bytes(content)
        assert store.rows(space, list("abc")).missing == [1]
        assert store.stored(space) == {"a", "c"}


def test_rows_that_are_refused(tmp_path: Path) -> None:
    with FeatureStore(tmp_path) as store:
        space = fill(store, ["a"], count=2)
        with pytest.raises(OptionError, match="one row each"):
            store.rows(space, ["a"])
        with pytest.raises(OptionError, match="float32, float16, uint8"):
            store.writer(space, WIDTH, "float64")


@pytest.mark.parametrize(("dtype", "suffix"), [("float16", "f16"), ("uint8", "u8")])
def test_orphans_of_every_kind_are_cleared(tmp_path: Path, dtype: str, suffix: str) -> None:
    with FeatureStore(tmp_path) as store:
        space = store.space({"backbone": "toy"})
        with store.writer(space, WIDTH, dtype) as writer:
            writer.put("a", np.ones((1, WIDTH)))
        store._db.execute("PRAGMA user_version = 1")  # as an older headstart left it
    with FeatureStore(tmp_path) as store:
        (shard,) = tmp_path.rglob(f"*.{suffix}")
        os.utime(shard, (1, 1))
        store.clear()
        assert not shard.exists()

"""The feature store's disk: an SQLite index over append-only files of rows, safe against kills.

A row lives in a shard, a file that only the process which made it appends to. Rows are written and flushed
first; only then does one transaction make the index point at them. So after a kill at any instant the index
is true, at worst some bytes of a shard belong to nobody. Readers check each run of rows against its CRC.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from headstart.files import cache_dir, digest_json, storage_errors
from headstart.transfer.index import Transaction, alive, connect, path_key, size_of
from headstart.transfer.shards import Place, Rows, Writer, gather, intact, map_shard, orphans

DEFAULT_LIMIT = 10 * 2**30
_ORPHAN_AFTER = 60.0  # seconds; a younger shard may be about to enter the index
# A file changed within this time of being indexed could change again without its time stamp moving.
_RACY_NS = 2_000_000_000


class FeatureStore:
    """Content-addressed rows of numbers on disk, shared by every run on this machine.

    Args:
        folder: Where it lives, Path. Defaults to the cache's "features" folder.
        limit: Size in bytes above which the least recently used shards go, int. Defaults to
            `HEADSTART_CACHE_LIMIT` (in GB), or 10 GiB.

    Raises:
        StorageError: The folder cannot be written.

    Example:
        >>> import tempfile
        >>> with FeatureStore(Path(tempfile.mkdtemp())) as store:
        ...     space = store.space({"backbone": "toy"})
        ...     with store.writer(space, width=2) as writer:
        ...         writer.put("d1", np.ones((1, 2), np.float32))
        ...     store.read(space, ["d1"])[0].tolist()
        [[1.0, 1.0]]
    """

    def __init__(self, folder: Path | None = None, limit: int | None = None) -> None:
        self.folder = folder or cache_dir() / "features"
        gigabytes = os.environ.get("HEADSTART_CACHE_LIMIT")
        self.limit = (
            limit if limit is not None else int(float(gigabytes) * 1e9) if gigabytes else DEFAULT_LIMIT
        )
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._owner = uuid.uuid4().hex
        self._db = connect(self.folder)

    def __enter__(self) -> FeatureStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back this store's leases and close the index."""
        with self._transaction() as database:
            database.execute("DELETE FROM leases WHERE owner = ?", (self._owner,))
        self._db.close()

    def _transaction(self) -> Transaction:
        return Transaction(self._db, self.folder)

    # -- spaces and rows -------------------------------------------------------------------------------

    def space(self, description: dict[str, Any]) -> str:
        """Return the id of a space: rows are comparable, and reused, only within one.

        Args:
            description: Everything the numbers depend on beside the item: weights digest, preprocessing,
                output, view, engine with version and precision; JSON-able.

        Returns:
            The id, 20 hexadecimal digits.
        """
        identity = digest_json(description)[:20]
        with self._transaction() as database:
            database.execute(
                "INSERT OR IGNORE INTO spaces VALUES (?, ?)", (identity, json.dumps(description))
            )
        return identity

    def stored(self, space: str) -> set[str]:
        """Return the digests of all items that have rows in a space."""
        return {digest for (digest,) in self._db.execute("SELECT digest FROM rows WHERE space = ?", (space,))}

    def writer(self, space: str, width: int, dtype: DTypeLike = np.float32) -> Writer:
        """Return a writer that appends rows of `width` numbers to a new shard of its own.

        Args:
            space: From `space()`.
            width: Numbers in a row, int.
            dtype: float32, float16 or uint8. Defaults to float32.
        """
        return Writer(self, space, width, dtype)

    def add_shard(self, name: str, space: str, width: int, dtype: str) -> None:
        """Enter a writer's new shard in the index, and hold it."""
        with self._transaction() as database:
            entry = (name, space, width, dtype, time.time())
            database.execute("INSERT INTO shards VALUES (?, ?, ?, ?, ?)", entry)
        self._lease([name])

    def add_rows(self, entries: Iterable[tuple[str, str, str, int, int, int]]) -> None:
        """Enter rows that are safe on the disk: (space, digest, shard, start, count, CRC) each."""
        with self._transaction() as database:
            database.executemany("INSERT OR IGNORE INTO rows VALUES (?, ?, ?, ?, ?, ?)", entries)

    def read(
        self, space: str, digests: Sequence[str]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], list[int]]:
        """Return the rows of some items, memory-mapped where they are float32 and lie in one piece.

        Args:
            space: From `space()`.
            digests: The items' content digests.

        Returns:
            X: float32 [rows, width], read-only.
            item: int64 [rows], which of `digests` a row belongs to.
            missing: Positions in `digests` that have no (or damaged) rows; they contribute none.
        """
        places, maps = self._sound(space, digests)
        wanted = {position: place for position, place in enumerate(places) if place is not None}
        item = np.repeat(
            np.fromiter(wanted, np.int64, len(wanted)),
            np.fromiter((place.count for place in wanted.values()), np.int64, len(wanted)),
        )
        missing = [position for position, place in enumerate(places) if place is None]
        X = gather(maps, list(wanted.values()))
        return X if X.dtype == np.float32 else X.astype(np.float32), item, missing

    def rows(self, space: str, digests: Sequence[str]) -> Rows:
        """Return the rows of some items without loading them: `rows[positions]` gathers a batch.

        They are checked against their checksums here, once; what is damaged is missing, as in `read`.

        Args:
            space: From `space()`.
            digests: The items' content digests; each item has one row at most.

        Returns:
            The Rows, in the order of `digests`; `rows.missing` are the positions that have none.

        Raises:
            OptionError: An item has several rows.
        """
        places, maps = self._sound(space, digests)
        return Rows(maps, places)

    def _sound(
        self, space: str, digests: Sequence[str]
    ) -> tuple[list[Place | None], dict[str, NDArray[Any]]]:
        """Return where each item's rows are (None: nowhere, or damaged), and the shards they are in."""
        query = "SELECT shard, start, count, crc FROM rows WHERE space = ? AND digest = ?"
        found = [self._db.execute(query, (space, digest)).fetchone() for digest in digests]
        places = [None if row is None else Place(*row) for row in found]
        shards = {place.shard for place in places if place is not None}
        self._lease(shards)
        maps = {shard: self._map(shard) for shard in shards}
        bad = [
            position
            for position, place in enumerate(places)
            if place is not None
            and not intact(maps[place.shard][place.start : place.start + place.count], place)
        ]
        if bad:
            with self._transaction() as database:
                forget = "DELETE FROM rows WHERE space = ? AND digest = ?"
                database.executemany(forget, [(space, digests[position]) for position in bad])
        for position in bad:
            places[position] = None
        return places, maps

    def _map(self, shard: str) -> NDArray[Any]:
        row = self._db.execute("SELECT width, dtype FROM shards WHERE name = ?", (shard,)).fetchone()
        width, dtype = row or (1, "float32")  # gone from the index since: its rows then fail their checksums
        return map_shard(self.folder / shard, width, dtype)

    def _lease(self, shards: Iterable[str]) -> None:
        now = time.time()
        with self._transaction() as database:
            for shard in shards:
                database.execute(
                    "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?)",
                    (shard, self._owner, os.getpid(), now),
                )
                database.execute("UPDATE shards SET used = ? WHERE name = ?", (now, shard))

    # -- what is known about files and contents --------------------------------------------------------

    def known_digests(self, paths: Sequence[Path]) -> list[str | None]:
        """Return each file's content digest where the file has not changed since it was last read."""
        found: list[str | None] = []
        for path in paths:
            row = self._db.execute(
                "SELECT size, mtime, digest FROM files WHERE path = ?", (path_key(path),)
            ).fetchone()
            try:
                state = path.stat() if row else None
            except OSError:
                state = None
            fresh = state is not None and (state.st_size, state.st_mtime_ns) == row[:2]
            found.append(row[2] if fresh else None)
        return found

    def remember_files(self, entries: Iterable[tuple[Path, int, int, str]]) -> None:
        """Remember (path, size, mtime in ns, digest), except of files that changed just now."""
        settled = time.time_ns() - _RACY_NS
        rows = [
            (path_key(path), size, mtime, digest) for path, size, mtime, digest in entries if mtime < settled
        ]
        with self._transaction() as database:
            database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)

    def facts(self, kind: str, digests: Iterable[str]) -> dict[str, Any]:
        """Return what was remembered about contents: {digest: JSON value}, for those that are known."""
        query = "SELECT value FROM facts WHERE kind = ? AND digest = ?"
        found: dict[str, Any] = {}
        for digest in digests:
            row = self._db.execute(query, (kind, digest)).fetchone()
            if row is not None:
                found[digest] = json.loads(row[0])
        return found

    def remember_facts(self, kind: str, facts: dict[str, Any]) -> None:
        """Remember something about contents, {digest: JSON value}."""
        rows = [(kind, digest, json.dumps(value)) for digest, value in facts.items()]
        with self._transaction() as database:
            database.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", rows)

    # -- size ------------------------------------------------------------------------------------------

    def info(self) -> dict[str, Any]:
        """Return {"folder", "bytes", "limit", "items", "spaces": [{"description", "items", "bytes"}]}."""
        spaces = []
        for space, description in self._db.execute("SELECT id, description FROM spaces").fetchall():
            (items,) = self._db.execute("SELECT count(*) FROM rows WHERE space = ?", (space,)).fetchone()
            names = [
                name for (name,) in self._db.execute("SELECT name FROM shards WHERE space = ?", (space,))
            ]
            size = sum(size_of(self.folder / name) for name in names)
            spaces.append(
                {"id": space, "description": json.loads(description), "items": items, "bytes": size}
            )
        return {
            "folder": str(self.folder),
            "bytes": sum(size_of(path) for path in self.folder.rglob("*") if path.is_file()),
            "limit": self.limit,
            "items": sum(space["items"] for space in spaces),
            "spaces": spaces,
        }

    def evict(self) -> int:
        """Remove the least recently used shards that no live run holds, until the store is within its limit.

        Returns:
            The number of bytes freed, int.
        """
        shards = self._db.execute("SELECT name FROM shards ORDER BY used").fetchall()
        sizes = {name: size_of(self.folder / name) for (name,) in shards}
        excess = sum(sizes.values()) - self.limit
        freed = 0
        if excess <= 0:
            return 0
        for name, size in sizes.items():
            if freed >= excess:
                break
            if self._remove(name):
                freed += size
        return freed

    def _remove(self, shard: str) -> bool:
        with self._transaction() as database:
            holders = database.execute("SELECT pid, born FROM leases WHERE shard = ?", (shard,)).fetchall()
            if any(alive(pid, born) for pid, born in holders):
                return False
            database.execute("DELETE FROM rows WHERE shard = ?", (shard,))
            database.execute("DELETE FROM shards WHERE name = ?", (shard,))
            database.execute("DELETE FROM leases WHERE shard = ?", (shard,))
        (self.folder / shard).unlink(missing_ok=True)
        return True

    def clear(self) -> int:
        """Remove every shard that no live run holds, and what is known about files.

        Returns:
            The number of bytes freed, int.
        """
        before = sum(size_of(path) for path in self.folder.rglob("*") if path.is_file())
        for (name,) in self._db.execute("SELECT name FROM shards").fetchall():
            self._remove(name)
        with self._transaction() as database:
            database.execute("DELETE FROM files")
            database.execute("DELETE FROM facts")
            database.execute("DELETE FROM spaces WHERE id NOT IN (SELECT space FROM shards)")
        known = [name for (name,) in self._db.execute("SELECT name FROM shards")]
        for path in orphans(self.folder, known, older_than=_ORPHAN_AFTER):
            path.unlink(missing_ok=True)
        for folder in self.folder.iterdir():
            if folder.is_dir() and not any(folder.iterdir()):
                shutil.rmtree(folder, ignore_errors=True)
        self._db.execute("VACUUM")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return max(0, before - sum(size_of(path) for path in self.folder.rglob("*") if path.is_file()))

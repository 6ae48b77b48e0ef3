"""What people and traffic say about a served model: answers, corrections and a queue for review, in SQLite.

Of every second a fair sample of the answers is kept, with the network's features but without the content, so
that drift can be seen. Contents are kept only of the share of traffic that was opted in, and of corrections.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from headstart.artefact.prediction import Prediction
from headstart.data.items import Answer
from headstart.errors import DataError, OptionError, StorageError
from headstart.files import digest_bytes, storage_errors
from headstart.serving.records import (
    COLUMNS,
    Correction,
    Observed,
    Traffic,
    Waiting,
    answer_of,
    as_bytes,
    row_of,
)
from headstart.serving.sampling import CHANCE, Sample

FILE = "feedback.sqlite"
Order = Literal["uncertain", "disputed", "random"]
ORDERS: tuple[Order, ...] = ("uncertain", "disputed", "random")
WINDOW = 2_000
"""So many answers of a model are kept without their content."""
MOST_CONTENTS = 20_000
_DAY = 86_400.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS traffic (
    id INTEGER PRIMARY KEY, model TEXT NOT NULL, version TEXT NOT NULL, at REAL NOT NULL, label TEXT NOT NULL,
    confidence REAL NOT NULL, margin REAL NOT NULL, rivals INTEGER NOT NULL, answers BLOB NOT NULL,
    features BLOB, digest TEXT, content BLOB);
CREATE INDEX IF NOT EXISTS traffic_model ON traffic (model, at);
CREATE INDEX IF NOT EXISTS traffic_digest ON traffic (model, digest) WHERE digest IS NOT NULL;
CREATE TABLE IF NOT EXISTS correction (
    id INTEGER PRIMARY KEY, model TEXT NOT NULL, digest TEXT NOT NULL, at REAL NOT NULL,
    reviewer TEXT NOT NULL, answer TEXT NOT NULL, content BLOB NOT NULL,
    version TEXT, label TEXT, confidence REAL);
CREATE INDEX IF NOT EXISTS correction_model ON correction (model, digest);
CREATE TABLE IF NOT EXISTS skipped (model TEXT NOT NULL, digest TEXT NOT NULL, reviewer TEXT NOT NULL,
    at REAL NOT NULL, PRIMARY KEY (model, digest));
"""
_DONE = """SELECT digest FROM correction WHERE model = :model
    UNION SELECT digest FROM skipped WHERE model = :model"""


class FeedbackStore:
    """The store; any number of processes may open the same one.

    Args:
        path: The SQLite file, a Path; made where it is missing, readable by its owner alone.
        keep_share: Share of the traffic whose contents are kept, float. Defaults to 0: none.
        keep_days: Days after which traffic is forgotten, float. Corrections stay. Defaults to 30.

    Raises:
        OptionError: A share outside 0 to 1, or no days at all.
        StorageError: The file cannot be made, or is no database.

    Example:
        >>> import tempfile
        >>> store = FeedbackStore(Path(tempfile.mkdtemp()) / "feedback.sqlite")
        >>> _ = store.correct("mood", "What a day!", "good", "ada")
        >>> [each.answer for each in store.corrections("mood")]
        ['good']
    """

    def __init__(self, path: Path, *, keep_share: float = 0.0, keep_days: float = 30.0) -> None:
        if not (0 <= keep_share <= 1 and keep_days > 0):
            received = f"{keep_share!r} for {keep_days!r} days"
            raise OptionError("a share from 0 to 1, for more than 0 days", received, "use 0.1 for 30 days")
        self.path, self.keep_share, self.keep_days = path, keep_share, keep_days
        self._sample = Sample(self._keep)
        self._pruned = 0.0
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
        with self._open() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)

    def observe(
        self,
        model: str,
        version: str,
        items: Sequence[bytes | str],
        predictions: Sequence[Prediction],
        features: Sequence[NDArray[np.floating] | None] | None = None,
    ) -> None:
        """Take note of answers: cheap, for a fair sample of each second is written by a thread of its own.

        Args:
            model: The model's name, str.
            version: Which version answered, str.
            items: What was asked about.
            predictions: The answers, in order; of items that could not be read nothing is kept.
            features: What the first network said about each, float [d]. Defaults to None: nothing.
        """
        now = time.time()
        for number, (item, prediction) in enumerate(zip(items, predictions, strict=True)):
            if prediction.error is None:
                its = None if features is None else features[number]
                self._sample.add(Observed(model, version, item, prediction, its, now))

    def flush(self) -> None:
        """Write at once what was observed."""
        self._sample.flush()

    def _keep(self, sample: Sequence[Observed]) -> None:
        self._write([row_of(seen, keep=CHANCE.random() < self.keep_share) for seen in sample])

    def record(
        self,
        model: str,
        version: str,
        item: bytes | str,
        prediction: Prediction,
        features: NDArray[np.floating] | None = None,
        *,
        at: float | None = None,
    ) -> None:
        """Keep one answer with its content at once, for certain.

        Args:
            model: The model's name, str.
            version: Which version answered, str.
            item: What was asked about.
            prediction: The answer.
            features: What the first network said, float [d]. Defaults to None.
            at: When, seconds since 1970. Defaults to None: now.
        """
        seen = Observed(model, version, item, prediction, features, at or time.time())
        self._write([row_of(seen, keep=True)])

    def _write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        with self._open() as connection:
            marks = ", ".join("?" * len(rows[0]))
            connection.executemany(f"INSERT INTO traffic ({COLUMNS}) VALUES ({marks})", rows)
            if time.time() > self._pruned + 60:
                self._prune(connection)
                self._pruned = time.time()

    def _prune(self, connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM traffic WHERE at < ?", (time.time() - self.keep_days * _DAY,))
        for (model,) in connection.execute("SELECT DISTINCT model FROM traffic").fetchall():
            for kept, what in ((WINDOW, "digest IS NULL"), (MOST_CONTENTS, "digest IS NOT NULL")):
                connection.execute(
                    f"DELETE FROM traffic WHERE model = ? AND {what} AND id <= (SELECT id FROM traffic "
                    f"WHERE model = ? AND {what} ORDER BY id DESC LIMIT 1 OFFSET ?)",
                    (model, model, kept),
                )

    def prune(self) -> None:
        """Forget what is older than the retention limit or beyond the largest number; done once a minute."""
        with self._open() as connection:
            self._prune(connection)

    def queue(self, model: str, order: Order = "uncertain", limit: int = 50, seed: int = 0) -> list[Waiting]:
        """Return items for a person to look at, those first that teach the model most.

        Only items whose content was kept are in it; of copies the newest; none that was corrected or skipped.

        Args:
            model: The model's name, str.
            order: "uncertain": the smallest margin between the two best answers first; "disputed": first what
                versions answer differently, or with many labels that cannot be ruled out; "random".
            limit: At most so many, int. Defaults to 50.
            seed: Of the random order, int. Defaults to 0.

        Returns:
            The items.

        Raises:
            OptionError: Unknown order.

        References:
            Scheffer, Decomain and Wrobel, "Active hidden Markov models for information extraction", IDA 2001,
            for margin sampling.
        """
        if order not in ORDERS:
            raise OptionError(f"an order: {', '.join(ORDERS)}", repr(order), "choose one of them")
        by = {
            "uncertain": "margin, id",
            "disputed": "doubts DESC, margin, id",
            "random": "(id * (2 * (:seed % 1000) + 1) * 2654435761) % 4294967291, id",
        }[order]
        query = f"""
            WITH newest AS (
                SELECT MAX(id) AS id, COUNT(DISTINCT label) AS said FROM traffic
                WHERE model = :model AND content IS NOT NULL AND digest NOT IN ({_DONE}) GROUP BY digest)
            SELECT id, at, version, label, confidence, margin, MAX(rivals, said) AS doubts, answers
            FROM newest JOIN traffic USING (id) ORDER BY {by} LIMIT :limit"""
        with self._open() as connection:
            rows = connection.execute(query, {"model": model, "limit": limit, "seed": seed}).fetchall()
        return [_waiting(row) for row in rows]

    def content(self, model: str, item: int) -> bytes:
        """Return the content of an item of the queue.

        Args:
            model: The model's name, str.
            item: The item's number, int.

        Raises:
            OptionError: There is no such item, or its content was not kept.
        """
        return bytes(self._waiting(model, item)[1])

    def correct(self, model: str, item: int | bytes | str, answer: Answer, reviewer: str) -> str:
        """Say what the right answer is. It may be the one that was given: that teaches, too.

        Args:
            model: The model's name, str.
            item: The number of an item of the queue, int, or an item itself: encoded bytes or a text.
            answer: The right label, labels or number.
            reviewer: Who says so, str.

        Returns:
            The item's digest.

        Raises:
            OptionError: There is no such item, or no answer or reviewer is named.
        """
        if answer == "" or not reviewer:
            received = f"{answer!r} by {reviewer!r}"
            raise OptionError("an answer, and who gives it", received, "name a label and a reviewer")
        if isinstance(item, int):
            digest, content = self._waiting(model, item)
        else:
            content = as_bytes(item)
            digest = digest_bytes(content)
        self.flush()  # the answer that is corrected may have been given a moment ago
        said = json.dumps(list(answer) if isinstance(answer, tuple) else answer, allow_nan=False)
        query = (
            "SELECT version, label, confidence FROM traffic WHERE model = ? AND digest = ? ORDER BY id DESC"
        )
        with self._open() as connection:
            found = connection.execute(query, (model, digest)).fetchone() or (None, None, None)
            columns = "model, digest, at, reviewer, answer, content, version, label, confidence"
            connection.execute(
                f"INSERT INTO correction ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (model, digest, time.time(), reviewer, said, content, *found),
            )
        return digest

    def skip(self, model: str, item: int, reviewer: str) -> None:
        """Take an item out of the queue without an answer.

        Raises:
            OptionError: There is no such item.
        """
        digest = self._waiting(model, item)[0]
        with self._open() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO skipped VALUES (?, ?, ?, ?)", (model, digest, reviewer, time.time())
            )

    def corrections(self, model: str) -> list[Correction]:
        """Return the last word on each corrected item, the oldest first."""
        query = """SELECT digest, answer, content, reviewer, at, version, label, confidence FROM correction
            WHERE id IN (SELECT MAX(id) FROM correction WHERE model = ? GROUP BY digest) ORDER BY id"""
        with self._open() as connection:
            rows = connection.execute(query, (model,)).fetchall()
        return [Correction(row[0], answer_of(row[1]), bytes(row[2]), *row[3:]) for row in rows]

    def counts(self, model: str) -> dict[str, int]:
        """Return how much there is: {"traffic", "waiting", "corrections", "skipped"}."""
        with self._open() as connection:

            def count(query: str) -> int:
                return int(connection.execute(query, {"model": model}).fetchone()[0])

            corrected = count("SELECT COUNT(DISTINCT digest) FROM correction WHERE model = :model")
            skipped = count("SELECT COUNT(*) FROM skipped WHERE model = :model")
            waiting = count(
                "SELECT COUNT(DISTINCT digest) FROM traffic WHERE model = :model AND content IS NOT NULL "
                f"AND digest NOT IN ({_DONE})"
            )
            traffic = count("SELECT COUNT(*) FROM traffic WHERE model = :model")
        return {"traffic": traffic, "waiting": waiting, "corrections": corrected, "skipped": skipped}

    def models(self) -> list[str]:
        """Return the names of the models that something is known of, sorted."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT model FROM traffic UNION SELECT model FROM correction ORDER BY 1"
            )
            return [name for (name,) in rows]

    def traffic(
        self, model: str, since: float = 0.0, *, version: str | None = None, limit: int = WINDOW
    ) -> Traffic:
        """Return the last answers that a model gave.

        Args:
            model: The model's name, str.
            since: Not older than this, seconds since 1970, float. Defaults to 0: any.
            version: Of this version alone, str. Defaults to None: of all.
            limit: At most so many, int. Defaults to 2,000.
        """
        query = """SELECT at, label, confidence, answers, features FROM traffic
            WHERE model = :model AND at >= :since AND (:version IS NULL OR version = :version)
            ORDER BY at DESC, id DESC LIMIT :limit"""
        values = {"model": model, "since": since, "version": version, "limit": limit}
        with self._open() as connection:
            rows = connection.execute(query, values).fetchall()[::-1]
        # Another version may have other labels: only what is like the newest is comparable.
        rows = [row for row in rows if len(row[3]) == len(rows[-1][3])]
        width = {None if row[4] is None else len(row[4]) for row in rows}
        embeddings = None
        if len(width) == 1 and None not in width:
            embeddings = np.stack([np.frombuffer(row[4], np.float16) for row in rows]).astype(np.float32)
        answers = np.stack([np.frombuffer(row[3], np.float32) for row in rows]) if rows else np.zeros((0, 0))
        return Traffic(
            np.array([row[0] for row in rows], np.float64),
            tuple(row[1] for row in rows),
            np.array([row[2] for row in rows], np.float64),
            answers.astype(np.float32),
            embeddings,
        )

    def _waiting(self, model: str, item: int) -> tuple[str, bytes]:
        query = "SELECT digest, content FROM traffic WHERE model = ? AND id = ? AND content IS NOT NULL"
        found = None
        if item.bit_length() < 64:  # no number in the file is larger
            with self._open() as connection:
                found = connection.execute(query, (model, item)).fetchone()
        if found is None:
            fix = "take its number from the queue; traffic is forgotten after some days"
            raise OptionError(f"an item of {model!r} whose content was kept", f"number {item}", fix)
        return str(found[0]), found[1]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one piece of work, which is done whole or not at all."""
        try:
            with closing(sqlite3.connect(self.path, timeout=10)) as connection, connection:
                connection.execute("PRAGMA synchronous = NORMAL")
                yield connection
        except sqlite3.Error as error:
            fix = "check the disk and the file's permissions; a damaged file can be moved away"
            raise StorageError(f"the feedback store {self.path}", str(error), fix) from error


def open_store(state: Path) -> FeedbackStore:
    """Open the feedback of a served installation.

    Args:
        state: Its state folder, a Path.

    Returns:
        The store.

    Raises:
        DataError: There is none.
    """
    if not (state / FILE).is_file():
        fix = "name the folder that the server was started with: --state DIR"
        raise DataError("the feedback of a served installation", f"none in {state}", fix)
    return FeedbackStore(state / FILE)


def _waiting(row: tuple[Any, ...]) -> Waiting:
    item, at, version, label, confidence, margin, doubts, answers = row
    said = tuple(np.frombuffer(answers, np.float32).tolist())
    return Waiting(item, at, version, label, confidence, margin, doubts, said)

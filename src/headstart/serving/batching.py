"""Micro-batches: requests that arrive while the network is busy are answered together when it is free.

The window is adaptive by construction: it is the time that the previous batch takes. Nothing waits while the
network is idle, and under load batches grow up to their limit.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from werkzeug.exceptions import GatewayTimeout, InternalServerError, TooManyRequests

from headstart.serving.logs import LOGGER

Q = TypeVar("Q")
A = TypeVar("A")


def _always() -> bool:
    return True


class Busy(TooManyRequests):
    """The queue is full: HTTP 429 with Retry-After."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("the model has as much to do as it may; ask again later", retry_after=retry_after)


class Late(GatewayTimeout):
    """The answer was not there in time: HTTP 504."""

    def __init__(self) -> None:
        super().__init__("there was no answer within the time that was allowed; ask again later")


@dataclass(eq=False)
class _Ticket(Generic[Q, A]):
    """A question on its way, and the promise of an answer."""

    question: Q
    deadline: float
    wanted: Callable[[], bool]
    answer: Future[A] = field(default_factory=Future)


class Batcher(Generic[Q, A]):
    """Collects questions from many threads and answers them on one.

    Args:
        answer: From questions to as many answers, in order; called on one thread only.
        most: Questions in a batch at most, int. Defaults to 16.
        places: Questions that may be under way at once, int. Defaults to 64.
        name: Of the thread, str. Defaults to "batcher".
        seen: Told the size of every batch. Defaults to nobody.

    Example:
        >>> batcher = Batcher(lambda questions: [q * 2 for q in questions])
        >>> batcher.ask([1, 2, 3], time.monotonic() + 5)
        [2, 4, 6]
        >>> batcher.close()
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Q]], Sequence[A]],
        *,
        most: int = 16,
        places: int = 64,
        name: str = "batcher",
        seen: Callable[[int], None] = lambda _size: None,
    ) -> None:
        self._answer = answer
        self._most = most
        self._places = places
        self._seen = seen
        self._taken = 0
        self._seconds = 0.01  # a question takes about this long, for Retry-After
        self._lock = threading.Lock()
        self._waiting: deque[_Ticket[Q, A]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    @property
    def under_way(self) -> int:
        """How many places are taken, int."""
        return self._taken

    @contextmanager
    def places(self, count: int) -> Iterator[None]:
        """Take places for questions before the work of preparing them is done.

        Args:
            count: How many questions there will be, int.

        Raises:
            Busy: There are not so many places left. A single request never finds an idle queue too short.
        """
        with self._lock:
            if self._taken and self._taken + count > self._places:
                raise Busy(max(1, round(self._taken * self._seconds)))
            self._taken += count
        try:
            yield
        finally:
            with self._lock:
                self._taken -= count

    def ask(self, questions: Sequence[Q], deadline: float, wanted: Callable[[], bool] = _always) -> list[A]:
        """Wait for the answers to some questions.

        Args:
            questions: What is asked.
            deadline: Until when the answers are of use, in seconds of `time.monotonic`, float. A question
                that is not begun by then is dropped.
            wanted: Asked when a question's turn comes: whether someone still waits for the answer. Defaults
                to always.

        Returns:
            As many answers, in order.

        Raises:
            Late: They were not there in time.
            InternalServerError: The network failed.
        """
        tickets = [_Ticket[Q, A](question, deadline, wanted) for question in questions]
        self._waiting.extend(tickets)
        for _ in tickets:
            self._thread.submit(self._turn).add_done_callback(_tell)
        try:
            return [ticket.answer.result(max(0.0, deadline - time.monotonic())) for ticket in tickets]
        except TimeoutError as error:
            raise Late from error
        except CancelledError as error:
            if time.monotonic() >= deadline:
                raise Late from error
            raise InternalServerError("the network could not answer") from error
        finally:
            for ticket in tickets:
                ticket.answer.cancel()

    def close(self) -> None:
        """Answer what is waiting, then end the thread."""
        self._thread.shutdown(wait=True)

    def _turn(self) -> None:
        """Answer everything that is waiting, up to a batch; an earlier turn may have left nothing."""
        batch: list[_Ticket[Q, A]] = []
        while self._waiting and len(batch) < self._most:
            ticket = self._waiting.popleft()
            if time.monotonic() < ticket.deadline and ticket.wanted() and _begun(ticket):
                batch.append(ticket)
            else:
                ticket.answer.cancel()
        if not batch:
            return
        self._seen(len(batch))
        started = time.monotonic()
        try:
            for ticket, answer in zip(batch, self._answer([t.question for t in batch]), strict=True):
                ticket.answer.set_result(answer)
        finally:
            self._seconds += 0.1 * ((time.monotonic() - started) / len(batch) - self._seconds)
            for ticket in batch:  # after a failure nobody shall wait for ever
                if not ticket.answer.done():
                    ticket.answer.set_exception(CancelledError())


def _tell(turn: Future[None]) -> None:
    """Log why a turn failed: those who asked learn only that it did."""
    if not turn.cancelled() and (error := turn.exception()) is not None:
        LOGGER.error("the network could not answer", exc_info=error)


def _begun(ticket: _Ticket[Q, A]) -> bool:
    """Mark a question as being answered; False where the one who asked has left."""
    return ticket.answer.set_running_or_notify_cancel()

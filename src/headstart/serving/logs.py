"""Logs as lines of JSON: what was asked and how it went, never what was in it."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

LOGGER = logging.getLogger("headstart.serving")


class JsonFormatter(logging.Formatter):
    """One JSON object for each record; whatever is given as extra={"fields": {…}} is part of it.

    Example:
        >>> record = logging.makeLogRecord({"msg": "ready", "levelname": "INFO", "fields": {"models": 2}})
        >>> json.loads(JsonFormatter().format(record))["models"]
        2
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname.lower(), "pid": record.process}
        line |= {"message": record.getMessage(), **getattr(record, "fields", {})}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, default=str)


def set_up(level: int = logging.INFO) -> None:
    """Write the application's log to standard error, as the server and tests of it do.

    Args:
        level: The least that is written. Defaults to logging.INFO.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    LOGGER.handlers[:] = [handler]
    LOGGER.setLevel(level)
    LOGGER.propagate = False

"""Log lines: every line that a service writes is one JSON object, whoever it is that speaks.

Our own modules write theirs themselves. What the server, a library or a warning says becomes one here: when, who, how grave and
what; of an error its kind and its place, because its text may repeat a request's content.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
import traceback

OURS = "ai_factory_runtime"
_PLACES = 8


class JsonLines(logging.Formatter):
    """A record as one line of JSON; a line of ours, which is one already, as it is."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        message = record.getMessage()
        if message.startswith("{") and f"{record.name}.".startswith(f"{OURS}."):
            return message
        at = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {
            "at": at, "event": record.levelname.lower(), "logger": record.name, "message": message.strip()
        }  # fmt: skip
        if record.exc_info and record.exc_info[1] is not None:
            line |= told(record.exc_info[1])
            line["message"] = message.strip().partition("\n")[0]
        return json.dumps(line, ensure_ascii=False)


def told(error: BaseException) -> dict[str, object]:
    """The kind of an error and its place, nothing of its text."""
    frames = traceback.extract_tb(error.__traceback__)[-_PLACES:]
    return {"error": type(error).__name__, "place": [f"{f.filename}:{f.lineno} {f.name}" for f in frames]}


def log_to_stderr() -> None:
    """Write our events, and the warnings and errors of others, to stderr; Python's own warnings too."""
    # Not in the lines, and looked up for each of them otherwise.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.captureWarnings(True)
    logging.getLogger(OURS).setLevel(logging.INFO)

"""A process that computes jobs, one after the other: `python -m replay_api.worker`.

Each line of its standard input is the storage of a job, as JSON. It answers each with a line: an
object that is empty, or has an `error` for the user. It ends as soon as its input ends or nobody
reads its answers, even in the middle of a job, so that a killed server leaves no process that still
works in the directory of a job.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from queue import SimpleQueue

from common.temp import JobStorage

from .emissions import compute
from .errors import BadInput


def main() -> None:
    """Compute until the input ends."""
    asked: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    while True:
        answer = _answer(asked.get())
        try:
            print(json.dumps(answer), flush=True)  # noqa: T201
        except BrokenPipeError:
            os._exit(0)


def _answer(line: bytes) -> dict[str, str]:
    paths: dict[str, str] = json.loads(line)
    try:
        compute(JobStorage(**{name: Path(path) for name, path in paths.items()}))
    except BadInput as error:
        return {"error": str(error)}
    return {}


def _listen(asked: SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        asked.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()

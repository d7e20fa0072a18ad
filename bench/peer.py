"""Our end of the line to a peer: a framework that runs, and times itself, in its own process.

Two OpenMP runtimes in one process slow both, so PyTorch is never imported into ours. The peer
rests, waiting for the next line of JSON, while we are timed.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


class PeerError(Exception):
    """The peer could not do what it was asked."""


class Peer:
    """A running ``python -m bench.torch_peer``; a context manager that ends it."""

    def __init__(self, threads: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.torch_peer", str(threads)], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    def timers(self, case: str, compiled: bool) -> dict[str, Callable[[int], float]]:
        """For each way the peer has of running `case`, checked: calls to seconds of one call."""
        variants = self._ask(prepare=case, compiled=compiled)
        return {variant: partial(self._time, variant) for variant in variants}

    def _time(self, variant: str, calls: int) -> float:
        return self._ask(time=variant, calls=calls)

    def _ask(self, **request: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
            answer = json.loads(self._process.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            raise PeerError(f"the peer ended with status {self._process.wait()}") from None
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer["result"]

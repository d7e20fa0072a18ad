"""Those compared run in processes of their own: both ends of the line to them.

Two OpenMP runtimes in one process slow both, and an instruction set or a number of threads is best
chosen before anything is imported. One JSON object a line is asked, and one answered. A process
rests, waiting for a line, while others are timed.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import FastdlError

# glibc keeps what is freed: a page fault for every 4 KiB of a large result is no work of a kernel,
# and would hide how fast the kernels are.
MEMORY_KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
               "MALLOC_TOP_PAD_": str(64 << 20)}


class MemberError(FastdlError, RuntimeError):
    """A member could not do what it was asked, or is not installed."""


class Line:
    """A running process, ``python -m MODULE ARGUMENTS``; a context manager that ends it.

    Parameters
    ----------
    module : calls `serve`
    arguments : of the command line
    environment : variables beside those of this process
    threads : that everything in it may use
    folder : where it runs, and looks for modules first

    Raises
    ------
    MemberError
        when it does not start, for example because its framework is not installed
    """

    def __init__(self, module: str, arguments: Sequence[str], environment: Mapping[str, str],
                 threads: int, folder: Path | None = None) -> None:
        count = str(threads)
        surroundings = {**os.environ, **environment, "OMP_NUM_THREADS": count,
                        "OPENBLAS_NUM_THREADS": count, "MKL_NUM_THREADS": count,
                        "NUMBA_NUM_THREADS": count}
        self._process = subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=folder,
                                         env=surroundings, text=True, stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE)
        try:
            self.facts = self.ask(command="facts")
        except MemberError:
            self.close()
            raise

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process, which stops when nothing more can come."""
        self._process.communicate()

    def ask(self, **request: Any) -> Any:
        """One request, one answer."""
        assert self._process.stdin
        assert self._process.stdout
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
            answer = json.loads(self._process.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            raise MemberError(f"ended with status {self._process.wait()}") from None
        if "error" in answer:
            raise MemberError(answer["error"])
        return answer["result"]


def serve(make: Callable[[], Any]) -> None:
    """Answer the requests on standard input until it ends.

    Parameters
    ----------
    make : makes the worker, whose methods are the commands; called at the first request
    """
    # Whatever else prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            worker = worker or make()
            answer = {"result": getattr(worker, request.pop("command"))(**request)}
        except Exception as error:                          # it is reported at the other end
            text = f"{type(error).__name__}: {error}".splitlines()
            answer = {"error": text[0] if text else type(error).__name__}
        print(json.dumps(answer), file=answers, flush=True)

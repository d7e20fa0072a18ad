"""The limits of this machine, measured between the turns of everybody else: FMA peak, bandwidth.

The loops are in peak.c, compiled here for this very processor, and for AVX2 beside it.
``python -m bench.peak`` prints what they reach.
"""

import os
import platform
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

SOURCE = Path(__file__).with_name("peak.c")
FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fopenmp")
NATIVE, AVX2 = "native", "avx2"
ONLY = {NATIVE: (), AVX2: ("-mno-avx512f",)}        # what keeps a compiler within the set


class PeakError(Exception):
    """The limits cannot be measured here."""


class Peak:
    """Running limits; a context manager that ends them.

    Raises
    ------
    PeakError
        when there is no C compiler, or it cannot compile peak.c
    """

    def __init__(self) -> None:
        compiler = shutil.which(os.environ.get("CC", "cc"))
        if compiler is None:
            raise PeakError("no C compiler")
        sets = list(ONLY) if platform.machine() in ("x86_64", "AMD64") else [NATIVE]
        with tempfile.TemporaryDirectory() as folder:
            self._processes = {name: self._started(compiler, name, Path(folder, name))
                               for name in sets}

    def __enter__(self) -> "Peak":
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._processes.values():
            process.communicate()

    @staticmethod
    def _started(compiler: str, name: str, program: Path) -> subprocess.Popen:
        try:
            subprocess.run([compiler, *FLAGS, *ONLY[name], SOURCE, "-o", program], check=True,
                           capture_output=True, text=True)
            return subprocess.Popen([program], text=True, stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE)
        except (OSError, subprocess.CalledProcessError) as error:
            detail = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[0]
            raise PeakError(detail) from None

    def rate(self, what: str, isa: str, threads: int) -> float:
        """GFLOP/s of "float32" or "float64", or GB/s of "memory"; takes about 30 ms."""
        process = self._processes.get(isa, self._processes[NATIVE])
        assert process.stdin
        assert process.stdout
        print(what, threads, file=process.stdin, flush=True)
        return float(process.stdout.readline())

    def seconds_per_unit(self, what: str, isa: str, threads: int, calls: int) -> float:
        """`rate` as a time, so that it can take its turn among others; `calls` has no meaning."""
        return 1 / self.rate(what, isa, threads)


def main() -> None:
    """Print every limit."""
    threads = os.cpu_count() or 1
    with Peak() as peak:
        for what, unit in (("float32", "GFLOP/s"), ("float64", "GFLOP/s"), ("memory", "GB/s")):
            for isa in ONLY if what != "memory" else (NATIVE,):
                one, all_ = map(partial(peak.rate, what, isa), (1, threads))
                print(f"{what} {isa}: {one:.0f} {unit} on one thread, {all_:.0f} on {threads}")


if __name__ == "__main__":
    main()

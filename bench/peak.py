"""The limits of this machine, measured in the same run: FMA peak and memory bandwidth.

The loops are in peak.c, compiled here for this very processor. ``python -m bench.peak`` prints
what they reach.
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("peak.c")
FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fopenmp")


def measure(threads: int, repetitions: int = 20) -> dict[str, Any]:
    """GFLOP/s as "float32" and "float64" and GB/s as "memory", [on one thread, on `threads`].

    Where they cannot be measured, the only key is "error", which says why.
    """
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return {"error": "no C compiler"}
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "peak")
        try:
            subprocess.run([compiler, *FLAGS, SOURCE, "-o", program], check=True,
                           capture_output=True, text=True)
            done = subprocess.run([program, str(threads), str(repetitions)], check=True,
                                  capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            detail = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[0]
            return {"error": detail}
    return json.loads(done.stdout)


if __name__ == "__main__":
    print(json.dumps(measure(os.cpu_count() or 1)))

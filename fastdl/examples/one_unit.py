"""One unit, forward: a weighted sum, then ReLU or the sigmoid function."""

import numpy as np

from fastdl import ops
from fastdl.examples.kit import Run, main

TITLE = "One unit, forward", "順伝播（単層・単ユニット）"


def example(run: Run) -> None:
    """Two inputs and their weights; then the variant with the sigmoid."""
    x = np.array([[2.0, 3.0]])
    u = ops.gemm(x, np.array([[0.1], [0.2]]), bias=np.array([0.5]))
    run.equals("u = xW + b", u[0], "[1.3]")
    run.equals("z = ReLU(u)", ops.relu(u)[0], "[1.3]")

    u = ops.gemm(x, np.array([[3.0], [3.0]]), bias=np.array([-0.9937218440748694]))
    run.equals("u, W = [3 3], b = -0.994", f"{u.item():.16g}", "14.00627815592513")
    run.equals("z = sigmoid(u)", f"{ops.sigmoid(u).item():.16g}", "0.9999991736760774")


if __name__ == "__main__":
    main(example)

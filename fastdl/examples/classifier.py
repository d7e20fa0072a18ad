"""A classifier with two inputs, three hidden units and four classes, forward, and its loss."""

import numpy as np

from fastdl import ops
from fastdl.examples.kit import Run, main

TITLE = "Classifier 2-3-4, forward", "多クラス分類（2-3-4 ネットワーク）"

W1, B1 = np.array([[0.1, 0.3, 0.5], [0.2, 0.4, 0.6]]), np.array([0.1, 0.2, 0.3])
W2 = np.array([[0.1, 0.4, 0.7, 1.0], [0.2, 0.5, 0.8, 1.1], [0.3, 0.6, 0.9, 1.2]])
B2 = np.array([0.1, 0.2, 0.3, 0.4])


def example(run: Run) -> None:
    """Dense layer, ReLU, dense layer, softmax, cross-entropy."""
    x, target = np.array([[1.0, 2.0]]), np.array([[0, 0, 0, 1]])
    z = ops.relu(ops.gemm(x, W1, bias=B1))
    u = ops.gemm(z, W2, bias=B2)
    y = ops.softmax(u)
    loss = ops.cross_entropy(y, target, eps=1e-7)       # -log(y + 1e-7)
    run.equals("z1", z[0], "[0.6 1.3 2. ]")
    run.equals("u2", u[0], "[1.02 2.29 3.56 4.83]")
    run.equals("softmax", y[0], "[0.01602796 0.05707321 0.20322929 0.72366954]")
    run.equals("cross-entropy, 15 digits", f"{loss:.15g}", "0.323420293360194")


if __name__ == "__main__":
    main(example)

"""Backpropagation by hand through a network of 2-3-2 units, and a step of gradient descent."""

import numpy as np

from fastdl import ops
from fastdl.examples.kit import Run, main

TITLE = "Backpropagation 2-3-2", "誤差逆伝播法（2-3-2 ネットワーク）"


def example(run: Run) -> None:
    """Forward, backward, update. The report's text was read from a picture, with some 6s as 8s."""
    x, target, lr = np.array([[1.0, 5.0]]), np.array([[0.0, 1.0]]), 0.01
    w1, b1 = np.array([[0.1, 0.3, 0.5], [0.2, 0.4, 0.6]]), np.array([0.1, 0.2, 0.3])
    w2, b2 = np.array([[0.1, 0.4], [0.2, 0.5], [0.3, 0.6]]), np.array([0.1, 0.2])

    z = ops.relu(ops.gemm(x, w1, bias=b1))
    y = ops.softmax(ops.gemm(z, w2, bias=b2))
    run.equals("y", y, "[[0.08706577 0.91293423]]")

    du2 = ops.softmax_cross_entropy_backward(y, target)
    du1 = ops.relu_backward(ops.gemm(du2, w2, trans_b=True), z)
    dw1, dw2 = ops.gemm(x, du1, trans_a=True), ops.gemm(z, du2, trans_a=True)
    run.equals("dE/du2", du2, "[[ 0.08706577 -0.08706577]]")
    run.equals("dE/dW1", dw1, "[[-0.02611973 -0.02611973 -0.02611973]\n"
                              " [-0.13059866 -0.13059866 -0.13059866]]")
    run.equals("dE/dW2", dw2, "[[ 0.10447893 -0.10447893]\n"
                              " [ 0.21766443 -0.21766443]\n"
                              " [ 0.33084994 -0.33084994]]")

    ops.sgd_update([w1, b1, w2, b2], [dw1, du1[0], dw2, du2[0]], lr=lr)
    run.equals("W1", w1, "[[0.1002612  0.3002612  0.5002612 ]\n"
                         " [0.20130599 0.40130599 0.60130599]]")
    run.equals("b1", b1, "[0.1002612 0.2002612 0.3002612]")
    run.equals("W2", w2, "[[0.09895521 0.40104479]\n"
                         " [0.19782336 0.50217664]\n"
                         " [0.2966915  0.6033085 ]]")
    run.equals("b2", b2, "[0.09912934 0.20087066]")


if __name__ == "__main__":
    main(example)

"""The course's exercises that print numbers: the operations give the same digits.

The numbers are those that the course's reports print; where a scan misread a digit, recomputed.
"""

import numpy as np
import pytest

from fastdl import ops

# Two-layer networks of the exercises: weights are (in, out), as the course has them.
W1 = np.array([[0.1, 0.3, 0.5], [0.2, 0.4, 0.6]])
B1 = np.array([0.1, 0.2, 0.3])


@pytest.fixture(params=["reference", "cython", "numba"], autouse=True)
def on_each_backend(request, need_backend):
    import fastdl

    need_backend(request.param)
    with fastdl.use_backend(request.param):
        yield


def dense(x, w, b):
    return ops.gemm(x, w, bias=b)


class TestOneUnit:
    """Exercise 1: one unit, forward."""

    def test_relu(self):
        u = dense(np.array([[2.0, 3.0]]), np.array([[0.1], [0.2]]), np.array([0.5]))
        assert f"{u.item():.15g}" == "1.3"
        assert ops.relu(u).item() == u.item()

    def test_sigmoid(self):
        # Whole weights [3, 3], bias -0.9937218440748694.
        u = dense(np.array([[2.0, 3.0]]), np.array([[3.0], [3.0]]), np.array([-0.9937218440748694]))
        assert f"{u.item():.16g}" == "14.00627815592513"
        assert f"{ops.sigmoid(np.array(14.00627815592513)).item():.16g}" == "0.9999991736760774"


class TestClassifier:
    """Exercise 2: a 2-3-4 classifier, forward, and its cross-entropy."""

    W2 = np.array([[0.1, 0.4, 0.7, 1.0], [0.2, 0.5, 0.8, 1.1], [0.3, 0.6, 0.9, 1.2]])
    B2 = np.array([0.1, 0.2, 0.3, 0.4])

    @pytest.fixture
    def output(self):
        z = ops.relu(dense(np.array([[1.0, 2.0]]), W1, B1))
        assert str(z) == "[[0.6 1.3 2. ]]"
        u = dense(z, self.W2, self.B2)
        assert str(u) == "[[1.02 2.29 3.56 4.83]]"
        return ops.softmax(u)

    def test_softmax(self, output):
        assert str(output[0]) == "[0.01602796 0.05707321 0.20322929 0.72366954]"

    def test_cross_entropy(self, output):
        loss = ops.cross_entropy(output, np.array([[0, 0, 0, 1]]), eps=1e-7)
        assert loss == pytest.approx(0.32342029336019423, rel=4e-16, abs=0)


class TestBackpropagation:
    """Exercise 3: a 2-3-2 classifier, backward, and one step of gradient descent."""

    X, T, LR = np.array([[1.0, 5.0]]), np.array([[0.0, 1.0]]), 0.01

    @pytest.fixture
    def network(self):
        return {"w1": W1.copy(), "b1": B1.copy(), "b2": np.array([0.1, 0.2]),
                "w2": np.array([[0.1, 0.4], [0.2, 0.5], [0.3, 0.6]])}

    def gradients(self, network):
        z = ops.relu(dense(self.X, network["w1"], network["b1"]))
        np.testing.assert_allclose(z, [[1.2, 2.5, 3.8]], rtol=1e-15)
        y = ops.softmax(dense(z, network["w2"], network["b2"]))
        assert str(y) == "[[0.08706577 0.91293423]]"
        du2 = ops.softmax_cross_entropy_backward(y, self.T)
        du1 = ops.relu_backward(ops.gemm(du2, network["w2"], trans_b=True), z)
        return du2, {"w1": ops.gemm(self.X, du1, trans_a=True), "b1": du1[0],
                     "w2": ops.gemm(z, du2, trans_a=True), "b2": du2[0]}

    def test_gradients(self, network):
        du2, gradients = self.gradients(network)
        assert str(du2) == "[[ 0.08706577 -0.08706577]]"
        assert str(gradients["w1"]) == ("[[-0.02611973 -0.02611973 -0.02611973]\n"
                                        " [-0.13059866 -0.13059866 -0.13059866]]")
        assert str(gradients["b1"]) == "[-0.02611973 -0.02611973 -0.02611973]"
        assert str(gradients["w2"]) == ("[[ 0.10447893 -0.10447893]\n"
                                        " [ 0.21766443 -0.21766443]\n"
                                        " [ 0.33084994 -0.33084994]]")

    def test_step(self, network):
        _, gradients = self.gradients(network)
        for name, parameter in network.items():
            ops.sgd_update(parameter, gradients[name], lr=self.LR)
        assert str(network["w1"]) == ("[[0.1002612  0.3002612  0.5002612 ]\n"
                                      " [0.20130599 0.40130599 0.60130599]]")
        assert str(network["b1"]) == "[0.1002612 0.2002612 0.3002612]"
        assert str(network["w2"]) == ("[[0.09895521 0.40104479]\n"
                                      " [0.19782336 0.50217664]\n"
                                      " [0.2966915  0.6033085 ]]")
        assert str(network["b2"]) == "[0.09912934 0.20087066]"


class TestIm2col:
    """Exercise 4: two printed images of 4 × 4, filter 3 × 3."""

    def test_with_transpose(self):
        x = np.array([[48, 2, 74, 50, 60, 0, 56, 22, 62, 44, 0, 95, 70, 60, 21, 76],
                      [56, 96, 73, 30, 80, 67, 13, 1, 62, 24, 85, 17, 69, 32, 60, 93]])
        np.testing.assert_array_equal(ops.im2col(x.reshape(2, 1, 4, 4), 3), [
            [48, 2, 74, 60, 0, 56, 62, 44, 0],
            [2, 74, 50, 0, 56, 22, 44, 0, 95],
            [60, 0, 56, 62, 44, 0, 70, 60, 21],
            [0, 56, 22, 44, 0, 95, 60, 21, 76],
            [56, 96, 73, 80, 67, 13, 62, 24, 85],
            [96, 73, 30, 67, 13, 1, 24, 85, 17],
            [80, 67, 13, 62, 24, 85, 69, 32, 60],
            [67, 13, 1, 24, 85, 17, 32, 60, 93]])

    def test_without_transpose(self):
        x = np.array([[14, 76, 97, 14, 44, 48, 34, 61, 2, 88, 9, 53, 35, 91, 1, 31],
                      [96, 41, 66, 64, 56, 57, 67, 31, 22, 75, 63, 49, 9, 30, 23, 17]])
        col = ops.im2col(x.reshape(2, 1, 4, 4), 3, transpose=False)
        np.testing.assert_array_equal(col.reshape(8, 9), [
            [14, 76, 44, 48, 76, 97, 48, 34, 97],
            [14, 34, 61, 44, 48, 2, 88, 48, 34],
            [88, 9, 34, 61, 9, 53, 2, 88, 35],
            [91, 88, 9, 91, 1, 9, 53, 1, 31],
            [96, 41, 56, 57, 41, 66, 57, 67, 66],
            [64, 67, 31, 56, 57, 22, 75, 57, 67],
            [75, 63, 67, 31, 63, 49, 22, 75, 9],
            [30, 75, 63, 30, 23, 63, 49, 23, 17]])

"""Optimizers of both profiles against plain NumPy, on what scripts give them."""

import numpy as np
import pytest
from plain import optimizers as plain

from fastdl.dropin.studyai.common import optimizer as studyai
from fastdl.dropin.zero1.common import optimizer as zero1

NAMES = ("SGD", "Momentum", "Nesterov", "AdaGrad", "RMSprop", "Adam")
PROFILES = {"zero1": (zero1, "lr"), "studyai": (studyai, "learning_rate")}


def expected_class(profile, name):
    if (profile, name) == ("studyai", "Nesterov"):
        return plain.NesterovOfNewVelocity
    return getattr(plain, name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("profile", PROFILES)
def test_steps(rng, profile, name):
    module, rate = PROFILES[profile]
    ours, expected = getattr(module, name)(**{rate: 0.05}), expected_class(profile, name)(0.05)
    params = {"W1": rng.normal(size=(30, 7)), "b1": np.zeros(7), "scale": rng.normal(size=3)}
    arrays = dict(params)
    plain_params = {key: value.copy() for key, value in params.items()}
    for _ in range(5):
        grads = {key: rng.normal(size=value.shape) for key, value in params.items()}
        ours.update(params, grads)
        expected.update(plain_params, grads)
    for key, value in plain_params.items():
        assert params[key] is arrays[key]
        np.testing.assert_allclose(params[key], value, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_numbers(name):
    """The comparison of optimizers on a surface: parameters are numbers."""
    ours, expected = getattr(zero1, name)(lr=0.1), expected_class("zero1", name)(0.1)
    params, plain_params = {"x": -7.0, "y": 2.0}, {"x": np.array(-7.0), "y": np.array(2.0)}
    for _ in range(10):
        ours.update(params, {"x": params["x"] / 10, "y": 2 * params["y"]})
        expected.update(plain_params, {key: value * factor for (key, value), factor
                                       in zip(plain_params.items(), (0.1, 2), strict=True)})
    for key, value in plain_params.items():
        assert params[key] == pytest.approx(float(value), rel=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_other_arrays(rng, name):
    """Transposed, of float32, twice in the dict, with gradients of float32, of integers."""
    twice = rng.normal(size=4)
    params = {"transposed": rng.normal(size=(5, 3)).T, "single": np.ones(4, np.float32),
              "first": twice, "second": twice, "half": np.ones(3, np.float16)}
    grads = {key: rng.normal(size=value.shape).astype(np.float32)
             for key, value in params.items()}
    grads["half"] = np.ones(3, np.float16)
    copies = {key: value.copy() for key, value in params.items()}
    copies["second"] = copies["first"]
    arrays = dict(params)
    ours, expected = getattr(zero1, name)(lr=0.05), expected_class("zero1", name)(0.05)
    for _ in range(3):
        ours.update(params, grads)
        expected.update(copies, grads)
    for key, value in copies.items():
        assert params[key] is arrays[key]
        np.testing.assert_allclose(params[key], value, rtol=5e-3 if key == "half" else 1e-5)


def test_states_are_visible(rng):
    params, grads = {"W": rng.normal(size=(4, 3))}, {"W": rng.normal(size=(4, 3))}
    adam, momentum = zero1.Adam(), zero1.Momentum(lr=0.1)
    assert (adam.m, adam.v, adam.iter, momentum.v) == (None, None, 0, None)
    adam.update(params, grads)
    momentum.update(params, grads)
    assert adam.iter == 1
    np.testing.assert_allclose(adam.m["W"], 0.1 * grads["W"])
    np.testing.assert_allclose(adam.v["W"], 0.001 * grads["W"]**2)
    np.testing.assert_allclose(momentum.v["W"], -0.1 * grads["W"])


def test_rate_may_change():
    sgd, params = studyai.SGD(learning_rate=1.0), {"W": np.zeros(2)}
    sgd.update(params, {"W": np.ones(2)})
    sgd.learning_rate = 0.5
    sgd.update(params, {"W": np.ones(2)})
    np.testing.assert_array_equal(params["W"], [-1.5, -1.5])


def test_one_optimizer_for_several_networks():
    sgd = zero1.SGD(lr=0.5)
    for shape in ((3,), (2, 2)):
        params = {"W": np.ones(shape)}
        sgd.update(params, {"W": np.ones(shape)})
        np.testing.assert_array_equal(params["W"], np.full(shape, 0.5))


def test_missing_gradient_is_an_error():
    with pytest.raises(KeyError):
        zero1.SGD().update({"W": np.ones(2)}, {})

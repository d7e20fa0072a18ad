"""Update steps against PyTorch's optimizers, over several steps, and by hand."""

import numpy as np
import pytest

from fastdl import ops

STEPS = 6


def nadam_schedule(step, beta1=0.9, decay=0.004):
    """mu, mu_next and the product of all mu so far, of PyTorch's NAdam (Dozat, 2016)."""
    mu = [beta1 * (1 - 0.5 * 0.96 ** (i * decay)) for i in range(1, step + 2)]
    return {"mu": mu[-2], "mu_next": mu[-1], "mu_product": np.prod(mu[:-1])}


@pytest.fixture
def double(torch):
    """PyTorch keeps some of its optimizers' scalars in the default dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(before)


def counted(step):
    return {"step": step}


def no_options(step):
    return {}


OPTIMIZERS = {  # our update, number of state arrays, options; PyTorch's class, options
    "sgd": (ops.sgd_update, 0, no_options, {"lr": 0.1}, "SGD", {"lr": 0.1}),
    "momentum": (ops.momentum_update, 1, no_options, {"lr": 0.1, "momentum": 0.8},
                 "SGD", {"lr": 0.1, "momentum": 0.8}),
    "nesterov": (ops.nesterov_update, 1, no_options, {"lr": 0.1, "momentum": 0.8},
                 "SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True}),
    "adagrad": (ops.adagrad_update, 1, no_options, {"lr": 0.1}, "Adagrad", {"lr": 0.1}),
    "adadelta": (ops.adadelta_update, 2, no_options, {}, "Adadelta", {}),
    "rmsprop": (ops.rmsprop_update, 1, no_options, {"lr": 0.01}, "RMSprop", {"lr": 0.01}),
    "adam": (ops.adam_update, 2, counted, {}, "Adam", {}),
    "adam, all options": (ops.adam_update, 2, counted,
                          {"lr": 0.1, "beta1": 0.7, "beta2": 0.9, "eps": 1e-3},
                          "Adam", {"lr": 0.1, "betas": (0.7, 0.9), "eps": 1e-3}),
    "adamw": (ops.adamw_update, 2, counted, {}, "AdamW", {}),
    "nadam": (ops.nadam_update, 2, lambda step: counted(step) | nadam_schedule(step), {},
              "NAdam", {}),
}


@pytest.mark.parametrize("weight_decay", [None, 0.0, 0.1])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_as_pytorch(name, weight_decay, rng, double):
    """Also with neither's weight decay given: the defaults are the same."""
    update, states, options_of_step, options, theirs, their_options = OPTIMIZERS[name]
    decay = {} if weight_decay is None else {"weight_decay": weight_decay}
    w = rng.standard_normal((3, 4))
    parameter = double.nn.Parameter(double.tensor(w))
    optimizer = getattr(double.optim, theirs)([parameter], **their_options, **decay)
    state = [np.zeros_like(w) for _ in range(states)]
    for step in range(1, STEPS + 1):
        dw = rng.standard_normal((3, 4))
        update(w, dw, *state, **options, **options_of_step(step), **decay)
        parameter.grad = double.tensor(dw)
        optimizer.step()
        np.testing.assert_allclose(w, parameter.detach().numpy(), rtol=1e-11, atol=1e-13)


def test_momentum_by_hand():
    w, v = np.array([1.0]), np.array([2.0])
    ops.momentum_update(w, np.array([3.0]), v, lr=0.1, momentum=0.5)
    assert (v.item(), w.item()) == (4, pytest.approx(0.6))


def test_nesterov_by_hand():
    w, v = np.array([1.0]), np.array([2.0])
    ops.nesterov_update(w, np.array([3.0]), v, lr=0.1, momentum=0.5)
    assert (v.item(), w.item()) == (4, pytest.approx(0.5))


def test_first_step_of_adam_is_the_learning_rate():
    w = np.zeros(3)
    ops.adam_update(w, np.array([5.0, -0.01, 0]), np.zeros(3), np.zeros(3), step=1, lr=0.1, eps=0.1)
    # m̂ = g and v̂ = g²: the step is lr * g / (|g| + eps).
    np.testing.assert_allclose(w, [-0.5 / 5.1, 0.001 / 0.11, 0], rtol=1e-14)


def test_parameters_keep_their_identity_in_any_layout(rng):
    """A view is updated through to its base, also where the kernel needs a copy."""
    base = rng.standard_normal((4, 6))
    views = {"transposed": lambda a: a.T, "every second": lambda a: a[:, ::2],
             "reversed": lambda a: a[::-1]}
    for name, view in views.items():
        whole, moments = base.copy(), np.ones_like(base)
        w, v = view(whole), view(moments)
        expected_w, expected_v = w.copy(), v.copy()
        dw = rng.standard_normal(w.shape)
        ops.momentum_update(expected_w, dw, expected_v, lr=0.1)
        ops.momentum_update(w, dw, v, lr=0.1)
        np.testing.assert_array_equal(view(whole), expected_w, name)
        np.testing.assert_array_equal(view(moments), expected_v, name)
        assert (whole != base).sum() == w.size

"""Update steps against PyTorch's optimizers, over several steps, and by hand."""

import numpy as np
import pytest

import fastdl as fd
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


# ---- lists ----

def lists(*shapes, dtype="float64"):
    rng = np.random.default_rng(3)
    return [rng.uniform(1, 2, shape).astype(dtype) for shape in shapes]


MIXED = (3, 4), (), (0,), (300,), (1,)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_lists_do_what_one_after_the_other_does(name):
    update, states, options_of_step, options, *_ = OPTIMIZERS[name]
    together = [lists(*MIXED) for _ in range(2 + states)]
    apart = [[a.copy() for a in arrays] for arrays in together]
    kept = [list(arrays) for arrays in together]
    update(*together, **options_of_step(2), **options)
    for arrays in zip(*apart, strict=True):
        update(*arrays, **options_of_step(2), **options)
    for mine, others, same in zip(together, apart, kept, strict=True):
        for a, b, c in zip(mine, others, same, strict=True):
            np.testing.assert_array_equal(a, b)
            assert a is c


def test_no_parameters_at_all():
    ops.adam_update([], [], [], [], step=1)


def test_lists_of_awkward_arrays(rng):
    """Not contiguous, byte-swapped, gradients of integers: as if they were not."""
    ws, vs = lists((4, 5), (6,), (3,)), lists((4, 5), (6,), (3,))
    dws = [rng.integers(-3, 4, w.shape) for w in ws]
    awkward_ws = [np.asfortranarray(ws[0]), ws[1].astype(">f8"), np.repeat(ws[2], 2)[::2]]
    awkward_vs = [vs[0].copy(), vs[1].astype(">f8"), np.repeat(vs[2], 3)[::3]]
    ops.momentum_update(awkward_ws, [dws[0], dws[1].astype(float), dws[2].tolist()], awkward_vs,
                        lr=0.5)
    ops.momentum_update(ws, [dw.astype(float) for dw in dws], vs, lr=0.5)
    for mine, other in zip([*awkward_ws, *awkward_vs], [*ws, *vs], strict=True):
        np.testing.assert_array_equal(mine, other)


def _spoil(key, value):
    arrays = {"w": lists((2,), (3,)), "dw": lists((2,), (3,)), "v": lists((2,), (3,))}
    arrays[key][1] = value
    return arrays


READ_ONLY = np.ones(3)
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(("key", "value", "error", "message"), [
    ("dw", np.ones(4), fd.ShapeError, r"dw\[1\] must be \(3,\) like w\[1\], got \(4,\)"),
    ("dw", np.ones(3, "f4"), fd.DTypeError, r"dw\[1\] is float32 but w\[1\] is float64"),
    ("v", np.ones(4), fd.ShapeError, r"v\[1\] must be float64 \(3,\) like w\[1\], got float64 \(4"),
    ("v", READ_ONLY, fd.ArgumentError, r"v\[1\] is changed in place, but it is read-only"),
    ("v", [1, 2, 3], fd.DTypeError, r"v\[1\] must be a floating array, got list"),
    ("w", READ_ONLY, fd.ArgumentError, r"w\[1\] is changed in place, but it is read-only"),
    ("w", np.ones(3, int), fd.DTypeError, r"w\[1\] must be a floating array, got int64"),
    ("w", None, fd.DTypeError, r"w\[1\] must be a floating array, got NoneType"),
])
def test_one_bad_array_in_lists_changes_nothing(key, value, error, message):
    arrays = _spoil(key, value)
    before = [a[0].copy() for a in arrays.values()]
    with pytest.raises(error, match=f"momentum_update: {message}"):
        ops.momentum_update(**arrays, lr=0.1)
    for given, copy in zip(arrays.values(), before, strict=True):
        np.testing.assert_array_equal(given[0], copy)


def test_lists_must_be_as_long_as_each_other():
    w, dw, v = lists((2,), (3,)), lists((2,)), lists((2,), (3,))
    with pytest.raises(fd.ArgumentError, match="dw must be a list of 2 arrays like w, got 1"):
        ops.momentum_update(w, dw, v, lr=1)
    with pytest.raises(fd.ArgumentError, match="v must be a list of 2 arrays like w, got ndarray"):
        ops.momentum_update(w, v, np.ones(2), lr=1)


def test_lists_are_of_one_dtype():
    ws = [np.ones(2), np.ones(3, "f4")]
    with pytest.raises(fd.DTypeError, match=r"w\[1\] is float32 but w\[0\] is float64"):
        ops.sgd_update(ws, [np.ones(2), np.ones(3, "f4")], lr=1)
    np.testing.assert_array_equal(ws[0], 1)


@pytest.mark.parametrize("backend", ["cython", "numba", "reference"])
def test_no_weight_decay_leaves_infinite_parameters_alone(backend, need_backend):
    need_backend(backend)
    w = np.array([np.inf, 1.0])
    ops.sgd_update(w, np.ones(2), lr=0.5, backend=backend)
    np.testing.assert_array_equal(w, [np.inf, 0.5])

"""Optimizers against PyTorch's, step by step, through ``update`` with dicts."""

import numpy as np
import pytest

import fastdl as fd
from fastdl import optimizers

CASES = {
    "sgd": (lambda: optimizers.SGD(lr=0.1), lambda o, p: o.SGD(p, lr=0.1)),
    "sgd, decay": (lambda: optimizers.SGD(lr=0.1, weight_decay=0.3),
                   lambda o, p: o.SGD(p, lr=0.1, weight_decay=0.3)),
    "momentum": (lambda: optimizers.Momentum(lr=0.1),
                 lambda o, p: o.SGD(p, lr=0.1, momentum=0.9)),
    "momentum, decay": (lambda: optimizers.SGD(0.05, momentum=0.7, weight_decay=0.3),
                        lambda o, p: o.SGD(p, lr=0.05, momentum=0.7, weight_decay=0.3)),
    "nesterov": (lambda: optimizers.Nesterov(lr=0.1),
                 lambda o, p: o.SGD(p, lr=0.1, momentum=0.9, nesterov=True)),
    "nesterov, decay": (lambda: optimizers.SGD(0.05, 0.7, 0.3, nesterov=True),
                        lambda o, p: o.SGD(p, lr=0.05, momentum=0.7, weight_decay=0.3,
                                           nesterov=True)),
    "adagrad": (lambda: optimizers.Adagrad(), lambda o, p: o.Adagrad(p)),
    "adagrad, decay": (lambda: optimizers.Adagrad(0.2, 1e-3, 0.3),
                       lambda o, p: o.Adagrad(p, lr=0.2, eps=1e-3, weight_decay=0.3)),
    "adadelta": (lambda: optimizers.Adadelta(), lambda o, p: o.Adadelta(p)),
    "adadelta, decay": (lambda: optimizers.Adadelta(0.5, 0.8, 1e-3, 0.3),
                        lambda o, p: o.Adadelta(p, lr=0.5, rho=0.8, eps=1e-3, weight_decay=0.3)),
    "rmsprop": (lambda: optimizers.RMSprop(), lambda o, p: o.RMSprop(p)),
    "rmsprop, decay": (lambda: optimizers.RMSprop(0.02, 0.8, 1e-3, 0.3),
                       lambda o, p: o.RMSprop(p, lr=0.02, alpha=0.8, eps=1e-3, weight_decay=0.3)),
    "adam": (lambda: optimizers.Adam(), lambda o, p: o.Adam(p)),
    "adam, decay": (lambda: optimizers.Adam(0.02, (0.8, 0.95), 1e-3, 0.3),
                    lambda o, p: o.Adam(p, 0.02, (0.8, 0.95), 1e-3, 0.3)),
    "adamw": (lambda: optimizers.AdamW(), lambda o, p: o.AdamW(p)),
    "adamw, decay": (lambda: optimizers.AdamW(0.02, (0.8, 0.95), 1e-3, 0.3),
                     lambda o, p: o.AdamW(p, 0.02, (0.8, 0.95), 1e-3, 0.3)),
    "nadam": (lambda: optimizers.NAdam(), lambda o, p: o.NAdam(p)),
    "nadam, decay": (lambda: optimizers.NAdam(0.02, (0.8, 0.95), 1e-3, 0.3, 0.01),
                     lambda o, p: o.NAdam(p, 0.02, (0.8, 0.95), 1e-3, 0.3, 0.01)),
}
each_case = pytest.mark.parametrize(("make", "twin"), CASES.values(), ids=CASES.keys())
each_kind = pytest.mark.parametrize("make", [make for make, _ in CASES.values()], ids=CASES.keys())


@pytest.fixture
def torch():
    """PyTorch, computing in float64: its NAdam keeps a product of momenta in the default dtype."""
    torch = pytest.importorskip("torch")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(before)


def start(dtype="float64"):
    rng = np.random.default_rng(1)
    return {name: rng.standard_normal(shape).astype(dtype)
            for name, shape in (("w", (3, 4)), ("b", (4,)))}


def gradients(step, dtype="float64"):
    rng = np.random.default_rng(100 + step)
    return {name: rng.standard_normal(w.shape).astype(dtype) for name, w in start().items()}


def run(optimizer, params, steps, dtype="float64"):
    for step in steps:
        optimizer.update(params, gradients(step, dtype))
    return params


@each_case
@pytest.mark.parametrize(("dtype", "close"), [
    ("float64", {"rtol": 1e-10, "atol": 1e-12}), ("float32", {"rtol": 1e-4, "atol": 1e-5})])
def test_ten_steps_as_in_pytorch(make, twin, dtype, close, torch):
    """The learning rate changes on the way, by itself and by a schedule's factor."""
    params, optimizer = start(dtype), make()
    tensors = {name: torch.tensor(w, requires_grad=True) for name, w in params.items()}
    theirs = twin(torch.optim, tensors.values())
    rate = optimizer.lr
    assert theirs.param_groups[0]["lr"] == rate
    for step in range(10):
        optimizer.lr = rate / 2 if step >= 4 else rate
        optimizer.lr_scale = 3 if step >= 7 else 1
        theirs.param_groups[0]["lr"] = optimizer.rate
        grads = gradients(step, dtype)
        for name, tensor in tensors.items():
            tensor.grad = torch.tensor(grads[name])
        theirs.step()
        optimizer.update(params, grads)
        for name, w in params.items():
            assert w.dtype == dtype
            np.testing.assert_allclose(w, tensors[name].detach().numpy(), **close,
                                       err_msg=f"{name} after {step + 1} steps")


def test_every_optimizer_is_tested():
    assert {type(make()) for make, _ in CASES.values()} == {
        type(optimizers.get(name)) for name in optimizers.names()}


# ---- by hand ----

def test_sgd_by_hand():
    params = {"w": np.array([1.0, -2.0])}
    optimizers.SGD(lr=0.1, weight_decay=0.5).update(params, {"w": np.array([3.0, 0])})
    np.testing.assert_allclose(params["w"], [1 - 0.1 * (3 + 0.5), -2 - 0.1 * -1])


def test_momentum_by_hand():
    params, optimizer = {"w": np.zeros(1)}, optimizers.Momentum(lr=1, momentum=0.5)
    for expected in (-1, -2.5, -4.25):                  # v = 1, 1.5, 1.75
        optimizer.update(params, {"w": np.ones(1)})
        assert params["w"] == expected


def test_first_step_of_adam_is_the_learning_rate():
    params = {"w": np.zeros(2)}
    optimizers.Adam(lr=0.1).update(params, {"w": np.array([1e-3, -1e3])})
    np.testing.assert_allclose(params["w"], [-0.1, 0.1], rtol=1e-4)


# ---- what is changed ----

@each_kind
def test_parameters_keep_their_identity_and_gradients_their_values(make):
    params, grads = start(), gradients(0)
    kept = dict(params)
    for array in grads.values():
        array.flags.writeable = False
    make().update(params, grads)
    assert all(params[name] is array for name, array in kept.items())


@each_kind
@pytest.mark.parametrize(("wrong", "error", "message"), [
    ({"w": gradients(2)["w"]}, fd.ArgumentError, "update: no gradient for b; call backward first"),
    ({}, fd.ArgumentError, "no gradient for w, b"),
    ({"w": gradients(2)["w"], "b": None}, fd.ArgumentError, "no gradient for b"),
    ({"w": gradients(2)["w"], "b": np.ones(3)}, fd.ShapeError,
     r"update: the gradient of b must be \(4,\), got \(3,\)"),
], ids=["one missing", "all missing", "None", "shape"])
def test_wrong_gradients_change_nothing(make, wrong, error, message):
    params, optimizer = start(), make()
    run(optimizer, params, range(2))
    before, state = {name: w.copy() for name, w in params.items()}, optimizer.state_dict()
    with pytest.raises(error, match=message):
        optimizer.update(params, wrong)
    for name, w in params.items():
        np.testing.assert_array_equal(w, before[name])
    np.testing.assert_equal(optimizer.state_dict(), state)


def test_gradients_of_others_are_ignored():
    params = {"w": np.ones(1)}
    optimizers.SGD(lr=1).update(params, {"w": np.ones(1), "other": np.ones(5)})
    assert params["w"] == 0


def test_parameters_count_their_own_steps():
    """One that joins later starts with its own bias correction."""
    optimizer, late = optimizers.Adam(lr=0.1), {"late": np.zeros(1)}
    run(optimizer, start(), range(3))
    optimizer.update(late, {"late": np.full(1, 5.0)})
    np.testing.assert_allclose(late["late"], [-0.1])
    assert optimizer.state["w"]["step"] == 3
    assert optimizer.state["late"]["step"] == 1


# ---- what is prepared once is prepared anew when something changes ----

def twins(make):
    """Two optimizers that start alike, with their parameters."""
    return (make(), start()), (make(), start())


@each_kind
def test_each_call_may_bring_other_arrays(make):
    """Arrays in place of others, under the same names, and gradients that are written again."""
    (one, params), (other, others) = twins(make)
    grads = gradients(0)
    for step in range(6):
        for name, dw in gradients(step).items():
            grads[name][...] = dw
        if step == 2:
            params = {name: w.copy() for name, w in params.items()}
        if step == 4:
            grads = {name: dw.copy() for name, dw in grads.items()}
        one.update(params, grads)
        other.update(others, gradients(step))
    for name, w in params.items():
        np.testing.assert_array_equal(w, others[name])
    np.testing.assert_equal(one.state_dict(), other.state_dict())


@each_kind
def test_state_that_is_taken_away_starts_anew(make):
    optimizer, params = make(), start()
    run(optimizer, params, range(3))
    optimizer.state.clear()
    fresh, others = make(), {name: w.copy() for name, w in params.items()}
    run(optimizer, params, range(3, 6))
    run(fresh, others, range(3, 6))
    for name, w in params.items():
        np.testing.assert_array_equal(w, others[name])
    assert all(state["step"] == 3 for state in optimizer.state.values())


def test_state_arrays_may_be_replaced():
    optimizer, params = optimizers.Momentum(lr=1.0, momentum=0.5), {"w": np.zeros(1)}
    optimizer.update(params, {"w": np.ones(1)})
    optimizer.state["w"]["v"] = np.full(1, 10.0)
    optimizer.update(params, {"w": np.ones(1)})
    assert params["w"] == -1 - (5 + 1)
    assert optimizer.state["w"]["v"] == 6


def test_step_numbers_may_be_set():
    optimizer, params = optimizers.Adam(lr=0.1), start()
    run(optimizer, params, range(2))
    optimizer.state["w"]["step"] = 0
    run(optimizer, params, range(2))
    assert [state["step"] for state in optimizer.state.values()] == [2, 4]


def test_momentum_may_be_switched_on_and_off():
    optimizer, params, grads = optimizers.SGD(lr=1.0), {"w": np.zeros(1)}, {"w": np.ones(1)}
    expected = 0
    for momentum, step in [(0, 1), (0.5, 1), (0.5, 1.5), (0, 1)]:
        optimizer.momentum = momentum
        optimizer.update(params, grads)
        expected -= step
        assert params["w"] == expected


def test_joining_later_each_has_its_own_step(torch):
    """Parameters of different numbers of steps in one call."""
    params = {"w": np.zeros((2, 3)), "late": np.zeros(4)}
    optimizer = optimizers.NAdam(lr=0.1)
    for step in range(5):
        names = ["w"] if step < 3 else ["w", "late"]
        grads = {name: np.full(params[name].shape, 0.5 + step) for name in names}
        optimizer.update({name: params[name] for name in names}, grads)
    for name, steps in (("w", range(5)), ("late", range(3, 5))):
        tensor = torch.zeros(params[name].shape, requires_grad=True)
        theirs = torch.optim.NAdam([tensor], lr=0.1)
        for step in steps:
            tensor.grad = torch.full(tensor.shape, 0.5 + step)
            theirs.step()
        np.testing.assert_allclose(params[name], tensor.detach().numpy(), rtol=1e-12)


def test_one_array_under_two_names_is_updated_twice():
    w = np.zeros(100_000)
    optimizers.SGD(lr=1).update({"a": w, "b": w}, {"a": np.ones(w.size), "b": np.full(w.size, 2.0)})
    np.testing.assert_array_equal(w, -3)


def test_each_dtype_keeps_its_own():
    params = {"a": np.ones(3), "b": np.ones(3, "f4"), "c": np.ones(3, "f2"), "d": np.ones(3)}
    with pytest.warns(Warning, match="float16"):
        optimizers.Adam(lr=0.5).update(params, {name: w.copy() for name, w in params.items()})
    for w, dtype in zip(params.values(), ("f8", "f4", "f2", "f8"), strict=True):
        assert w.dtype == dtype
        np.testing.assert_allclose(w, 0.5, rtol=1e-3)


@each_kind
@pytest.mark.parametrize("fresh", [True, False], ids=["first call", "later call"])
def test_gradient_of_another_dtype_changes_nothing(make, fresh):
    params, optimizer = start(), make()
    run(optimizer, params, range(0 if fresh else 2))
    before, state = {name: w.copy() for name, w in params.items()}, optimizer.state_dict()
    wrong = gradients(2) | {"b": np.ones(4, np.float32)}
    with pytest.raises(fd.DTypeError, match="dw of b is float32 but w of b is float64"):
        optimizer.update(params, wrong)
    for name, w in params.items():
        np.testing.assert_array_equal(w, before[name])
    np.testing.assert_equal(optimizer.state_dict(), state)
    run(optimizer, params, [2])


# ---- going on ----

@each_kind
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_state_goes_on_bit_for_bit(make, dtype):
    unbroken = run(make(), start(dtype), range(10), dtype)
    optimizer = make()
    half = run(optimizer, start(dtype), range(5), dtype)
    saved = optimizer.state_dict()
    run(optimizer, {name: w.copy() for name, w in half.items()}, range(3), dtype)   # saved: a copy
    other = make()
    other.lr = 123
    other.load_state_dict(saved)
    resumed = run(other, half, range(5, 10), dtype)
    for name, w in unbroken.items():
        np.testing.assert_array_equal(resumed[name], w)


def test_loading_copies():
    optimizer, other = optimizers.Adam(), optimizers.Adam()
    run(optimizer, start(), range(2))
    saved = optimizer.state_dict()
    other.load_state_dict(saved)
    before = saved["state"]["w"]["m"].copy()
    run(other, start(), range(2))
    np.testing.assert_array_equal(saved["state"]["w"]["m"], before)


def test_settings():
    optimizer = optimizers.SGD(lr=1, momentum=0.5, nesterov=True)
    assert optimizer.settings() == {"lr": 1.0, "lr_scale": 1.0, "weight_decay": 0.0,
                                    "momentum": 0.5, "nesterov": True}
    optimizer.lr = np.float32(0.25)                     # a setting all the same
    assert type(optimizer.settings()["lr"]) is float
    assert optimizer.settings()["lr"] == 0.25


def test_state_of_another_optimizer_is_refused():
    adam, sgd = optimizers.Adam(), optimizers.SGD(lr=0.5)
    with pytest.raises(fd.CheckpointError, match=r"SGD: the saved optimizer has settings .*beta1"):
        sgd.load_state_dict(adam.state_dict())
    assert sgd.lr == 0.5


# ---- names and options ----

def test_defaults_are_pytorchs(torch):
    for name, kind in (("SGD", optimizers.SGD), ("Adagrad", optimizers.Adagrad),
                       ("Adadelta", optimizers.Adadelta), ("RMSprop", optimizers.RMSprop),
                       ("Adam", optimizers.Adam), ("AdamW", optimizers.AdamW),
                       ("NAdam", optimizers.NAdam)):
        theirs = getattr(torch.optim, name)([torch.zeros(1, requires_grad=True)]).defaults
        theirs["beta1"], theirs["beta2"] = theirs.get("betas", (None, None))
        ours = kind().settings()
        assert {key: value for key, value in ours.items() if key != "lr_scale"} == {
            key: theirs[key] for key in ours if key != "lr_scale"}


def test_get():
    assert type(optimizers.get("NAdam", lr=0.5)) is optimizers.NAdam
    assert optimizers.get("NAdam", lr=0.5).lr == 0.5
    mine = optimizers.Adam()
    assert optimizers.get(mine) is mine
    assert optimizers.AdaGrad is optimizers.Adagrad
    for wrong in ("adamm", None, 3):
        with pytest.raises(fd.ArgumentError, match=r"unknown optimizer .*; there are: sgd, momen"):
            optimizers.get(wrong)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: optimizers.SGD(lr=-1), r"lr must be in \[0, inf\), got -1"),
    (lambda: optimizers.Adam(lr=float("nan")), "lr must be in .* got nan"),
    (lambda: optimizers.SGD(weight_decay=-1), "weight_decay must be in .* got -1"),
    (lambda: optimizers.SGD(momentum=1), r"momentum must be in \[0, 1\), got 1"),
    (lambda: optimizers.SGD(nesterov=True), "SGD: nesterov needs a momentum above 0"),
    (lambda: optimizers.Adam(betas=(0.9, 1)), r"betas must be in \[0, 1\), got 1"),
    (lambda: optimizers.Adam(eps=-1), "eps must be in"),
    (lambda: optimizers.RMSprop(alpha=1), "alpha must be in"),
    (lambda: optimizers.Adadelta(rho=2), "rho must be in"),
])
def test_bad_options(make, message):
    with pytest.raises(fd.ArgumentError, match=message):
        make()


def test_own_optimizer_is_one_function():
    class Sign(optimizers.Optimizer):
        slots = ("last",)

        def step_of(self, w, dw, state):
            state["last"][...] = dw
            w -= self.rate * np.sign(dw)

    params, optimizer = {"w": np.zeros(2)}, Sign(lr=0.5)
    optimizer.update(params, {"w": np.array([3.0, -4.0])})
    np.testing.assert_array_equal(params["w"], [-0.5, 0.5])
    np.testing.assert_array_equal(optimizer.state["w"]["last"], [3, -4])
    with pytest.raises(NotImplementedError):
        optimizers.Optimizer(lr=1).update(params, params)


# ---- clipping ----

def test_clipping_as_pytorch(rng):
    torch = pytest.importorskip("torch")
    arrays = {"a": rng.standard_normal((3, 4)), "b": 3 * rng.standard_normal(5)}
    for ours, theirs, limit in (
            (fd.optimizers.clip_grad_norm, torch.nn.utils.clip_grad_norm_, 1.5),
            (fd.optimizers.clip_grad_norm, torch.nn.utils.clip_grad_norm_, 100.0),
            (fd.optimizers.clip_grad_value, torch.nn.utils.clip_grad_value_, 0.7)):
        grads = {name: array.copy() for name, array in arrays.items()}
        tensors = [torch.zeros(array.shape, dtype=torch.float64) for array in arrays.values()]
        for tensor, array in zip(tensors, arrays.values(), strict=True):
            tensor.grad = torch.tensor(array)
        norm, expected = ours(grads, limit), theirs(tensors, limit)
        if norm is not None:
            assert norm == pytest.approx(expected.item(), rel=1e-12)
        for dw, tensor in zip(grads.values(), tensors, strict=True):
            np.testing.assert_allclose(dw, tensor.grad.numpy(), rtol=1e-6)


def test_a_trainer_clips(rng):
    """Steps of SGD with a rate of 1 are the clipped gradients."""
    x, t = 100 * rng.standard_normal((8, 3)).astype("float32"), np.zeros((8, 2), "float32")
    for options, largest in (({"clip_norm": 0.5}, None), ({"clip_value": 0.25}, 0.25)):
        net = fd.Sequential(fd.layers.Linear(3, 2))
        before = {name: w.copy() for name, w in net.params.items()}
        fd.Trainer(net, "mse", fd.optimizers.SGD(lr=1.0), **options).step(x, t)
        steps = np.concatenate([(before[name] - w).ravel() for name, w in net.params.items()])
        if largest is None:
            assert np.linalg.norm(steps) == pytest.approx(0.5, rel=1e-4)
        else:
            assert np.abs(steps).max() == pytest.approx(largest, rel=1e-4)
    with pytest.raises(fd.ArgumentError, match="clip_norm must be above 0, got 0"):
        fd.Trainer(fd.Sequential(fd.layers.Linear(3, 2)), clip_norm=0)

"""Estimators: scikit-learn's own checks, and what they do not ask."""

import pickle

import numpy as np
import pytest

import fastdl as fd

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastdl.sklearn import FastdlClassifier, FastdlRegressor


@parametrize_with_checks([FastdlClassifier(), FastdlRegressor()])
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def digits():
    (x, t), test = fd.datasets.digits()
    return x[:300], t[:300], *test


def small(shape, outputs):
    return fd.models.simple_convnet(outputs, shape[0], shape[1])


def test_images_and_labels_that_are_texts(digits):
    x, t, x_test, t_test = digits
    names = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight",
                      "nine"])
    model = FastdlClassifier(small, lr=0.01, epochs=10, random_state=0).fit(x, names[t])
    assert list(model.classes_) == sorted(names)
    assert model.score(x_test, names[t_test]) > 0.75
    p = model.predict_proba(x_test)
    np.testing.assert_array_equal(model.classes_[p.argmax(axis=1)], model.predict(x_test))
    assert model.n_features_in_ == 1
    assert isinstance(model.net_, fd.models.SimpleConvNet)
    assert model.history_.epochs == model.n_iter_ == 10


def test_scikit_learns_own_searches(digits):
    x, t = digits[0].reshape(300, -1), digits[1]
    classifier = FastdlClassifier((30,), lr=0.01, epochs=10, random_state=0)
    model = make_pipeline(StandardScaler(), classifier)
    assert cross_val_score(model, x, t, cv=3).mean() > 0.8
    grid = {"fastdlclassifier__network": [(30,), (30, 20)], "fastdlclassifier__lr": [1e-6, 1e-2]}
    search = GridSearchCV(model, grid, cv=2).fit(x, t)
    assert search.best_params_["fastdlclassifier__lr"] == 1e-2


def test_a_random_state_repeats_and_leaves_the_generator_alone(digits):
    x, t, x_test, _ = digits
    fd.seed(3)
    before = fd.random.get_state()
    first, second = (FastdlClassifier(epochs=2, random_state=seed).fit(x, t).predict_proba(x_test)
                     for seed in (0, 0))
    assert fd.random.get_state() == before
    np.testing.assert_array_equal(first, second)
    other = FastdlClassifier(epochs=2, random_state=1).fit(x, t).predict_proba(x_test)
    assert not np.array_equal(first, other)


def test_without_a_random_state_seed_repeats(digits):
    x, t, x_test, _ = digits
    results = []
    for seed in (5, 5, 6):
        fd.seed(seed)
        results.append(FastdlClassifier(epochs=1).fit(x, t).predict_proba(x_test))
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.array_equal(results[1], results[2])


def test_a_network_is_where_every_fit_begins(digits):
    x, t, x_test, _ = digits
    net = fd.models.mlp(image_size=8)
    before = net.state_dict()
    model = FastdlClassifier(net, optimizer=fd.optimizers.SGD(lr=0.1), lr=0.2, epochs=1,
                             random_state=0)
    first = model.fit(x, t).predict_proba(x_test)
    np.testing.assert_equal(net.state_dict(), before)
    np.testing.assert_array_equal(clone(model).fit(x, t).predict_proba(x_test), first)
    assert model.optimizer.lr == 0.1


def test_early_stopping_keeps_the_best(digits):
    x, t = digits[:2]
    model = FastdlClassifier((30,), epochs=200, lr=0.01, early_stopping=True, patience=5,
                             validation_fraction=0.3, random_state=0).fit(x, t)
    losses = model.history_["val_loss"]
    assert model.n_iter_ == len(losses) == np.argmin(losses) + 1 + 5 < 200
    # The epochs run out before the patience: the best is still what stays.
    rate = {"optimizer": fd.optimizers.SGD(), "lr": 0.0}
    still = FastdlClassifier((30,), epochs=1, early_stopping=True, random_state=0, **rate)
    assert still.fit(x, t).n_iter_ == 1


def test_a_float64_network(rng):
    x, y = rng.standard_normal((50, 3)), rng.standard_normal((50, 2))

    def build(shape, outputs):
        return fd.Sequential(fd.layers.Linear(*shape, outputs)).astype("float64")

    model = FastdlRegressor(build, lr=0.05, epochs=300, batch_size=50, random_state=0).fit(x, y)
    design = np.column_stack([x, np.ones(50)])
    expected = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    np.testing.assert_allclose(model.predict(x), expected, atol=1e-3)


def test_a_pickle_predicts_the_same(digits):
    x, t, x_test, _ = digits
    model = FastdlClassifier(epochs=1, random_state=0).fit(x, t)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(x_test), model.predict_proba(x_test))


@pytest.mark.parametrize(("options", "message"), [
    ({"network": "resnet"}, "network must be a fastdl.Module, a function"),
    ({"network": lambda shape, outputs: None}, "network must be a fastdl.Module, a function"),
    ({"optimizer": "adamm"}, "unknown optimizer 'adamm'"),
    ({"epochs": 0}, "epochs must be an integer of at least 1"),
])
def test_errors(digits, options, message):
    with pytest.raises(fd.ArgumentError, match=message):
        FastdlClassifier(**options).fit(*digits[:2])


def test_scikit_learn_is_an_extra(run_python):
    code = """
import sys; sys.modules["sklearn.base"] = None
try:
    import fastdl.sklearn
except ImportError as error:
    print(error)
"""
    assert "pip install 'fastdl[sklearn]'" in run_python(code)

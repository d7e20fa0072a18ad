"""Searches: what is drawn, pruned and found, and that one which was killed goes on."""

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastdl as fd
from fastdl.search import Each, Pruning, Range, cell_space, make_trainer, search

optuna = pytest.importorskip("optuna")

SPACE = {"lr": Range(1e-4, 1e-1, log=True), "optimizer": ["adam", "sgd"],
         "hidden_sizes": [(8,), (8, 8)]}


@pytest.fixture(scope="module")
def data():
    (x, t), _ = fd.datasets.digits()
    return x[:200], t[:200]


def run(data, space=SPACE, build="mlp", **options):
    options = {"trials": 4, "epochs": 2, "seed": 0, "progress": False, **options}
    return search(build, data, space, **options)


def found(result):
    return [(trial.value, trial.parameters, trial.pruned) for trial in result.trials]


def test_the_best_is_found(data):
    result = run(data, {"lr": [1e-7, 1e-2], "batch_size": [20]}, trials=6, epochs=5)
    assert {trial.parameters["lr"] for trial in result.trials} == {1e-7, 1e-2}
    assert result.best_parameters == {"lr": 1e-2, "batch_size": 20}
    assert result.best_value == max(t.value for t in result.trials if not t.pruned)
    losses = run(data, {"lr": [1e-7, 1e-2]}, trials=6, epochs=5, monitor="val_loss")
    assert losses.best_value == min(t.value for t in losses.trials if not t.pruned)
    assert losses.best_parameters == {"lr": 1e-2}


def test_a_value_is_that_of_the_training(data):
    """By hand: the same draws, the same held-out samples."""
    result = run(data, {"lr": [0.01]}, trials=1, epochs=3, schedule="cosine")
    order = np.random.default_rng(0).permutation(200)
    (x, t), (x_held, t_held) = ((data[0][i], data[1][i]) for i in (order[40:], order[:40]))
    with fd.random.seeded([0, 0]):
        net = fd.models.mlp(10, 1, 8)
        trainer = fd.Trainer(net, optimizer=fd.optimizers.Adam(lr=0.01))
        history = trainer.fit(x, t, 3, validation_data=(x_held, t_held), schedule="cosine",
                              progress=False)
    assert result.best_value == history["val_accuracy"][-1]
    given = run(((x, t), (x_held, t_held)), {"lr": [0.01]}, trials=1, epochs=3, schedule="cosine")
    assert given.best_value == result.best_value


def test_builders_are_told_what_they_ask_for(data):
    seen = []

    def build(num_classes, width, **others):
        seen.append((num_classes, width, others))
        return fd.models.mlp(num_classes, 1, 8, (width,))

    run(data, {"width": Range(3, 5)}, build, trials=3, epochs=1)
    assert {num_classes for num_classes, _, _ in seen} == {10}
    assert all(type(width) is int and 3 <= width <= 5 for _, width, _ in seen)
    assert seen[0][2] == {"in_channels": 1, "image_size": 8}
    run(data, {"width": [4]}, lambda width: fd.models.mlp(10, 1, 8, (width,)), trials=1, epochs=1)


def test_spaces(data):
    space = {"a": Range(1, 3), "b": Range(0.5, 2.0), "c": [None, "x", (1, 2), fd.models.mlp],
             "d": Each(["u", "v"], 3)}
    drawn = []

    def build(**parameters):
        drawn.append({name: parameters[name] for name in space})
        return fd.models.mlp(10, 1, 8, ())

    result = run(data, space, build, trials=12, epochs=1, pruner=optuna.pruners.NopPruner())
    assert [trial.parameters for trial in result.trials] == drawn
    assert {p["a"] for p in drawn} <= {1, 2, 3}
    assert all(0.5 <= p["b"] <= 2 for p in drawn)
    assert {str(p["c"]) for p in drawn} == {str(option) for option in space["c"]}
    assert all(type(p["d"]) is tuple and len(p["d"]) == 3 and set(p["d"]) <= {"u", "v"}
               for p in drawn)


def test_architectures(data):
    space = cell_space(nodes=3, cells=(1, 2), width=(4, 6))
    result = run(data, space, "cell_net", trials=3, epochs=1)
    for trial in result.trials:
        net = make_trainer("cell_net", trial.parameters, *data)[0].net
        assert net.params["stem.0.weight"].shape == (trial.parameters["width"], 1, 3, 3)
        assert len(trial.parameters["operations"]) == 3
        assert net.predict(data[0][:2]).shape == (2, 10)


def test_an_objective():
    result = search(lambda trial: (trial.suggest_float("x", -1, 1) - 0.5) ** 2, trials=40, seed=0,
                    monitor="squared distance", progress=False)
    assert abs(result.best_parameters["x"] - 0.5) < 0.1


def test_a_seed_repeats(data):
    assert found(run(data)) == found(run(data)) != found(run(data, seed=1))


def test_a_search_leaves_the_generator_alone(data):
    fd.seed(0)
    before = fd.random.get_state()
    run(data, trials=1)
    assert fd.random.get_state() == before


# ---- pruning ----

def test_pruning(data):
    result = run(data, epochs=3, pruner=optuna.pruners.ThresholdPruner(lower=0.999,
                                                                       n_warmup_steps=2))
    assert [(trial.pruned, trial.epochs) for trial in result.trials] == [(True, 2)] * 4
    assert result.table().__str__().count("2 pruned") == 4
    with pytest.raises(fd.ArgumentError, match="no trial has been trained to its end"):
        _ = result.best
    assert "4 of them pruned>" in repr(result)


def test_what_diverges_is_pruned(data):
    with pytest.warns(RuntimeWarning, match="the loss became"), np.errstate(all="ignore"):
        result = run(data, {"optimizer": ["sgd"], "lr": [1e30]}, trials=1)
    assert result.trials[0].pruned
    assert result.trials[0].value is None


def test_pruning_in_an_objective(data):
    def objective(trial):
        trainer = fd.Trainer(fd.models.mlp(10, 1, 8, ()))
        history = trainer.fit(*data, epochs=5, progress=False, callbacks=[Pruning(trial, "loss")])
        return history["loss"][-1]

    result = search(objective, trials=1, monitor="loss", progress=False,
                    pruner=optuna.pruners.ThresholdPruner(upper=1e-9))
    assert [(trial.pruned, trial.epochs) for trial in result.trials] == [(True, 1)]


# ---- storage ----

def test_a_search_goes_on(data, tmp_path):
    storage = tmp_path / "search.db"
    assert len(run(data, trials=2, storage=storage).trials) == 2
    went_on = run(data, trials=5, storage=storage)
    assert found(went_on) == found(run(data, trials=5))
    assert found(run(data, trials=3, storage=storage)) == found(went_on)       # nothing to do
    assert len(run(data, trials=1, storage=storage, name="other").trials) == 1


def test_an_error_in_a_trial_comes_out_and_does_not_count(data, tmp_path):
    def build(width):
        if broken:
            raise OSError("no network today")
        return fd.models.mlp(10, 1, 8, (width,))

    broken = True
    storage = tmp_path / "search.db"
    with pytest.raises(OSError, match="no network today"):
        run(data, {"width": [4]}, build, trials=2, storage=storage)
    broken = False
    assert len(run(data, {"width": [4]}, build, trials=2, storage=storage).trials) == 2


KILLED = """
import fastdl as fd
from fastdl.search import search
from test_search import SPACE
(x, t), _ = fd.datasets.digits()
search("mlp", (x[:200], t[:200]), SPACE, trials=100_000, epochs=2, seed=0, storage="search.db",
       progress=False)
"""


def count_finished(storage):
    if not storage.exists():
        return 0
    with sqlite3.connect(storage, timeout=30) as base:
        try:
            return base.execute("select count(*) from trials where state in "
                                "('COMPLETE', 'PRUNED')").fetchone()[0]
        except sqlite3.OperationalError:            # no such table yet
            return 0
        finally:
            base.rollback()


def test_a_killed_search_goes_on(data, tmp_path):
    """SIGKILL at any moment: what follows is what would have followed anyway."""
    storage = tmp_path / "search.db"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(
        [str(Path(fd.__file__).parents[1]), str(Path(__file__).parent)])}
    with subprocess.Popen([sys.executable, "-c", KILLED], cwd=tmp_path, env=environment,
                          stderr=subprocess.PIPE) as process:
        try:
            deadline = time.monotonic() + 60
            while (count_finished(storage) < 3 and process.poll() is None
                   and time.monotonic() < deadline):
                time.sleep(0.02)
        finally:
            process.kill()
        assert process.stderr.read() == b""
    done = count_finished(storage)
    assert done >= 3
    went_on = run(data, trials=done + 3, storage=storage)
    assert found(went_on) == found(run(data, trials=done + 3))


def test_a_storage_of_something_else(data, tmp_path):
    storage = tmp_path / "search.db"
    run(data, trials=1, storage=storage)
    with pytest.raises(fd.ArgumentError, match="had another space; choose another name"):
        run(data, {"lr": [0.1]}, trials=2, storage=storage)
    with pytest.raises(fd.ArgumentError, match="had another epochs and model; choose another"):
        run(data, trials=2, storage=storage, epochs=3, build="simple_convnet")
    with pytest.raises(fd.DataError, match="there is no folder"):
        run(data, storage=tmp_path / "none" / "search.db")
    (tmp_path / "text.db").write_text("no data base, but a text that is long enough " * 20)
    with pytest.raises(fd.DataError, match=r"text.db cannot be used as a storage"):
        run(data, storage=tmp_path / "text.db")


# ---- what comes out ----

def test_table_and_text(data):
    result = run(data, trials=3)
    head, *lines = str(result.table()).splitlines()
    assert head.split() == ["trial", "val_accuracy", "epochs", "seconds", "parameters"]
    assert len(lines) == 3
    assert lines[0].split()[0] == str(result.best.number)
    assert f"{result.best_value:.4f}" in lines[0]
    assert len(str(result.table(1)).splitlines()) == 2
    assert repr(result).startswith("<SearchResult: 3 trials, ")
    assert f"optimizer={result.best_parameters['optimizer']}" in repr(result)


def test_plot(data, tmp_path):
    pytest.importorskip("matplotlib")
    result = run(data, {"lr": [0.01, 0.02]}, trials=4, pruner=optuna.pruners.NopPruner())
    figure = result.plot(tmp_path / "trials.png")
    assert (tmp_path / "trials.png").read_bytes().startswith(b"\x89PNG")
    (axes,) = figure.axes
    best = axes.lines[0].get_ydata()
    np.testing.assert_array_equal(best, np.maximum.accumulate([t.value for t in result.trials]))
    assert axes.get_ylabel() == "val_accuracy"


@pytest.mark.parametrize(("changes", "message"), [
    ({"space": {"lr": 0.1}}, r"space\['lr'\] must be a list of different options"),
    ({"space": {"lr": []}}, r"space\['lr'\] must be a list of different options"),
    ({"space": {"lr": [1, 1]}}, r"space\['lr'\] must be a list of different options"),
    ({"monitor": "val_acc"}, "the history has no 'val_acc', but loss, accuracy, val_loss"),
    ({"space": {"lr": Range(0.0, 1.0, log=True)}}, r"Range from low to high \(above 0 with log\)"),
    ({"space": {"lr": Range(2, 1)}}, "got Range"),
    ({"trials": 0}, "trials must be an integer of at least 1"),
    ({"validation_fraction": 1.0}, "some are held out and some are not"),
    ({"data": None}, "build must be an objective, got 'mlp'"),
    ({"data": (1, 2, 3)}, "got 3 arrays"),
    ({"build": "resnet0"}, "unknown model 'resnet0'"),
])
def test_errors(data, changes, message):
    with pytest.raises(fd.ArgumentError, match=message):
        run(**{"data": data, "space": {"lr": [0.1]}, **changes})


def test_optuna_is_an_extra(run_python):
    code = """
import sys; sys.modules["optuna"] = None
import fastdl as fd
try:
    fd.search.search("mlp")
except ImportError as error:
    print(error)
"""
    assert "pip install 'fastdl[search]'" in run_python(code)

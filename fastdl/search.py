"""Search for hyper-parameters and architectures, by Optuna (extra `search`).

`search` trains a network for each trial, and gives up those that fall behind. With a storage, a
search that was broken off goes on where it was:

>>> import fastdl as fd
>>> from fastdl.search import Range, search
>>> train, test = fd.datasets.digits()
>>> space = {"lr": Range(1e-4, 1e-1, log=True), "optimizer": ["adam", "momentum"],
...          "hidden_sizes": [(50,), (50, 50)]}
>>> result = search("mlp", (train[0][:300], train[1][:300]), space, trials=3, epochs=2, seed=0,
...                 progress=False)                             # storage="search.db"
>>> len(result.trials), sorted(result.best_parameters)
(3, ['hidden_sizes', 'lr', 'optimizer'])

An architecture is searched for in the same way; `cell_space` is a space of small CNNs:

>>> from fastdl.search import cell_space
>>> result = search("cell_net", (train[0][:100], train[1][:100]),
...                 cell_space(nodes=3, cells=(1, 2), width=(4, 8)), trials=2, epochs=1, seed=0,
...                 progress=False)
>>> len(result.best_parameters["operations"])
3
"""

from __future__ import annotations

import copy
import functools
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

import numpy as np

from . import models, optimizers, random
from .backend import Text
from .callbacks import larger_is_better, last_value
from .errors import ArgumentError, DataError
from .layers.layer import positive
from .losses import Loss
from .models.cell_net import OPERATIONS, count_edges
from .module import Module
from .pictures import new_figure, saved
from .plan.explain import columns
from .trainer import Trainer

if TYPE_CHECKING:
    import optuna

    Trial: TypeAlias = optuna.trial.Trial

Pair = tuple[np.ndarray, np.ndarray]
Build = str | Callable[..., Module]
Objective = Callable[["Trial"], float]

# Parameters of these names are the training's; all others are the network's.
_OF_OPTIMIZER, _OF_FIT = ("lr", "weight_decay"), ("batch_size", "schedule")
_OF_TRAINING = ("optimizer", *_OF_OPTIMIZER, *_OF_FIT)


# ---- spaces ----

class Range(NamedTuple):
    """Numbers from `low` to `high`, both included: integers if both are.

    Parameters
    ----------
    low, high : the ends
    log : draw so that each power of ten is as likely as the next
    """

    low: float
    high: float
    log: bool = False

    def suggest(self, trial: Trial, name: str) -> Any:
        """A value for a trial."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(name, self.low, self.high, log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def read(self, values: Mapping[str, Any], name: str) -> Any:
        """The value among those that Optuna kept."""
        return values[name]


class Choice(NamedTuple):
    """One of several; what a list in a space means."""

    options: tuple[Any, ...]

    def labels(self) -> dict[Any, Any]:
        """The options by what Optuna can keep in a data base."""
        return {option if isinstance(option, str | int | float | None)
                else getattr(option, "__name__", str(option)): option for option in self.options}

    def __repr__(self) -> str:
        return f"Choice({list(self.labels())})"         # the same in every process

    def suggest(self, trial: Trial, name: str) -> Any:
        """A value for a trial."""
        labels = self.labels()
        return labels[trial.suggest_categorical(name, list(labels))]

    def read(self, values: Mapping[str, Any], name: str) -> Any:
        """The value among those that Optuna kept."""
        return self.labels()[values[name]]


@dataclass(frozen=True, repr=False)
class Each:
    """A tuple of `count` values, each of which is one of `options`."""

    options: Sequence[Any]
    count: int

    @property
    def choice(self) -> Choice:
        """What there is to choose each time."""
        return Choice(tuple(self.options))

    def __repr__(self) -> str:
        return f"Each({self.choice}, {self.count})"

    def _parts(self, name: str) -> Iterator[tuple[str, Choice]]:
        return ((f"{name}.{i}", self.choice) for i in range(self.count))

    def suggest(self, trial: Trial, name: str) -> Any:
        """A value for a trial."""
        return tuple(choice.suggest(trial, part) for part, choice in self._parts(name))

    def read(self, values: Mapping[str, Any], name: str) -> Any:
        """The value among those that Optuna kept."""
        return tuple(choice.read(values, part) for part, choice in self._parts(name))


Space = dict[str, Range | Choice | Each]


def cell_space(nodes: int = 4, cells: tuple[int, int] = (1, 3),
               width: tuple[int, int] = (8, 32)) -> Space:
    """Small CNNs of equal cells: what `fastdl.models.cell_net` builds.

    Parameters
    ----------
    nodes : of a cell; every edge between two is any of five operations
    cells, width : how many cells, and channels in the first of them: from, to

    >>> space = cell_space()
    >>> space["operations"].count, space["cells"].high
    (6, 3)
    """
    positive("cell_space", nodes=nodes - 1, cells=cells[0], width=width[0])
    return {"cells": Range(*cells), "width": Range(*width, log=True),
            "operations": Each(tuple(OPERATIONS), count_edges(nodes))}


def _checked_space(space: Mapping[str, Any]) -> Space:
    checked: Space = {}
    for name, values in space.items():
        if isinstance(values, list | tuple) and not isinstance(values, Range | Choice):
            values = Choice(tuple(values))
        if isinstance(values, Range):
            good = values.low <= values.high and not (values.log and values.low <= 0)
        else:
            choice = values.choice if isinstance(values, Each) else values
            good = (isinstance(choice, Choice)
                    and 0 < len(choice.options) == len(choice.labels()))
        if not good:
            raise ArgumentError(f"search: space[{name!r}] must be a list of different options, an "
                                "Each, or a Range from low to high (above 0 with log), got "
                                f"{values!r}")
        checked[name] = values
    return checked


# ---- what is found ----

class Tried(NamedTuple):
    """A trial that is over: its number, value, parameters, epochs, seconds.

    `pruned` says that it was given up; the value is that of its last epoch then, if it had one.
    """

    number: int
    value: float | None
    parameters: dict[str, Any]
    epochs: int
    seconds: float
    pruned: bool


class SearchResult:
    """What a search has found.

    Attributes
    ----------
    trials : list of Tried
        Those that are over, first to last.
    study : optuna.Study
        For Optuna's own tools.
    """

    def __init__(self, study: optuna.Study, space: Space | None, monitor: str) -> None:
        self.study, self.monitor = study, monitor
        self.trials = []
        for trial in _finished(study):
            parameters = trial.params if space is None else {
                name: values.read(trial.params, name) for name, values in space.items()}
            self.trials.append(Tried(
                trial.number, trial.value, parameters, len(trial.intermediate_values),
                trial.duration.total_seconds() if trial.duration else 0.0,
                trial.state.name == "PRUNED"))

    @property
    def best(self) -> Tried:
        """The best trial of those that were trained to the end."""
        whole = {trial.value: trial for trial in reversed(self.trials)
                 if not trial.pruned and trial.value is not None}
        if not whole:
            raise ArgumentError("search: no trial has been trained to its end yet")
        return whole[max(whole) if larger_is_better(self.monitor) else min(whole)]

    @property
    def best_parameters(self) -> dict[str, Any]:
        """Its parameters."""
        return self.best.parameters

    @property
    def best_value(self) -> float:
        """Its value."""
        assert self.best.value is not None
        return self.best.value

    def table(self, count: int | None = None) -> Text:
        """The trials, best first, and those that were given up behind them.

        Parameters
        ----------
        count : how many; all unless given
        """
        sign = -1.0 if larger_is_better(self.monitor) else 1.0
        order = sorted(self.trials, key=lambda trial: (
            trial.pruned, math.inf if trial.value is None else sign * trial.value))[:count]
        rows = [[str(trial.number), "" if trial.value is None else f"{trial.value:.4f}",
                 f"{trial.epochs}" + " pruned" * trial.pruned, f"{trial.seconds:.1f}",
                 as_text(trial.parameters)] for trial in order]
        return Text("\n".join(columns([["trial", self.monitor, "epochs", "seconds", "parameters"],
                                       *rows])))

    def __repr__(self) -> str:
        pruned = sum(trial.pruned for trial in self.trials)
        best = (f"; best {self.monitor} {self.best_value:.4g}: {as_text(self.best_parameters)}"
                if pruned < len(self.trials) else "")
        return f"<SearchResult: {len(self.trials)} trials, {pruned} of them pruned{best}>"

    def plot(self, path: str | PathLike[str] | None = None) -> Any:
        """Draw the value of each trial in turn, and the best so far.

        Parameters
        ----------
        path : where to write the picture; its ending says the format

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ArgumentError
            when there is nothing to draw
        ImportError
            without matplotlib (``pip install 'fastdl[plot]'``)
        """
        valued = [(i, trial) for i, trial in enumerate(self.trials, 1) if trial.value is not None]
        if not valued:
            raise ArgumentError("SearchResult.plot: there is no trial with a value yet")
        figure = new_figure("SearchResult.plot", 6, 3.6)
        axes = figure.subplots()
        for pruned, style in ((False, {"marker": "o", "label": "trained to the end"}),
                              (True, {"marker": "x", "label": "pruned", "color": "gray"})):
            if some := [(i, trial.value) for i, trial in valued if trial.pruned == pruned]:
                axes.scatter(*zip(*some, strict=True), s=18, **style)
        whole = [(i, trial.value) for i, trial in valued if not trial.pruned]
        if whole:
            better = np.maximum if larger_is_better(self.monitor) else np.minimum
            numbers, values = zip(*whole, strict=True)
            axes.step(numbers, better.accumulate(values), where="post", label="best so far")
        axes.set(xlabel="trial", ylabel=self.monitor)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
        return saved(figure, path)


def as_text(parameters: Mapping[str, Any]) -> str:
    """Parameters in a line.

    >>> as_text({"lr": 0.00123456, "operations": ("conv3x3", "identity")})
    'lr=0.001235, operations=conv3x3 identity'
    """
    def text(value: Any) -> str:
        if isinstance(value, float):
            return f"{value:.4g}"
        return " ".join(map(text, value)) if isinstance(value, tuple | list) else str(value)

    return ", ".join(f"{name}={text(value)}" for name, value in parameters.items())


# ---- a trial ----

class Pruning:
    """A callback of `Trainer.fit`: reports each epoch, and ends a trial that is not worth it.

    Whether it is, Optuna's pruner says. A trial whose loss is no number any more is not.

    Parameters
    ----------
    trial : optuna.Trial
    monitor : name of the number to report
    """

    def __init__(self, trial: Trial, monitor: str = "val_accuracy") -> None:
        self.trial, self.monitor = trial, monitor

    def __call__(self, trainer: Trainer) -> None:
        """Report the last epoch."""
        import optuna

        value = last_value("Pruning", trainer, self.monitor)
        if not math.isfinite(value) or not math.isfinite(trainer.history["loss"][-1]):
            raise optuna.TrialPruned(f"the loss became {trainer.history['loss'][-1]}")
        self.trial.report(value, trainer.epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned(f"{self.monitor} {value:.4g} in epoch {trainer.epoch}")


def make_trainer(build: Build, parameters: Mapping[str, Any], x: Any, t: Any,
                 loss: str | Loss = "softmax_cross_entropy",
                 num_classes: int | None = None) -> tuple[Trainer, dict[str, Any]]:
    """The trainer that a trial of `search` has for some parameters, and its options of `fit`.

    The arguments are those of `search`.

    >>> import fastdl as fd
    >>> (x, t), _ = fd.datasets.digits()
    >>> trainer, options = make_trainer("mlp", {"lr": 0.01, "batch_size": 50,
    ...                                         "hidden_sizes": (20,)}, x, t)
    >>> trainer.optimizer.lr, options, trainer.net.params["1.weight"].shape
    (0.01, {'batch_size': 50}, (20, 64))
    """
    if isinstance(build, str):
        build = functools.partial(models.create, build)
    others = {name: value for name, value in parameters.items() if name not in _OF_TRAINING}
    net = build(**_task(build, np.asarray(x), np.asarray(t), num_classes), **others)
    optimizer = copy.deepcopy(optimizers.get(parameters.get("optimizer", "adam")))
    for name in _OF_OPTIMIZER:
        if name in parameters:
            setattr(optimizer, name, parameters[name])
    return (Trainer(net, loss, optimizer),
            {name: parameters[name] for name in _OF_FIT if name in parameters})


def _task(build: Callable[..., Module], x: np.ndarray, t: np.ndarray,
          num_classes: int | None) -> dict[str, int]:
    """What a builder is told of the data, as far as it has arguments for it."""
    task: dict[str, int] = {}
    if num_classes is None and t.ndim == 1 and t.dtype.kind in "iu":
        num_classes = int(t.max()) + 1
    if num_classes is not None:
        task["num_classes"] = num_classes
    if x.ndim == 4:
        task |= {"in_channels": x.shape[1], "image_size": x.shape[2]}
    taken = inspect.signature(build).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in taken.values())
    return {name: value for name, value in task.items() if takes_all or name in taken}


# ---- the search ----

def search(build: Build | Objective, data: Any = None,
           space: Mapping[str, Any] | None = None, trials: int = 20, *, epochs: int = 10,
           loss: str | Loss = "softmax_cross_entropy", monitor: str = "val_accuracy",
           validation_fraction: float = 0.2, num_classes: int | None = None, name: str = "search",
           storage: str | PathLike[str] | None = None, seed: int | None = None,
           sampler: Any = None, pruner: Any = None, progress: bool = True,
           **options: Any) -> SearchResult:
    """Try parameters, until there are `trials` finished trials.

    Parameters
    ----------
    build : name of a model, or function that returns a network
        It is called with the parameters of the trial, and with ``num_classes``, ``in_channels``,
        ``image_size`` as far as it has such arguments. Without `data`, an objective: a function
        of an ``optuna.Trial`` that returns what `monitor` names; `Pruning` serves it, too.
    data : (x, t), of which a part is held out; or ((x, t), (x_val, t_val))
    space : what there is to choose, by name
        Lists of options, `Range`, or `Each`. Parameters called ``optimizer``, ``lr``,
        ``weight_decay``, ``batch_size`` and ``schedule`` are the training's, all others go to
        `build`.
    trials : how many in all, those given up by the pruner and those of the storage counted
    epochs : of each trial
    loss : name or `fastdl.losses.Loss`
    monitor : what is to become best: "val_accuracy" large, or "val_loss" small
    validation_fraction : share of (x, t) that is held out, the same for all trials
    num_classes : as many as t has, unless given
    name : of the search in its storage
    storage : a file of SQLite, or the URL of another data base
        A search of the same name in it goes on; trials that were cut off do not count.
    seed : makes the search repeat, also one that was broken off and went on
        Several processes may work at one search, if they have no seed.
    sampler, pruner : of Optuna; by default ``TPESampler``, and ``MedianPruner`` after a third of
        the epochs
    progress : show a bar
    options : what else `Trainer.fit` takes: ``batch_size``, ``transform``, ``schedule``, …

    Returns
    -------
    SearchResult

    Raises
    ------
    ArgumentError
        for spaces and data that make no sense, and for a storage whose search of this name
        looked for something else
    DataError
        when the storage cannot be used
    ImportError
        without Optuna (``pip install 'fastdl[search]'``)
    """
    try:
        import optuna
    except ImportError as error:
        raise ImportError("search needs Optuna: pip install 'fastdl[search]'") from error
    positive("search", trials=trials, epochs=epochs)
    about: dict[str, Any] = {"monitor": monitor}
    checked, objective = None, cast("Objective", build)
    if data is not None:
        checked = _checked_space(space or {})
        objective = _objective(cast("Build", build), *_split(data, validation_fraction), checked,
                               epochs, loss, monitor, num_classes, options)
        about |= {"space": repr(checked), "epochs": epochs}
        if isinstance(build, str):
            about["model"] = build
    elif not callable(build):
        raise ArgumentError(f"search: without data, build must be an objective, got {build!r}")
    direction = "maximize" if larger_is_better(monitor) else "minimize"
    with _quiet(optuna):
        study = _open(optuna, name, storage, about, direction=direction, sampler=sampler,
                      pruner=pruner or optuna.pruners.MedianPruner(n_warmup_steps=epochs // 3))
        _run(study, objective, trials, seed, sampler is None, progress)
    return SearchResult(study, checked, monitor)


def _split(data: Any, fraction: float) -> tuple[Any, Any]:
    """Training and validation data."""
    if len(data) != 2:
        raise ArgumentError("search: data must be (x, t) or ((x, t), (x_val, t_val)), got "
                            f"{len(data)} arrays")
    if isinstance(data[0], tuple | list):
        return tuple(data[0]), tuple(data[1])
    x, t = np.asarray(data[0]), np.asarray(data[1])
    held = round(len(x) * fraction)
    if len(x) != len(t) or not 0 < held < len(x):
        raise ArgumentError("search: x and t must have as many samples, of which some are held "
                            f"out and some are not: x {x.shape}, t {t.shape}, "
                            f"validation_fraction {fraction}")
    order = np.random.default_rng(0).permutation(len(x))
    return (x[order[held:]], t[order[held:]]), (x[order[:held]], t[order[:held]])


def _objective(build: Build, train: Pair, held_out: Pair, space: Space, epochs: int,
               loss: str | Loss, monitor: str, num_classes: int | None,
               options: Mapping[str, Any]) -> Objective:
    """What a trial does: draw parameters, train, return the last epoch's number."""
    def objective(trial: Trial) -> float:
        parameters = {name: values.suggest(trial, name) for name, values in space.items()}
        trainer, drawn = make_trainer(build, parameters, *train, loss, num_classes)
        history = trainer.fit(*train, epochs, validation_data=held_out, progress=False,
                              callbacks=[Pruning(trial, monitor)], **(dict(options) | drawn))
        return history[monitor][-1]

    return objective


def _open(optuna: Any, name: str, storage: str | PathLike[str] | None, about: dict[str, Any],
          **options: Any) -> optuna.Study:
    """The search of this name, begun or to go on."""
    url = None if storage is None else fspath(storage)
    if url is not None and "://" not in url:
        if not Path(url).absolute().parent.is_dir():
            raise DataError(f"search: there is no folder {Path(url).parent} for {url}")
        url = f"sqlite:///{url}"
    try:
        study = optuna.create_study(study_name=name, storage=url, load_if_exists=True, **options)
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("sqlalchemy", "optuna"):
            raise
        raise DataError(f"search: {storage} cannot be used as a storage: "
                        f"{str(error).splitlines()[0]}") from error
    before = study.user_attrs.get("fastdl")
    if before is not None and before != about:
        differing = [key for key in {**before, **about} if before.get(key) != about.get(key)]
        raise ArgumentError(f"search: {name!r} in {storage} had another "
                            f"{' and '.join(differing)}; choose another name")
    study.set_user_attr("fastdl", about)
    return study


def _run(study: optuna.Study, objective: Objective, trials: int,
         seed: int | None, own_sampler: bool, progress: bool) -> None:
    """Run trials until enough are finished."""
    from optuna.samplers import TPESampler
    from tqdm.auto import tqdm

    def prepare(done: int) -> None:
        """Let what is drawn next depend on nothing but the seed and the trials that are over."""
        if own_sampler and seed is not None:
            state = np.random.SeedSequence([seed, done]).generate_state(1)
            study.sampler = TPESampler(seed=int(state[0]), constant_liar=False)

    def seeded(trial: Trial) -> float:
        done = len(_finished(study))
        with random.seeded([seed, done]) if seed is not None else nullcontext():
            return objective(trial)

    def after(study: optuna.Study, _: Any) -> None:
        done = len(_finished(study))
        bar.update(done - bar.n)
        bar.set_postfix_str(_best(study))
        prepare(done)
        if done >= trials:
            study.stop()

    done = len(_finished(study))
    with tqdm(total=trials, initial=min(done, trials), desc=study.study_name, unit="trial",
              disable=not progress, dynamic_ncols=True) as bar:
        prepare(done)
        if done < trials:
            study.optimize(seeded, n_trials=trials - done, callbacks=[after])


def _finished(study: optuna.Study) -> list[Any]:
    """The trials that are over: to the end, or because they were not worth it."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _best(study: optuna.Study) -> str:
    try:
        return f"best {study.best_value:.4f}"
    except ValueError:                  # none is complete
        return ""


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Let Optuna not tell of each trial beside the bar; errors in trials come out by themselves."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(level, optuna.logging.ERROR))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)

"""Training: the loop over epochs and batches, evaluation, checkpoints."""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Callable, Iterable, MutableMapping
from contextlib import closing
from os import PathLike
from typing import Any

import numpy as np

from . import cuda, files, losses, optimizers, random, regularizers, schedules
from .errors import ArgumentError, CheckpointError, GraphError, ShapeError
from .history import History
from .layers.layer import positive
from .loader import DataLoader
from .losses import Loss
from .module import Module
from .optimizers import Optimizer
from .plan import Plan, Profile
from .regularizers import L1L2
from .schedules import Schedule
from .transforms import AnyTransform, Mix

Batch = tuple[np.ndarray, np.ndarray]
Callback = Callable[["Trainer"], bool | None]


class Trainer:
    """Trains a network.

    Parameters
    ----------
    net : Module
    loss : name or `fastdl.losses.Loss`
    optimizer : name or `fastdl.optimizers.Optimizer`
    weight_regularizer : name or one of `fastdl.regularizers`, for the weights: parameters of two
        dimensions or more, so neither biases nor the scales of norms. Like weight decay it acts on
        the gradients; the losses reported are without it
    clip_norm : largest norm of all gradients together; larger ones are scaled down
    clip_value : largest magnitude of any element of a gradient
    device : "cuda" moves the network to a GPU and trains it there, "cpu" back (see `Module.to`);
        `fit` copies the next batch there while the device works on the last

    Attributes
    ----------
    history : History
        One number an epoch: loss, accuracy (where the loss has one), val_loss, val_accuracy,
        seconds.
    epoch : int
        Epochs done.

    >>> import fastdl as fd
    >>> (x, t), test = fd.datasets.digits()
    >>> net = fd.Sequential(fd.layers.Flatten(), fd.layers.Linear(64, 10))
    >>> trainer = Trainer(net, loss="softmax_cross_entropy", optimizer="adam")
    >>> history = trainer.fit(x, t, epochs=2, validation_data=test, progress=False)
    >>> sorted(history)
    ['accuracy', 'loss', 'seconds', 'val_accuracy', 'val_loss']
    """

    def __init__(self, net: Module, loss: str | Loss = "softmax_cross_entropy",
                 optimizer: str | Optimizer = "adam",
                 weight_regularizer: str | L1L2 | None = None, *,
                 clip_norm: float | None = None, clip_value: float | None = None,
                 device: str | None = None) -> None:
        if not isinstance(net, Module):
            raise ArgumentError(f"Trainer: net must be a fastdl.Module, got {type(net).__name__}")
        self.net = net if device is None else net.to(device)
        self.loss = losses.get(loss)
        self.optimizer = optimizers.get(optimizer)
        self.weight_regularizer = regularizers.get(weight_regularizer)
        for name, limit in (("clip_norm", clip_norm), ("clip_value", clip_value)):
            if limit is not None and not limit > 0:
                raise ArgumentError(f"Trainer: {name} must be above 0, got {limit!r}")
        self.clip_norm, self.clip_value = clip_norm, clip_value
        self.history = History()
        self._auxiliary: losses.WithAuxiliary | None = None
        self._planned: tuple[Plan, MutableMapping[str, np.ndarray],
                            dict[str, np.ndarray]] | None = None

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return self.history.epochs

    # ---- training ----

    def step(self, x: Any, t: Any) -> float:
        """One step on one batch: forward, backward, update. Returns the loss before the update."""
        return self._step(x, t, count=False)[0]

    def _step(self, x: Any, t: Any, count: bool = True,
              meanwhile: Callable[[], None] | None = None) -> tuple[float, int | None]:
        """The loss, and how many samples were right if that is to be counted.

        `meanwhile` is called when a device has the step to do, and before its results are awaited.
        """
        if not self.net.training:
            self.net.train()
        xs, plans, criterion = self.net.as_inputs(x), self.net.plans, self._criterion()
        with plans.lock:
            if (plan := plans.get(xs, criterion)) is not None and plan.loss is not None:
                plan.loss.take(t)
                plan.feed(xs)
                plan.run()
                self._update(plan)
                if meanwhile is not None:
                    meanwhile()
                return plan.loss.value, plan.loss.correct if count else None
            self.net.expect_plan("Trainer", xs)
        y = self.net.forward(x)
        loss = criterion.forward(y, t)
        self.net.backward(criterion.backward(), need_dx=False)
        self._change(self.net.params, self.net.grads)
        return loss, criterion.count_correct(y, t) if count else None

    def _criterion(self) -> losses.Loss:
        """The loss of a step: with those of auxiliary outputs, if the network has any."""
        if not self.net.graph.auxiliary or isinstance(self.loss, losses.WithAuxiliary):
            return self.loss
        if self._auxiliary is None or self._auxiliary.loss is not self.loss:
            self._auxiliary = losses.WithAuxiliary(self.loss)
        return self._auxiliary

    def profile(self, x: Any, t: Any, repeats: int = 20) -> Profile:
        """Where the time of a step on such a batch goes; nothing is trained.

        Parameters
        ----------
        x, t : a batch
        repeats : how often each kernel is timed

        Returns
        -------
        Profile
            prints as a table; `Profile.plot` draws it. The optimizer's update is not in it.

        Raises
        ------
        GraphError
            when the network only runs layer by layer

        >>> import fastdl as fd
        >>> net = fd.Sequential(fd.layers.Linear(4, 3), fd.layers.ReLU(), fd.layers.Linear(3, 2))
        >>> profile = fd.Trainer(net).profile(np.ones((5, 4)), np.zeros(5, int))
        >>> [timed.step.name for timed in profile][:3]
        ['gemm', 'gemm', 'softmax_cross_entropy']
        """
        x, t = _checked_data("profile", x, t)
        positive("profile", repeats=repeats)
        xs, plans = self.net.as_inputs(x), self.net.plans
        if not self.net.training:
            self.net.train()
        with plans.lock:
            plan = plans.get(xs, self._criterion())
            if plan is None or plan.loss is None:
                raise GraphError(f"profile: the network runs layer by layer: {plans.reason(xs)}")
            before, state = self.net.state_dict(), random.get_state()
            plan.loss.take(t)
            plan.feed(xs)
            try:
                return Profile.of(plan, repeats)
            finally:                    # batch norm has counted batches, dropout drawn seeds
                self.net.load_state_dict(before)
                random.set_state(state)

    def _update(self, plan: Plan) -> None:
        """Change the parameters by the gradients that the plan has left."""
        if self._planned is None or self._planned[0] is not plan:
            self._planned = plan, self.net.params, self.net.grads
        self._change(*self._planned[1:])

    def _change(self, params: MutableMapping[str, np.ndarray],
                grads: dict[str, np.ndarray]) -> None:
        """Change the parameters by the gradients, with the regularizer's, and clipped."""
        if self.weight_regularizer is not None:
            for name, w in params.items():
                if w.ndim > 1:
                    grads[name] += self.weight_regularizer.gradient(w)
        if self.clip_value is not None:
            optimizers.clip_grad_value(grads, self.clip_value)
        if self.clip_norm is not None:
            optimizers.clip_grad_norm(grads, self.clip_norm)
        self.optimizer.update(params, grads)

    def fit(self, x: Any, t: Any, epochs: int = 1, batch_size: int = 100,
            validation_data: Batch | None = None, *, shuffle: bool = True,
            transform: AnyTransform | None = None,
            validation_transform: AnyTransform | None = None, mix: Mix | None = None,
            workers: int | None = None, schedule: str | Schedule = "constant",
            callbacks: Iterable[Callback] = (), progress: bool = True) -> History:
        """Train for `epochs` more epochs.

        Parameters
        ----------
        x, t : samples and targets, first dimension N
        batch_size : the last batch of an epoch may be smaller
        validation_data : (x, t), evaluated after each epoch
        shuffle : draw a new order each epoch
        transform : augmentation and normalisation of the samples, ``(x, generator) -> x`` (see
            `fastdl.transforms`)
        validation_transform : the same for the validation data, which `transform` is not for:
            normalisation alone, as a rule
        mix : what mixes the samples of a batch, ``(x, t, generator) -> (x, t)``, such as
            `fastdl.transforms.Mixup`
        workers : threads that make the next batches during a step (see `fastdl.DataLoader`)
        schedule : of the learning rate, over all epochs up to the last of this call: "constant",
            "cosine", another name or function of `fastdl.schedules`
        callbacks : called with the trainer after each epoch (see `fastdl.callbacks`); one that
            returns True ends training
        progress : show a bar

        Returns
        -------
        History
            of all epochs so far; also `self.history`
        """
        x, t = _checked_data("fit", x, t)
        if validation_data is not None:
            validation_data = _checked_data("fit: validation_data", *validation_data)
        positive("fit", epochs=epochs, batch_size=batch_size)
        loader = DataLoader(x, t, batch_size, shuffle, transform=transform, mix=mix,
                            workers=workers)
        last = self.epoch + epochs
        callbacks, schedule = tuple(callbacks), schedules.get(schedule)
        feed = cuda.Feed() if self.net.device == "cuda" else None

        def set_rate(samples: int) -> None:
            self.optimizer.lr_scale = float(schedule((self.epoch + samples / len(x)) / last))

        try:
            while self.epoch < last:
                start = time.perf_counter()
                title = f"epoch {self.epoch + 1}/{last}"
                with _progress(len(x), title, progress) as bar:
                    numbers = self._train_epoch(loader, feed, set_rate, bar)
                    if validation_data is not None:
                        metrics = self.evaluate(*validation_data, transform=validation_transform)
                        numbers |= {f"val_{name}": value for name, value in metrics.items()}
                        bar.set_postfix_str(_as_text(numbers))
                self.history.append(numbers | {"seconds": time.perf_counter() - start})
                wants_end = [callback(self) for callback in callbacks]      # all are heard
                if any(wants_end):
                    break
        finally:
            self.optimizer.lr_scale = 1.0       # the schedule is over; steps by hand may follow
            if feed is not None:
                feed.close()
        return self.history

    def _train_epoch(self, loader: DataLoader, feed: cuda.Feed | None,
                     set_rate: Callable[[int], None], bar: Any) -> dict[str, float]:
        running = _Mean()
        meanwhile = None if feed is None else feed.bring_next
        with closing(loader.epoch()) as batches:
            for x, t in batches if feed is None else feed.over(batches):
                set_rate(running.count)
                loss, correct = self._step(x, t, meanwhile=meanwhile)
                if not math.isfinite(loss) and running.is_finite():
                    warnings.warn(f"the loss became {loss} in epoch {self.epoch + 1}: try a "
                                  "smaller learning rate, or look for NaN in the data",
                                  RuntimeWarning, stacklevel=3)
                running.add(loss, correct, len(t))
                bar.update(len(t))
                bar.set_postfix_str(_as_text(running.numbers()), refresh=False)
        return running.numbers()

    def evaluate(self, x: Any, t: Any, batch_size: int = 256, *,
                 transform: AnyTransform | None = None) -> dict[str, float]:
        """Loss, and accuracy where the loss has one, in inference mode.

        `transform` is what these samples go through: the training's normalisation, if it had one.
        """
        x, t = _checked_data("evaluate", x, t)
        positive("evaluate", batch_size=batch_size)
        running = _Mean()
        loader = DataLoader(x, t, batch_size, transform=transform, workers=0)
        for x_batch, t_batch in loader.epoch(seed=0):       # draws nothing from fastdl.random
            y = self.net.predict(x_batch, batch_size)
            loss, _ = self.loss.value(y, t_batch)
            running.add(loss, self.loss.count_correct(y, t_batch), len(y))
        return running.numbers()

    # ---- checkpoints ----

    def save_checkpoint(self, path: str | PathLike[str]) -> None:
        """Write everything that training goes on from: network, optimizer, random state, history.

        The file is written beside and renamed: a save that is cut off leaves the old one whole.
        """
        saved = self.optimizer.state_dict()
        tensors = {f"net.{name}": array for name, array in self.net.state_dict().items()}
        scalars: dict[str, dict[str, float]] = {}
        for name, state in saved["state"].items():
            scalars[name] = {}
            for key, value in state.items():
                if isinstance(value, np.ndarray):
                    tensors[f"optimizer.{name}.{key}"] = value
                else:
                    scalars[name][key] = value
        about = {"format": 1, "optimizer": type(self.optimizer).__name__,
                 "settings": saved["settings"], "scalars": scalars,
                 "random": random.get_state(), "history": dict(self.history)}
        files.write_tensors(path, tensors, {"trainer": json.dumps(about)})

    def load_checkpoint(self, path: str | PathLike[str]) -> None:
        """Go on from a checkpoint, to results that are bit for bit those of an unbroken run.

        Raises
        ------
        CheckpointError
            when the file is no checkpoint or does not fit; nothing is changed then
        """
        tensors, metadata = files.read_tensors(path)
        try:
            about = json.loads(metadata["trainer"])
            settings, scalars = about["settings"], about["scalars"]
            history, random_state = History(about["history"]), about["random"]
            kind = about["optimizer"]
            np.random.PCG64().state = random_state          # raises unless it is a state
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path}: not a checkpoint of a trainer "
                                  f"({type(error).__name__}: {error})") from error
        if kind != type(self.optimizer).__name__:
            raise CheckpointError(f"{path}: was saved with optimizer {kind}, this trainer has "
                                  f"{type(self.optimizer).__name__}")
        net_state = {key.removeprefix("net."): value for key, value in tensors.items()
                     if key.startswith("net.")}
        state: dict[str, dict[str, Any]] = {name: dict(values) for name, values in scalars.items()}
        for key, value in tensors.items():
            if key.startswith("optimizer."):
                name, _, slot = key.removeprefix("optimizer.").rpartition(".")
                state.setdefault(name, {})[slot] = value
        before = self.optimizer.state_dict()
        self.optimizer.load_state_dict({"settings": settings, "state": state})
        try:
            self.net.load_state_dict(net_state)
        except CheckpointError:
            self.optimizer.load_state_dict(before)
            raise
        random.set_state(random_state)
        self.history = history


class _Mean:
    """Mean loss and accuracy over samples."""

    def __init__(self) -> None:
        self.loss, self.correct, self.count = 0.0, 0, 0
        self.has_accuracy = True

    def add(self, loss: float, correct: int | None, size: int) -> None:
        self.loss += loss * size
        self.count += size
        if correct is None:
            self.has_accuracy = False
        else:
            self.correct += correct

    def is_finite(self) -> bool:
        return math.isfinite(self.loss)

    def numbers(self) -> dict[str, float]:
        numbers = {"loss": self.loss / self.count}
        if self.has_accuracy:
            numbers["accuracy"] = self.correct / self.count
        return numbers


def _checked_data(operation: str, x: Any, t: Any) -> Batch:
    x, t = np.asarray(x), np.asarray(t)
    if x.ndim < 1 or t.ndim < 1 or len(x) != len(t) or not len(x):
        raise ShapeError(f"{operation}: x and t must have as many samples, at least one: "
                         f"x {x.shape}, t {t.shape}")
    return x, t


def _progress(count: int, title: str, shown: bool) -> Any:
    from tqdm.auto import tqdm

    return tqdm(total=count, desc=title, unit="img", unit_scale=True, disable=not shown,
                dynamic_ncols=True)


def _as_text(numbers: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in numbers.items())

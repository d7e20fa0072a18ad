"""Callbacks: what happens after each epoch of `Trainer.fit`.

A callback is any function of the trainer; one that returns True ends training. Those here watch a
number of the history: a larger accuracy is better, and a smaller loss.
"""

from __future__ import annotations

import math
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import ArgumentError

if TYPE_CHECKING:
    from .trainer import Trainer


def larger_is_better(monitor: str) -> bool:
    """Whether a number of the history is better when it is larger: those of accuracy are."""
    return "accuracy" in monitor


def last_value(who: str, trainer: Trainer, monitor: str) -> float:
    """A number of the last epoch, for the callback `who`.

    Raises
    ------
    ArgumentError
        when the history has no such number
    """
    if monitor not in trainer.history:
        raise ArgumentError(f"{who}: the history has no {monitor!r}, but "
                            f"{', '.join(trainer.history)}; validation_data gives val_loss")
    return trainer.history[monitor][-1]


class _Watch:
    """Base of those that compare an epoch with the best one so far.

    Parameters
    ----------
    monitor : name of the number: "val_loss", "val_accuracy", "loss", "accuracy"
    min_delta : what a difference must exceed to count
    """

    def __init__(self, monitor: str = "val_loss", min_delta: float = 0.0) -> None:
        self.monitor, self.min_delta = monitor, abs(float(min_delta))
        self._sign = 1.0 if larger_is_better(monitor) else -1.0
        self.best: float | None = None
        self.best_epoch = 0

    def improved(self, trainer: Trainer) -> bool:
        """Whether the last epoch is the best so far; NaN never is."""
        value = last_value(type(self).__name__, trainer, self.monitor)
        if math.isnan(value) or (self.best is not None and self._sign * (value - self.best)
                                 <= self.min_delta):
            return False
        self.best, self.best_epoch = value, trainer.epoch
        return True


class EarlyStopping(_Watch):
    """Ends training when nothing has become better for `patience` epochs (Prechelt, 1998).

    Parameters
    ----------
    monitor, min_delta : name of the number to watch, and what must be exceeded
    patience : epochs without an improvement
    restore_best : at the end, give the network the parameters of its best epoch

    >>> import fastdl as fd
    >>> (x, t), test = fd.datasets.digits()
    >>> trainer = fd.Trainer(fd.Sequential(fd.layers.Flatten(), fd.layers.Linear(64, 10)))
    >>> history = trainer.fit(x, t, epochs=100, validation_data=test, progress=False,
    ...                       callbacks=[EarlyStopping("val_loss", patience=2, min_delta=10)])
    >>> history.epochs
    3
    """

    def __init__(self, monitor: str = "val_loss", patience: int = 5, min_delta: float = 0.0,
                 restore_best: bool = False) -> None:
        super().__init__(monitor, min_delta)
        self.patience, self.restore_best = patience, restore_best
        self._state: dict[str, np.ndarray] = {}

    def __call__(self, trainer: Trainer) -> bool:
        """Compare; True ends training."""
        if self.improved(trainer):
            if self.restore_best:
                self._state = {name: array.copy()
                               for name, array in trainer.net.state_dict().items()}
            return False
        ends = trainer.epoch - self.best_epoch >= self.patience
        if ends:
            self.restore(trainer)
        return ends

    def restore(self, trainer: Trainer) -> None:
        """Give the network the parameters of its best epoch, if `restore_best` kept them.

        It is done when training is ended here; where the epochs ran out before, call it.
        """
        if self._state:
            trainer.net.load_state_dict(self._state)


class BestCheckpoint(_Watch):
    """Saves a checkpoint after each epoch that is the best so far.

    Parameters
    ----------
    path : of the checkpoint, which replaces the one before
    monitor, min_delta : name of the number to watch, and what must be exceeded
    """

    def __init__(self, path: str | PathLike[str], monitor: str = "val_loss",
                 min_delta: float = 0.0) -> None:
        super().__init__(monitor, min_delta)
        self.path = path

    def __call__(self, trainer: Trainer) -> None:
        """Save, if this is the best epoch."""
        if self.improved(trainer):
            trainer.save_checkpoint(self.path)


class ReduceLROnPlateau(_Watch):
    """Lowers the learning rate when nothing has become better for `patience` epochs.

    Parameters
    ----------
    monitor, min_delta : name of the number to watch, and what must be exceeded
    factor : what the learning rate is multiplied by
    patience : epochs without an improvement that are let pass
    min_lr : it is not made smaller than this
    """

    def __init__(self, monitor: str = "val_loss", factor: float = 0.1, patience: int = 10,
                 min_delta: float = 0.0, min_lr: float = 0.0) -> None:
        super().__init__(monitor, min_delta)
        if not 0 < factor < 1:
            raise ArgumentError(f"ReduceLROnPlateau: factor must be between 0 and 1, got {factor}")
        self.factor, self.patience, self.min_lr = factor, patience, min_lr
        self._bad = 0

    def __call__(self, trainer: Trainer) -> None:
        """Compare, and lower the rate if it is time."""
        self._bad = 0 if self.improved(trainer) else self._bad + 1
        if self._bad > self.patience:
            optimizer = trainer.optimizer
            optimizer.lr = max(optimizer.lr * self.factor, min(self.min_lr, optimizer.lr))
            self._bad = 0


class TensorBoard:
    """Writes the numbers of each epoch for TensorBoard (needs the extra `tensorboard`).

    Parameters
    ----------
    folder : where the event files go
    histograms : also write histograms of the parameters
    """

    def __init__(self, folder: str | PathLike[str], histograms: bool = False) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise ArgumentError("TensorBoard: needs tensorboardX: "
                                "pip install 'fastdl[tensorboard]'") from error
        self.histograms = histograms
        self._writer: Any = SummaryWriter(str(folder))

    def __call__(self, trainer: Trainer) -> None:
        """Write the last epoch."""
        for name, values in trainer.history.items():
            if len(values) == trainer.epoch:
                self._writer.add_scalar(name, values[-1], trainer.epoch)
        self._writer.add_scalar("learning_rate", trainer.optimizer.rate, trainer.epoch)
        if self.histograms:
            for name, array in trainer.net.params.items():
                self._writer.add_histogram(name, array, trainer.epoch)
        self._writer.flush()

    def close(self) -> None:
        """End the file."""
        self._writer.close()

"""Epochs over a training set."""

import os
import sys
from typing import Any

import numpy as np

from . import optimizer as _optimizers
from .optimizer import *  # noqa: F403

__all__ = [*_optimizers.__all__, "Trainer", "os", "sys"]

_BY_NAME = {name.lower(): getattr(_optimizers, name) for name in _optimizers.__all__
            if name != "np"}


class Trainer:
    """Trains a network on random batches, and tests it at the beginning of each epoch.

    Parameters
    ----------
    network : with ``params``, ``gradient(x, t)``, ``loss(x, t)`` and ``accuracy(x, t)``
    x_train, t_train, x_test, t_test : arrays
    epochs, mini_batch_size : int
    optimizer : str
        Name of a class of `optimizer`, in any case.
    optimizer_param : dict
        Its arguments.
    evaluate_sample_num_per_epoch : int or None
        Examples that accuracies are taken from; all for None.
    verbose : bool
        Whether to print losses and accuracies.

    Attributes
    ----------
    train_loss_list, train_acc_list, test_acc_list : lists
        The loss after each step; accuracies of each epoch.
    """

    def __init__(self, network: Any, x_train: Any, t_train: Any, x_test: Any, t_test: Any,
                 epochs: int = 20, mini_batch_size: int = 100, optimizer: str = "SGD",
                 optimizer_param: dict[str, Any] = {"lr": 0.01},      # noqa: B006
                 evaluate_sample_num_per_epoch: int | None = None, verbose: bool = True) -> None:
        self.network, self.verbose = network, verbose
        self.x_train, self.t_train, self.x_test, self.t_test = x_train, t_train, x_test, t_test
        self.epochs, self.batch_size = epochs, mini_batch_size
        self.evaluate_sample_num_per_epoch = evaluate_sample_num_per_epoch
        self.optimizer = _BY_NAME[optimizer.lower()](**optimizer_param)
        self.train_size = x_train.shape[0]
        self.iter_per_epoch = max(self.train_size / mini_batch_size, 1)
        self.max_iter = int(epochs * self.iter_per_epoch)
        self.current_iter = self.current_epoch = 0
        self.train_loss_list: list[Any] = []
        self.train_acc_list: list[Any] = []
        self.test_acc_list: list[Any] = []

    def train_step(self) -> None:
        """One batch; an epoch's first also measures accuracies."""
        batch = np.random.choice(self.train_size, self.batch_size)      # noqa: NPY002
        x, t = self.x_train[batch], self.t_train[batch]
        self.optimizer.update(self.network.params, self.network.gradient(x, t))
        loss = self.network.loss(x, t)
        self.train_loss_list.append(loss)
        self._say(f"train loss:{loss}")
        if self.current_iter % self.iter_per_epoch == 0:
            self._evaluate()
        self.current_iter += 1

    def _evaluate(self) -> None:
        self.current_epoch += 1
        n = self.evaluate_sample_num_per_epoch
        train = self.network.accuracy(self.x_train[:n], self.t_train[:n])
        test = self.network.accuracy(self.x_test[:n], self.t_test[:n])
        self.train_acc_list.append(train)
        self.test_acc_list.append(test)
        self._say(f"=== epoch:{self.current_epoch}, train acc:{train}, test acc:{test} ===")

    def train(self) -> None:
        """All epochs, then a test on all examples."""
        for _ in range(self.max_iter):
            self.train_step()
        accuracy = self.network.accuracy(self.x_test, self.t_test)
        self._say("=============== Final Test Accuracy ===============")
        self._say(f"test acc:{accuracy}")

    def _say(self, text: str) -> None:
        if self.verbose:
            print(text)

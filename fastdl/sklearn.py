"""Networks as estimators of scikit-learn (extra `sklearn`), for its searches and pipelines.

Cross-validation, preprocessing and grid search are scikit-learn's own:

>>> import fastdl as fd
>>> from sklearn.model_selection import GridSearchCV, cross_val_score
>>> from sklearn.pipeline import make_pipeline
>>> from sklearn.preprocessing import StandardScaler
>>> (x, t), _ = fd.datasets.digits(flatten=True)
>>> classifier = FastdlClassifier((50,), lr=0.01, epochs=10, random_state=0)
>>> model = make_pipeline(StandardScaler(), classifier)
>>> scores = cross_val_score(model, x[:500], t[:500], cv=3)
>>> bool(scores.mean() > 0.85)
True
>>> search = GridSearchCV(model, {"fastdlclassifier__lr": [1e-5, 1e-2]}, cv=2)
>>> search.fit(x[:200], t[:200]).best_params_
{'fastdlclassifier__lr': 0.01}
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, TypeAlias

import numpy as np

from . import callbacks, ops, optimizers, random
from .errors import ArgumentError
from .models import mlp
from .module import Module
from .optimizers import Optimizer
from .trainer import Trainer

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.model_selection import train_test_split
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("fastdl.sklearn needs scikit-learn of version 1.6 or later: "
                      "pip install 'fastdl[sklearn]'") from error

Shape = tuple[int, ...]
Network: TypeAlias = Module | Callable[[Shape, int], Module] | Sequence[int]


class _Estimator(BaseEstimator):
    """What classifier and regressor share: the parameters, and how a network is trained."""

    _loss: str

    def __init__(self, network: Network = (100,), *, optimizer: str | Optimizer = "adam",
                 lr: float | None = None, epochs: int = 100, batch_size: int = 32,
                 early_stopping: bool = False, validation_fraction: float = 0.1,
                 patience: int = 10, random_state: Any = None, verbose: bool = False) -> None:
        self.network = network
        self.optimizer = optimizer
        self.lr = lr
        self.epochs = epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.verbose = verbose

    def _fit(self, X: np.ndarray, t: np.ndarray, outputs: int, stratify: Any = None) -> None:
        """Train a network on samples and targets as the loss wants them."""
        source = check_random_state(self.random_state)
        # Without a random state, fastdl's own generator is in force: `fd.seed` repeats a fit.
        seeded = self.random_state is not None
        with random.seeded(source.randint(2**31 - 1)) if seeded else nullcontext():
            net = self._build(X.shape[1:], outputs)
            dtype = next((w.dtype for w in net.params.values()), np.dtype(np.float32))
            X = X.astype(dtype, copy=False)
            if t.dtype.kind == "f":
                t = t.astype(dtype, copy=False)
            trainer = Trainer(net, self._loss, self._make_optimizer())
            held_out, stopping = None, None
            if self.early_stopping:
                X, x_held, t, t_held = train_test_split(
                    X, t, test_size=self.validation_fraction, stratify=stratify,
                    random_state=random.generator().integers(2**31 - 1))
                held_out = x_held, t_held
                stopping = callbacks.EarlyStopping("val_loss", self.patience, restore_best=True)
            self.history_ = trainer.fit(X, t, self.epochs, self.batch_size, held_out,
                                        callbacks=[stopping] if stopping else [],
                                        progress=bool(self.verbose))
            if stopping:
                stopping.restore(trainer)
        self.net_ = net
        self.n_iter_ = trainer.epoch

    def _build(self, shape: Shape, outputs: int) -> Module:
        if isinstance(self.network, Module):
            return copy.deepcopy(self.network)          # fit leaves parameters as they are
        if callable(self.network):
            net = self.network(shape, outputs)
        elif isinstance(self.network, tuple | list):
            net = mlp(outputs, math.prod(shape), 1, self.network)
        else:
            net = None
        if not isinstance(net, Module):
            raise ArgumentError(f"{type(self).__name__}: network must be a fastdl.Module, a "
                                "function (shape, outputs) that returns one, or a tuple of "
                                f"hidden sizes, got {self.network!r}")
        return net

    def _make_optimizer(self) -> Optimizer:
        optimizer = copy.deepcopy(optimizers.get(self.optimizer))
        if self.lr is not None:
            optimizer.lr = self.lr
        return optimizer

    def _outputs(self, X: Any) -> np.ndarray:
        """What the network gives for samples."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=_FLOATS, allow_nd=True, reset=False)
        return self.net_.predict(X)


_FLOATS = (np.float64, np.float32)


class FastdlClassifier(ClassifierMixin, _Estimator):
    """A network that scikit-learn takes for a classifier.

    Parameters
    ----------
    network : tuple of int, callable, or fastdl.Module
        Widths of a perceptron's hidden layers; or a function ``(shape, outputs)`` of the shape of
        a sample and the number of classes, which builds a network; or a network, which is copied,
        so that every fit begins with the parameters that it has. Its outputs are scores.
    optimizer : name or `fastdl.optimizers.Optimizer`
    lr : learning rate; the optimizer's own unless given
    epochs, batch_size : of the training
    early_stopping : hold out samples, end when their loss has not become smaller for `patience`
        epochs, and keep the best epoch's parameters
    validation_fraction : share that is held out then
    patience : epochs without an improvement
    random_state : int, RandomState or None
        Makes a fit repeat. With None, `fastdl.seed` does.
    verbose : show progress bars

    Attributes
    ----------
    classes_ : (n_classes,)
    n_features_in_ : int
        Features, or an image's channels.
    net_ : fastdl.Module
    history_ : fastdl.History
    n_iter_ : int
        Epochs that there were.

    >>> import fastdl as fd
    >>> (x, t), (x_test, t_test) = fd.datasets.digits()          # images (N, 1, 8, 8)
    >>> def build(shape, outputs):
    ...     return fd.models.simple_convnet(outputs, shape[0], shape[1])
    >>> model = FastdlClassifier(build, lr=0.01, epochs=3, random_state=0).fit(x, t)
    >>> bool(model.score(x_test, t_test) > 0.85)
    True
    >>> model.predict_proba(x_test).shape
    (360, 10)
    """

    _loss = "softmax_cross_entropy"

    def fit(self, X: Any, y: Any) -> FastdlClassifier:
        """Train on samples (N, ...) and their labels (N,), numbers or texts."""
        X, y = validate_data(self, X, y, dtype=_FLOATS, allow_nd=True)
        check_classification_targets(y)
        self.classes_, t = np.unique(y, return_inverse=True)
        self._fit(X, t, len(self.classes_), stratify=t)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes, (N, n_classes)."""
        return ops.softmax(self._outputs(X))

    def predict(self, X: Any) -> np.ndarray:
        """The most likely label of each sample, (N,)."""
        best = self._outputs(X).argmax(axis=1)
        return self.classes_[best]


class FastdlRegressor(RegressorMixin, _Estimator):
    """A network that scikit-learn takes for a regressor.

    Parameters and attributes are those of `FastdlClassifier`, without `classes_`; the network's
    outputs are the targets, one or several. Targets far from 0 and of another size than 1 are
    learned slowly: ``sklearn.compose.TransformedTargetRegressor`` scales them.

    >>> import numpy as np
    >>> x = np.linspace(-2, 2, 200)[:, None]
    >>> model = FastdlRegressor((50,), random_state=0).fit(x, np.sin(x[:, 0]))
    >>> bool(model.score(x, np.sin(x[:, 0])) > 0.95)
    True
    """

    _loss = "mse"

    def fit(self, X: Any, y: Any) -> FastdlRegressor:
        """Train on samples (N, ...) and numbers (N,) or (N, n_outputs)."""
        X, y = validate_data(self, X, y, dtype=_FLOATS, allow_nd=True, multi_output=True,
                             y_numeric=True)
        t = np.asarray(y, np.float64).reshape(len(X), -1)
        self._shape = np.shape(y)[1:]
        self._fit(X, t, t.shape[1])
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The number, or the numbers, for each sample: float64, as scikit-learn wants them."""
        y = self._outputs(X)
        return y.reshape(len(y), *self._shape).astype(np.float64)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

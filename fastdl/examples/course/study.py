"""What the training scripts here share: the loop over random batches, and its two curves."""

import sys

import matplotlib.pyplot as plt
import numpy as np

BATCH_SIZE, INTERVAL = 100, 10


def iterations(default):
    """How many iterations the command line asks for."""
    return int(sys.argv[1]) if len(sys.argv) > 1 else default


def study(title, network, update, train, test, iters_num, train_on="batch"):
    """Call ``update(i, x_batch, d_batch)`` for each batch; print and draw accuracies.

    `update` changes the parameters and returns what it adds to the loss. The training accuracy is
    that of the "batch", or of "all" images.
    """
    (x_train, d_train), (x_test, d_test) = train, test
    losses, accuracies_train, accuracies_test = [], [], []
    for i in range(iters_num):
        batch_mask = np.random.choice(len(x_train), BATCH_SIZE)         # noqa: NPY002
        x_batch, d_batch = x_train[batch_mask], d_train[batch_mask]
        penalty = update(i, x_batch, d_batch) or 0
        losses.append(network.loss(x_batch, d_batch) + penalty)
        if (i + 1) % INTERVAL == 0:
            seen = (x_train, d_train) if train_on == "all" else (x_batch, d_batch)
            accuracies_train.append(network.accuracy(*seen))
            accuracies_test.append(network.accuracy(x_test, d_test))
    print(f"{title}: iteration {iters_num}, loss {losses[-1]:.4f}, "
          f"training {accuracies_train[-1]:.4f}, test {accuracies_test[-1]:.4f}")

    lists = range(0, iters_num, INTERVAL)
    plt.plot(lists, accuracies_train, label="training set")
    plt.plot(lists, accuracies_test, label="test set")
    plt.legend(loc="lower right")
    plt.title(title)
    plt.xlabel("count")
    plt.ylabel("accuracy")
    plt.ylim(0, 1.0)
    plt.show()

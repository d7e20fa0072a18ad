"""Five optimizers on one network, from two beginnings; then batch norm with the best of them."""

from functools import partial

from fastdl import Trainer, layers
from fastdl.examples.kit import Line, Run, learn, main, perceptron, plot
from fastdl.optimizers import SGD, Adagrad, Adam, Momentum, RMSprop

TITLE = "Optimizers", "学習率最適化手法"

OPTIMIZERS = {"SGD": SGD, "Momentum": Momentum, "AdaGrad": Adagrad, "RMSProp": RMSprop,
              "Adam": Adam}
# The report's listings begin with the first; its figures are those of ReLU and He, with which
# Momentum and AdaGrad get so far in 1,000 iterations.
BEGINNINGS = {"sigmoid, gauss": (lambda width: [layers.Sigmoid()], "gauss"),
              "ReLU, He": (lambda width: [layers.ReLU()], "he")}
PRINTED = {"Momentum": 0.938, "AdaGrad": 0.9375, "RMSProp": 0.9408, "Adam": 0.9437}
SIZES = [784, 40, 20, 10]


def normalised(width):
    """What stands between dense layers, with batch normalisation."""
    return [layers.BatchNorm1d(width), layers.ReLU()]


def example(run: Run) -> None:
    """1,000 iterations with learning rate 0.01, batches of 100."""
    data = run.data("mnist")
    panels: dict[str, dict[str, Line]] = {}

    def train(optimizer, between, init):
        trainer = Trainer(perceptron(SIZES, between, init), optimizer=optimizer(lr=0.01))
        return learn(trainer, data, run.iterations(1000))

    run.remark("compared at ReLU and He: from sigmoid and 0.01, with which the listings begin, "
               "Momentum and AdaGrad cannot reach the report's figures in 1,000 iterations")
    for title, (between, init) in BEGINNINGS.items():
        panels[title] = {}
        for name, optimizer in OPTIMIZERS.items():
            curves = run.median(partial(train, optimizer, between, init))
            panels[title][name] = curves.iterations, curves.test
            if title == "ReLU, He" and name in PRINTED:
                run.near(f"{name}; {title}", curves.test[-1], PRINTED[name], 0.02)
            else:
                run.shows(f"{name}; {title}", f"{curves.test[-1]:.4f}")
    adam = panels["ReLU, He"]["Adam"][1]

    curves = run.median(partial(train, Adam, normalised, "he"))
    panels["ReLU, He"][name := run.say("Adam, batch norm", "Adam, バッチ正規化")] = (
        curves.iterations, curves.test)
    early = min(19, len(adam) - 1)                  # the 200th iteration
    run.holds(f"{name}; ReLU, He", f"{curves.test[early]:.4f} → {curves.test[-1]:.4f} "
              f"(Adam: {adam[early]:.4f} → {adam[-1]:.4f})",
              run.say("faster and better", "収束が早まり、精度も向上"),
              run.say("better after 200 and 1,000 iterations", "200 回後と 1,000 回後に上回る"),
              curves.test[early] > adam[early] and curves.test[-1] > adam[-1])
    plot(run, panels)


if __name__ == "__main__":
    main(example)

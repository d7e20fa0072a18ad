"""The vanishing gradient: sigmoid with small weights stays at chance; ReLU, Xavier and He learn."""

from functools import partial

import fastdl as fd
from fastdl.examples.kit import Line, Run, learn, main, perceptron, plot

TITLE = "Vanishing gradient", "勾配消失問題"

# Activation, initial weights, and the test accuracy that the report prints after 2,000 iterations.
CASES = (("sigmoid", "gauss", 0.1135), ("relu", "gauss", 0.9258), ("sigmoid", "xavier", 0.8762),
         ("relu", "he", 0.9523), ("relu", "xavier", 0.9502), ("sigmoid", "he", None))
LAYERS = {"sigmoid": fd.layers.Sigmoid, "relu": fd.layers.ReLU}


def example(run: Run) -> None:
    """784-40-20-10 units, SGD with learning rate 0.1, batches of 100."""
    data = run.data("mnist")
    lines: dict[str, Line] = {}

    def train(activation, init):
        net = perceptron([784, 40, 20, 10], lambda width: [LAYERS[activation]()], init)
        trainer = fd.Trainer(net, optimizer=fd.optimizers.SGD(lr=0.1))
        return learn(trainer, data, run.iterations(2000))

    for activation, init, printed in CASES:
        curves, name = run.median(partial(train, activation, init)), f"{activation}, {init}"
        if printed is None:
            run.shows(name, f"{curves.test[-1]:.4f}")
        else:
            run.near(name, curves.test[-1], printed, 0.015)
        lines[name] = curves.iterations, curves.test
    plot(run, {run.say("test accuracy", "テスト正解率"): lines})


if __name__ == "__main__":
    main(example)

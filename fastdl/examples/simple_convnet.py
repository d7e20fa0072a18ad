"""SimpleConvNet on 1,000 images: the network over which the report waited for ten minutes."""

import time

import fastdl as fd
from fastdl.examples.kit import Run, both, learn, main, plot

TITLE = "SimpleConvNet", "SimpleConvNet"


def example(run: Run) -> None:
    """Convolution 30 of 5 × 5, pool, dense 100, dense 10; Adam; 1,000 training, 200 test images."""
    (x, t), (x_test, t_test) = run.data("mnist")
    data = (x[:1000], t[:1000]), (x_test[:200], t_test[:200])

    started = time.perf_counter()
    curves = run.median(lambda: learn(
        fd.Trainer(fd.models.simple_convnet(), optimizer=fd.optimizers.Adam(lr=1e-3)), data,
        run.iterations(1000), train_on="all"))
    seconds = (time.perf_counter() - started) / run.seeds

    run.shows(run.say("test accuracy", "テスト正解率"), f"{curves.test[-1]:.4f}",
              run.say("stable and high", "安定して高い"))
    run.holds(run.say("time of the training", "学習時間"), f"{seconds:.1f} s",
              run.say("about 10 minutes", "10 分ほど"),
              run.say("under a minute", "1 分未満"), seconds < 60)
    plot(run, {TITLE[0]: both(run, curves)})


if __name__ == "__main__":
    main(example)

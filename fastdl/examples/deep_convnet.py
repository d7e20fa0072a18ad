"""DeepConvNet, six convolutions deep: the report's best network, after nearly an hour."""

import time

import fastdl as fd
from fastdl.examples.kit import Run, both, learn, main, plot

TITLE = "DeepConvNet", "DeepConvNet"


def example(run: Run) -> None:
    """1,000 iterations of Adam on batches of 100 of all training images."""
    data = train, (x_test, t_test) = run.data("mnist")
    some = train, (x_test[:1000], t_test[:1000])        # for the curve; the end is of all

    started = time.perf_counter()
    curves = run.median(lambda: learn(
        fd.Trainer(fd.models.deep_convnet(), optimizer=fd.optimizers.Adam(lr=1e-3)), some,
        run.iterations(1000), every=50))
    seconds = (time.perf_counter() - started) / run.seeds

    accuracy = fd.Trainer(curves.net).evaluate(*data[1])["accuracy"]
    run.holds(run.say("test accuracy", "テスト正解率"), f"{accuracy:.4f}", "0.982",
              run.say("at least 0.98", "0.98 以上"), accuracy >= 0.98)
    run.holds(run.say("time of the training", "学習時間"), f"{seconds:.1f} s",
              run.say("nearly an hour", "小一時間"),
              run.say("under a minute", "1 分未満"), seconds < 60)
    plot(run, {TITLE[0]: both(run, curves)})


if __name__ == "__main__":
    main(example)

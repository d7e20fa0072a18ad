"""The slides' Keras network on MNIST: two wide convolutions, three dense layers, the curves."""

import fastdl as fd
from fastdl.examples.kit import Curves, Run, both, main, plot

TITLE = "MNIST network of the slides", "スライドの MNIST ネットワーク"


def example(run: Run) -> None:
    """Adam on batches of 128; with a learning rate that falls to 0, three epochs are enough."""
    (x, t), test = run.data("mnist")
    epochs, limit = (1, 256) if run.quick else (3, None)
    losses = {}

    def train() -> Curves:
        trainer = fd.Trainer(fd.models.mnist_net(), optimizer=fd.optimizers.Adam(lr=1e-3))
        history = trainer.fit(x[:limit], t[:limit], epochs, batch_size=128, validation_data=test,
                              schedule="cosine", progress=False)
        curves = Curves([*range(1, epochs + 1)], history["accuracy"], history["val_accuracy"],
                        trainer.net)
        losses[curves.net] = curves._replace(train=history["loss"], test=history["val_loss"])
        return curves

    run.remark(f"{epochs} epochs, learning rate 0.001 falling as a cosine; the slides do not say "
               "how they train")
    curves = run.median(train)
    run.holds(run.say("test accuracy", "テスト正解率"), f"{curves.test[-1]:.4f}",
              run.say("curves", "曲線"), run.say("at least 0.99", "0.99 以上"),
              curves.test[-1] >= 0.99)
    plot(run, {run.say("accuracy", "正解率"): both(run, curves),
               run.say("loss", "損失"): both(run, losses[curves.net])},
         xlabel=run.say("epoch", "エポック"), ylabel=" ", ylim=None)


if __name__ == "__main__":
    main(example)

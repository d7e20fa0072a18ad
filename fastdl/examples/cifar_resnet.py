"""CIFAR-10 in ten epochs: a small residual network, augmentation, and one cycle of the rate."""

import fastdl as fd
from fastdl import transforms
from fastdl.examples.kit import Run, main, plot
from fastdl.layers import BatchNorm2d, Conv2d, Flatten, GlobalAvgPool2d, Linear, MaxPool2d, ReLU

TITLE = "CIFAR-10 with a small residual network", "CIFAR-10 と小さな残差ネットワーク"

STANDARD = transforms.Normalize((0.491, 0.482, 0.447), (0.245, 0.243, 0.261))
AUGMENTED = transforms.Compose([transforms.RandomCrop(32, padding=4),
                                transforms.RandomHorizontalFlip(), STANDARD])


def conv(in_channels: int, channels: int) -> fd.Sequential:
    """A 3×3 convolution, batch norm, ReLU."""
    return fd.Sequential(
        Conv2d(in_channels, channels, 3, padding=1, bias=False, weight_init="he"),
        BatchNorm2d(channels), ReLU())


class Residual(fd.Module):
    """Two convolutions, added to what comes in (He et al., 2016)."""

    def __init__(self, channels: int) -> None:
        self.body = fd.Sequential(conv(channels, channels), conv(channels, channels))

    def connect(self, x):
        return x + self.body(x)


def network() -> fd.Sequential:
    """Six convolutions; a pool follows early, where maps are large and a layer costs most."""
    return fd.Sequential(
        conv(3, 32), MaxPool2d(2), conv(32, 64), MaxPool2d(2), conv(64, 128), Residual(128),
        MaxPool2d(2), conv(128, 256), GlobalAvgPool2d(), Flatten(), Linear(256, 10))


def example(run: Run) -> None:
    """SGD on batches of 128. A run that was cut off goes on from its last whole epoch."""
    (x, t), test = run.data("cifar10")
    epochs, limit = (1, 256) if run.quick else (10, None)
    trainer = fd.Trainer(
        network(), fd.losses.SoftmaxCrossEntropy(label_smoothing=0.1),
        fd.optimizers.SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4))
    checkpoint = run.out / f"{run.name}.checkpoint"
    if checkpoint.exists():
        trainer.load_checkpoint(checkpoint)
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    if trainer.epoch < epochs:
        trainer.fit(x[:limit], t[:limit], epochs - trainer.epoch, batch_size=128,
                    validation_data=test, transform=AUGMENTED, validation_transform=STANDARD,
                    schedule=fd.schedules.warm_up(0.25, then="linear"), progress=False,
                    callbacks=[lambda trainer: trainer.save_checkpoint(checkpoint)])

    history, steps = trainer.history, [*range(1, epochs + 1)]
    accuracy, seconds = history["val_accuracy"][-1], sum(history["seconds"])
    parameters = sum(w.size for w in trainer.net.params.values())
    run.shows(run.say("parameters", "パラメータ数"), f"{parameters:,}")
    run.holds(run.say("test accuracy", "テスト正解率"), f"{accuracy:.4f}", "",
              run.say("at least 0.80", "0.80 以上"), accuracy >= 0.80)
    run.shows(run.say("time of the training", "学習時間"), f"{seconds:.0f} s")
    run.remark("training accuracies are those of augmented images, while the network learns; "
               "losses are of targets smoothed by 0.1")
    panels = {title: {run.say("training", "訓練"): (steps, history[key]),
                      run.say("test", "テスト"): (steps, history[f"val_{key}"])}
              for key, title in (("accuracy", run.say("accuracy", "正解率")),
                                 ("loss", run.say("loss", "損失")))}
    plot(run, panels, xlabel=run.say("epoch", "エポック"), ylabel=" ", ylim=None)
    checkpoint.unlink()             # the next run begins anew


if __name__ == "__main__":
    main(example)

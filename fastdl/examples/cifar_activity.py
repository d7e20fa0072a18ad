"""CIFAR-10: the Keras network of the report, plain and with regularizers on an activity."""

import fastdl as fd
from fastdl.examples.kit import Run, main, plot
from fastdl.layers import ActivityRegularization, Conv2d, Flatten, Linear, MaxPool2d, ReLU

TITLE = "CIFAR-10 and activity regularizers", "CIFAR-10 と活性の正則化"

# Keras: Dense(512, activation="relu", activity_regularizer=L2(0.01)), and L1(0.01).
CASES = {("plain", "正則化なし"): [],
         ("L2(0.01)", "L2(0.01)"): [ActivityRegularization(l2=0.01)],
         ("L1(0.01)", "L1(0.01)"): [ActivityRegularization(l1=0.01)]}
INIT = "xavier_uniform"             # Keras's default


def example(run: Run) -> None:
    """Five epochs of Adam on batches of 256."""
    (x, t), test = run.data("cifar10")
    epochs, limit = (1, 512) if run.quick else (5, None)
    run.remark("losses are without the penalty, which Keras adds to those it shows")
    accuracy: dict = {}
    loss: dict = {}
    for names, penalty in CASES.items():
        fd.seed(0)
        net = fd.Sequential(
            Conv2d(3, 32, 3, padding=1, weight_init=INIT), ReLU(),
            Conv2d(32, 32, 3, weight_init=INIT), ReLU(), MaxPool2d(2), Flatten(),
            Linear(32 * 15 * 15, 512, weight_init=INIT), ReLU(), *penalty,
            Linear(512, 10, weight_init=INIT))
        history = fd.Trainer(net, optimizer=fd.optimizers.Adam()).fit(
            x[:limit], t[:limit], epochs, batch_size=256, validation_data=test, progress=False)
        name, steps = run.say(*names), range(1, epochs + 1)
        for panel, key in ((accuracy, "accuracy"), (loss, "loss")):
            panel[f"{name}, {run.say('training', '訓練')}"] = steps, history[key]
            panel[f"{name}, {run.say('test', 'テスト')}"] = steps, history[f"val_{key}"]
        rises = history["accuracy"][-1] > history["accuracy"][0]
        falls = history["loss"][-1] < history["loss"][0]
        run.holds(name, run.say(
            f"test {history['val_accuracy'][-1]:.4f}, loss {history['val_loss'][-1]:.3f}; training "
            f"{history['accuracy'][0]:.2f} → {history['accuracy'][-1]:.2f}",
            f"テスト {history['val_accuracy'][-1]:.4f}、損失 {history['val_loss'][-1]:.3f}、訓練 "
            f"{history['accuracy'][0]:.2f} → {history['accuracy'][-1]:.2f}"),
            run.say("accuracy rises, loss falls", "正解率が上がり損失が下がる"),
            run.say("the same", "同じ"), rises and falls)
    plot(run, {run.say("accuracy", "正解率"): accuracy, run.say("loss", "損失"): loss},
         xlabel=run.say("epoch", "エポック"), ylabel=" ", ylim=None)


if __name__ == "__main__":
    main(example)

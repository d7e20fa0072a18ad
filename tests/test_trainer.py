"""Training: it learns, it counts right, and it goes on from a checkpoint as if never stopped."""

import json
import math
import os
import threading

import numpy as np
import pytest

import fastdl as fd
from fastdl.layers import BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU
from fastdl.optimizers import SGD, Adam, Momentum, NAdam
from fastdl.transforms import Compose, Normalize, RandomCrop, RandomHorizontalFlip


def identity(**options):
    """A network without parameters: its output is its (positive) input."""
    return fd.Trainer(fd.Sequential(ReLU()), optimizer="sgd", **options)


def line():
    """y = 2 x + 1, to be trained with MSE."""
    net = fd.Sequential(Linear(1, 1))
    net.params["0.weight"], net.params["0.bias"] = [[2]], [1]
    return fd.Trainer(net, loss="mse", optimizer=SGD(lr=0.1))


@pytest.fixture(autouse=True)
def one_thread():
    """Small steps, on a machine that may be busy with other tests."""
    before = fd.get_num_threads()
    fd.set_num_threads(1)
    yield
    fd.set_num_threads(before)


class Recorder(SGD):
    """Writes down the learning rate of each update."""

    def __init__(self):
        super().__init__(lr=2.0)
        self.rates = []

    def update(self, params, grads):
        self.rates.append(self.rate)


@pytest.fixture
def digits():
    return fd.datasets.digits()


# ---- learning ----

def normalised(in_channels, out_channels):
    return (Conv2d(in_channels, out_channels, 3, padding=1, bias=False), BatchNorm2d(out_channels),
            ReLU())


def test_learns_the_digits(digits):
    """The test digits are by other writers; PyTorch ends between 0.96 and 0.98 as well."""
    (x, t), test = digits
    fd.seed(0)
    net = fd.Sequential(*normalised(1, 32), *normalised(32, 32), MaxPool2d(2),
                        *normalised(32, 64), MaxPool2d(2), Dropout(0.3), Flatten(), Linear(256, 10))
    trainer = fd.Trainer(net, optimizer=Adam(lr=0.01))
    history = trainer.fit(x, t, epochs=10, batch_size=50, validation_data=test, schedule="cosine",
                          progress=False)
    assert history["val_accuracy"][-1] > 0.95
    assert history["accuracy"][-1] > history["accuracy"][0]
    assert history["loss"][-1] < history["loss"][0]
    assert (net.predict(test[0]).argmax(1) == test[1]).mean() == history["val_accuracy"][-1]


# ---- numbers by hand ----

def test_step_by_hand():
    """x = 1, t = 5: y = 3, the loss is (3 - 5)² / 2 and both gradients are -2."""
    trainer = line()
    assert trainer.step(np.array([[1.0]]), np.array([[5.0]])) == pytest.approx(2)
    np.testing.assert_allclose(trainer.net.params["0.weight"], [[2.2]], rtol=1e-6)
    np.testing.assert_allclose(trainer.net.params["0.bias"], [1.2], rtol=1e-6)
    assert trainer.epoch == 0
    # y = 3.4 now
    assert trainer.step(np.array([[1.0]]), np.array([[5.0]])) == pytest.approx(1.6**2 / 2)


def test_step_is_in_training_mode():
    net = fd.Sequential(BatchNorm2d(1), Flatten(), Linear(4, 2)).eval()
    fd.Trainer(net).step(np.ones((3, 1, 2, 2)), np.array([0, 1, 0]))
    assert net[0].num_batches_tracked == 1
    assert net.training


def test_step_leaves_a_part_in_eval_that_the_user_put_there():
    net = fd.Sequential(BatchNorm2d(1), Flatten(), Linear(4, 2))
    net[0].eval()
    fd.Trainer(net).step(np.ones((3, 1, 2, 2)), np.array([0, 1, 0]))
    assert net[0].num_batches_tracked == 0


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 100])
def test_evaluate_counts_partial_batches(batch_size):
    """Squared errors 1, 4, 9, 16, 25, halved: the mean is 5.5 however they are batched."""
    trainer = identity(loss="mse")
    x = np.array([[1.0], [2], [3], [4], [5]])
    assert trainer.evaluate(x, np.zeros((5, 1)), batch_size) == {"loss": pytest.approx(5.5)}


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 100])
def test_evaluate_counts_correct_samples(batch_size):
    x = np.log(np.array([[4.0, 1], [4, 1], [1, 4], [1, 4], [4, 1]]))
    numbers = identity().evaluate(x, np.array([0, 1, 1, 1, 1]), batch_size)
    assert numbers == {"loss": pytest.approx(-(3 * math.log(0.8) + 2 * math.log(0.2)) / 5),
                       "accuracy": 3 / 5}


def test_epochs_loss_is_the_mean_over_samples(rng):
    """With a learning rate of 0 nothing moves: training must measure what evaluation does."""
    x, t = rng.standard_normal((7, 3)).astype("float32"), np.array([0, 1, 1, 0, 1, 0, 0])
    trainer = fd.Trainer(fd.Sequential(Linear(3, 2)), optimizer=SGD(lr=0))
    expected = trainer.evaluate(x, t)
    history = trainer.fit(x, t, epochs=2, batch_size=3, validation_data=(x, t), progress=False)
    for epoch in range(2):
        assert history["loss"][epoch] == pytest.approx(expected["loss"], rel=1e-6)
        assert history["accuracy"][epoch] == expected["accuracy"]
        assert history["val_loss"][epoch] == pytest.approx(expected["loss"], rel=1e-6)
        assert history["val_accuracy"][epoch] == expected["accuracy"]


def test_evaluate_changes_nothing(digits):
    (x, t), _ = digits
    net = fd.Sequential(BatchNorm2d(1), Dropout(0.5), Flatten(), Linear(64, 10))
    trainer, before = fd.Trainer(net), net.state_dict()
    assert trainer.evaluate(x, t) == trainer.evaluate(x, t)
    assert net.training
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


# ---- the loop ----

def seen_batches(count, **options):
    """The sample numbers of each batch of one epoch."""
    batches = []

    class See(fd.Layer):
        def apply(self, inputs, params, training):
            batches.append(inputs[0][:, 0].astype(int).tolist())
            return inputs[0], None

        def grad(self, dy, saved):
            return (dy,), {}

    x = np.arange(count, dtype="float32")[:, None]
    trainer = fd.Trainer(fd.Sequential(See()), loss="mse")
    trainer.fit(x, x, progress=False, **options)
    return batches


def test_batches_in_order():
    assert seen_batches(5, batch_size=2, shuffle=False) == [[0, 1], [2, 3], [4]]


def test_shuffle_draws_a_new_order_each_epoch():
    fd.seed(0)
    batches = seen_batches(20, batch_size=20, epochs=3)
    assert all(sorted(batch) == list(range(20)) for batch in batches)
    assert batches[0] != batches[1] != batches[2] != list(range(20))
    fd.seed(0)
    assert seen_batches(20, batch_size=20, epochs=3) == batches


def test_history_has_one_number_an_epoch(digits):
    (x, t), (x_test, t_test) = digits
    trainer = fd.Trainer(fd.models.mlp(image_size=8))
    returned = trainer.fit(x[:50], t[:50], 2, validation_data=(x_test[:20], t_test[:20]),
                           progress=False)
    assert returned is trainer.history
    assert set(returned) == {"loss", "accuracy", "val_loss", "val_accuracy", "seconds"}
    assert {len(values) for values in returned.values()} == {2}
    trainer.fit(x[:50], t[:50], validation_data=(x_test[:20], t_test[:20]), progress=False)
    assert trainer.epoch == trainer.history.epochs == 3
    assert {len(values) for values in trainer.history.values()} == {3}


def test_a_loss_without_accuracy():
    trainer = line()
    history = trainer.fit(np.ones((3, 1)), np.ones((3, 1)), progress=False)
    assert set(history) == {"loss", "seconds"}


def test_callbacks():
    trainer, calls = line(), []

    def ends_after_two(trainer):
        calls.append(("ends", trainer.epoch))
        return trainer.epoch == 2

    def watches(trainer):
        calls.append(("watches", len(trainer.history["loss"])))

    trainer.fit(np.ones((3, 1)), np.ones((3, 1)), epochs=9, progress=False,
                callbacks=[ends_after_two, watches])
    assert calls == [("ends", 1), ("watches", 1), ("ends", 2), ("watches", 2)]
    assert trainer.epoch == 2


@pytest.mark.parametrize(("schedule", "factors"), [
    ("constant", [1] * 6),
    ("cosine", [(1 + math.cos(math.pi * p)) / 2 for p in (0, .2, .4, .5, .7, .9)]),
    (lambda progress: np.float32(progress), [0, .2, .4, .5, .7, .9]),
], ids=["constant", "cosine", "own"])
def test_schedules(schedule, factors):
    """Ten samples in batches of four, two epochs: progress 0, 0.4, 0.8 of each."""
    optimizer = Recorder()
    trainer = fd.Trainer(fd.Sequential(ReLU()), "mse", optimizer)
    trainer.fit(np.ones((10, 1)), np.ones((10, 1)), 2, batch_size=4, schedule=schedule,
                progress=False)
    assert optimizer.rates == pytest.approx([2 * factor for factor in factors], rel=1e-6)
    assert optimizer.rate == 2                          # steps by hand may follow


def test_a_schedule_goes_on_where_the_first_fit_ended():
    optimizer = Recorder()
    trainer = fd.Trainer(fd.Sequential(ReLU()), "mse", optimizer)
    for epochs in (1, 3):
        trainer.fit(np.ones((2, 1)), np.ones((2, 1)), epochs, schedule=lambda p: p, progress=False)
    assert optimizer.rates == [0, 0.5, 1, 1.5]          # 0 of 1; then 1, 2 and 3 of 4


def test_a_loss_that_is_nan_warns_once_an_epoch(rng):
    x = rng.standard_normal((20, 3)).astype("float32")
    x[5] = np.nan
    trainer = fd.Trainer(fd.Sequential(Linear(3, 2)), optimizer="sgd")
    with pytest.warns(RuntimeWarning, match="the loss became nan in epoch 1: try a smal") as seen:
        trainer.fit(x, np.zeros(20, int), batch_size=2, shuffle=False, progress=False)
    assert len(seen) == 1
    assert seen[0].filename == __file__


def test_data_of_other_kinds(digits):
    """Lists, integers and float64 do as well."""
    (x, t), _ = digits
    trainer = fd.Trainer(fd.models.mlp(image_size=8))
    trainer.fit((16 * x[:10]).astype("uint8"), t[:10].tolist(), progress=False)
    trainer.fit(x[:10].tolist(), t[:10].astype("uint8"), progress=False)
    trainer.step(x[:10].astype("float64"), t[:10])


# ---- transforms ----

def test_transforms_of_training_and_validation_are_apart():
    """y = 2 x + 1 is 3 for x = 1; the losses of targets 5 and 9 are 2 and 18, with x = 2 0 and 8.

    A learning rate of 0 leaves the line as it is.
    """
    def double(x, generator):
        return 2 * x

    x, t = np.ones((3, 1)), np.full((3, 1), 5.0)
    for options, loss, val_loss in [({}, 2, 18), ({"transform": double}, 0, 18),
                                    ({"validation_transform": double}, 2, 8)]:
        trainer = line()
        trainer.optimizer.lr = 0
        trainer.fit(x, t, validation_data=(x, t + 4), progress=False, **options)
        assert trainer.history["loss"] == pytest.approx([loss], abs=1e-9)
        assert trainer.history["val_loss"] == pytest.approx([val_loss])
    assert line().evaluate(x, t, transform=double) == {"loss": pytest.approx(0, abs=1e-9)}


def test_evaluation_draws_nothing(digits):
    """So that training does not depend on how often it is looked at."""
    (x, t), _ = digits
    trainer = fd.Trainer(fd.models.mlp(image_size=8))
    before = fd.random.get_state()
    numbers = trainer.evaluate(x, t, transform=RandomCrop(8, 2))
    assert numbers == trainer.evaluate(x, t, transform=RandomCrop(8, 2))
    assert fd.random.get_state() == before


def test_bytes_train_as_their_fractions_do(digits):
    (x, t), _ = digits
    results = []
    for data in (x, np.rint(x * 255).astype(np.uint8)):
        fd.seed(0)
        trainer = fd.Trainer(fd.models.mlp(image_size=8))
        trainer.fit(data, t, transform=Normalize(0.3, 0.4), progress=False)
        results.append(trainer.history["loss"][0])
    assert results[0] == pytest.approx(results[1], rel=0.01)


def test_a_step_that_raises_leaves_no_thread(digits):
    (x, t), _ = digits
    trainer = fd.Trainer(fd.models.mlp(image_size=8))
    with pytest.raises(fd.ArgumentError, match="t has label") as caught:
        trainer.fit(x, t + 5, transform=Normalize(0, 1), workers=2, batch_size=10, progress=False)
    names = [thread.name for thread in threading.enumerate()]       # while the frames are alive
    assert caught.traceback
    assert not [name for name in names if name.startswith("fastdl-loader")]


# ---- the bar ----

def test_bar(digits, capsys):
    (x, t), (x_test, t_test) = digits
    trainer = fd.Trainer(fd.models.mlp(image_size=8))
    trainer.fit(x[:200], t[:200], 2, validation_data=(x_test, t_test))
    out, err = capsys.readouterr()
    assert out == ""
    for text in ("epoch 1/2", "epoch 2/2", "200/200", "img/s"):
        assert text in err
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert f"{name} {trainer.history[name][-1]:.4f}" in err
    trainer.fit(x[:10], t[:10], progress=False)
    assert capsys.readouterr() == ("", "")


# ---- bad arguments ----

X, T = np.ones((4, 2), np.float32), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(("make", "message"), [
    (lambda: fd.Trainer(Linear(2, 2)), r"net must be a fastdl.Module, got Linear"),
    (lambda: fd.Trainer(fd.Sequential(), loss="mae"), "unknown loss 'mae'"),
    (lambda: fd.Trainer(fd.Sequential(), optimizer="adamm"), "unknown optimizer 'adamm'"),
])
def test_bad_trainers(make, message):
    with pytest.raises(fd.ArgumentError, match=message):
        make()


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ({"epochs": 0}, fd.ArgumentError, "fit: epochs must be an integer of at least 1, got 0"),
    ({"epochs": 1.5}, fd.ArgumentError, "fit: epochs must be an integer of at least 1, got 1.5"),
    ({"batch_size": -1}, fd.ArgumentError, "fit: batch_size must be an integer of at least 1"),
    ({"workers": -1}, fd.ArgumentError, "workers must be an integer of at least 0, got -1"),
    ({"transform": "flip"}, fd.ArgumentError, "transform must be callable, got str"),
    ({"schedule": "cosinus"}, fd.ArgumentError, "unknown schedule 'cosinus'"),
    ({"t": T[:3]}, fd.ShapeError, r"fit: x and t must have as many samples.*x \(4, 2\), t \(3,\)"),
    ({"x": X[:0], "t": T[:0]}, fd.ShapeError, "fit: .* at least one"),
    ({"x": 3.0}, fd.ShapeError, r"fit: .*x \(\)"),
    ({"validation_data": (X, T[:1])}, fd.ShapeError, "fit: validation_data: x and t must have"),
    ({"t": T + 5}, fd.ArgumentError, "t has label"),
])
def test_bad_fits_change_nothing(arguments, error, message):
    net = fd.Sequential(Linear(2, 2))
    trainer, before = fd.Trainer(net), net.state_dict()
    with pytest.raises(error, match=message):
        trainer.fit(**{"x": X, "t": T, "progress": False, **arguments})
    assert trainer.epoch == 0
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("batch_size", [0, -3, 2.5])
def test_evaluate_rejects_batch_sizes(batch_size):
    with pytest.raises(fd.ArgumentError, match="evaluate: batch_size must be an integer of at l"):
        identity().evaluate(X, T, batch_size)


# ---- checkpoints ----

def make_trainer(optimizer):
    net = fd.Sequential(Conv2d(1, 4, 3), BatchNorm2d(4), ReLU(), Dropout(0.3), Flatten(),
                        Linear(4 * 36, 10))
    return fd.Trainer(net, optimizer=optimizer())


OPTIMIZERS = {"adam": lambda: Adam(lr=0.01), "nadam": lambda: NAdam(lr=0.01),
              "momentum": lambda: Momentum(lr=0.05), "sgd": lambda: SGD(lr=0.05),
              "adadelta": fd.optimizers.Adadelta}
each_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())


def train(trainer, digits, epochs, callbacks=()):
    (x, t), (x_test, t_test) = digits
    trainer.fit(x[:130], t[:130], epochs, 40, (x_test[:50], t_test[:50]), schedule="cosine",
                callbacks=callbacks, progress=False)
    return trainer


def curves(trainer):
    return {name: values for name, values in trainer.history.items() if name != "seconds"}


def everything(trainer):
    """All that a checkpoint holds, to compare."""
    return {"net": trainer.net.state_dict(), "optimizer": trainer.optimizer.state_dict(),
            "random": fd.random.get_state(), "history": dict(trainer.history)}


@each_optimizer
def test_resumed_training_is_bit_for_bit_the_unbroken_one(optimizer, digits, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    fd.seed(0)
    unbroken = train(make_trainer(optimizer), digits, 4)
    random = fd.random.get_state()

    def save_and_stop(trainer):
        trainer.save_checkpoint(path)
        if trainer.epoch == 2:
            raise KeyboardInterrupt

    fd.seed(0)
    with pytest.raises(KeyboardInterrupt):
        train(make_trainer(optimizer), digits, 4, [save_and_stop])
    fd.seed(99)                                             # another process, another net
    resumed = make_trainer(optimizer)
    resumed.load_checkpoint(path)
    assert resumed.epoch == 2
    train(resumed, digits, 2)
    for name, array in unbroken.net.state_dict().items():
        np.testing.assert_array_equal(resumed.net.state_dict()[name], array)
    np.testing.assert_equal(resumed.optimizer.state_dict(), unbroken.optimizer.state_dict())
    assert curves(resumed) == curves(unbroken)
    assert fd.random.get_state() == random


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_resumed_training_with_augmentation_is_the_unbroken_one(workers, digits, tmp_path):
    """And the same whatever the number of workers, which another process may choose anew."""
    (x, t), test = digits
    augment = Compose([RandomCrop(8, 1), RandomHorizontalFlip(), Normalize(0.3, 0.4)])

    def go_on(trainer, epochs, workers):
        trainer.fit(x[:130], t[:130], epochs, 40, test, transform=augment, workers=workers,
                    validation_transform=Normalize(0.3, 0.4), progress=False)
        return trainer

    fd.seed(0)
    unbroken = go_on(make_trainer(Adam), 4, 0)
    fd.seed(0)
    go_on(make_trainer(Adam), 2, workers).save_checkpoint(tmp_path / "checkpoint")
    fd.seed(99)
    resumed = make_trainer(Adam)
    resumed.load_checkpoint(tmp_path / "checkpoint")
    go_on(resumed, 2, workers)
    for name, array in unbroken.net.state_dict().items():
        np.testing.assert_array_equal(resumed.net.state_dict()[name], array)
    assert curves(resumed) == curves(unbroken)


@each_optimizer
def test_a_checkpoint_holds_everything(optimizer, digits, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    trainer = train(make_trainer(optimizer), digits, 1)
    trainer.save_checkpoint(path)
    expected = everything(trainer)
    other = make_trainer(optimizer)
    other.load_checkpoint(path)
    np.testing.assert_equal(everything(other), expected)
    assert os.listdir(tmp_path) == [path.name]


def test_a_checkpoint_after_an_infinite_loss(tmp_path):
    trainer = line()
    trainer.history.append({"loss": math.inf, "val_loss": math.nan})
    trainer.save_checkpoint(tmp_path / "checkpoint.safetensors")
    other = line()
    other.load_checkpoint(tmp_path / "checkpoint.safetensors")
    assert other.history["loss"] == [math.inf]
    assert math.isnan(other.history["val_loss"][0])


def refused(trainer, path, message):
    before = everything(trainer)
    with pytest.raises(fd.CheckpointError, match=message):
        trainer.load_checkpoint(path)
    np.testing.assert_equal(everything(trainer), before)


@pytest.fixture
def checkpoint(digits, tmp_path):
    fd.seed(0)
    path = tmp_path / "checkpoint.safetensors"
    train(make_trainer(OPTIMIZERS["adam"]), digits, 1).save_checkpoint(path)
    return path


def test_a_checkpoint_of_another_network_is_refused(digits, checkpoint):
    (x, t), _ = digits
    wider = fd.Trainer(fd.Sequential(Conv2d(1, 8, 3), BatchNorm2d(8), ReLU(), Dropout(0.3),
                                     Flatten(), Linear(8 * 36, 10)), optimizer="adam")
    wider.step(x[:20], t[:20])
    refused(wider, checkpoint, r"0\.weight is \(4, 1, 3, 3\), expected \(8, 1, 3, 3\)")
    refused(fd.Trainer(fd.models.mlp(image_size=8)), checkpoint, r"does not fit: missing 3\.weight")


def test_a_checkpoint_of_another_optimizer_is_refused(checkpoint):
    refused(make_trainer(NAdam), checkpoint, "was saved with optimizer Adam, this trainer has NAd")


def test_files_that_are_no_checkpoints_are_refused(checkpoint, tmp_path):
    trainer = make_trainer(Adam)
    refused(trainer, tmp_path / "none.safetensors", r"none\.safetensors: no such file")
    trainer.net.save(tmp_path / "net.safetensors")
    refused(trainer, tmp_path / "net.safetensors", "not a checkpoint of a trainer")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    refused(trainer, checkpoint, "not a readable safetensors file")


@pytest.mark.parametrize("change", [
    lambda about: about.pop("random"), lambda about: about.update(random={"bit_generator": "x"}),
    lambda about: about.update(history=[1]), lambda about: about.pop("settings")],
    ids=["no random state", "another random state", "no history", "no settings"])
def test_damaged_checkpoints_are_refused(checkpoint, change):
    tensors, metadata = fd.files.read_tensors(checkpoint)
    about = json.loads(metadata["trainer"])
    change(about)
    fd.files.write_tensors(checkpoint, tensors, {"trainer": json.dumps(about)})
    refused(make_trainer(Adam), checkpoint, "not a checkpoint of a trainer")


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_save_that_is_cut_off_leaves_the_old_checkpoint(checkpoint, monkeypatch, failing):
    before = checkpoint.read_bytes()

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="no space left"):
        make_trainer(Adam).save_checkpoint(checkpoint)
    assert checkpoint.read_bytes() == before
    assert os.listdir(checkpoint.parent) == [checkpoint.name]


def test_predictions_during_training_from_another_thread(digits):
    """A thread that predicts must not disturb the step's gradients."""
    (x, t), _ = digits

    def weights(disturbed):
        fd.seed(0)
        trainer = fd.Trainer(fd.models.mlp(image_size=8), optimizer=SGD(lr=0.1))
        stop = threading.Event()

        def predict():
            while not stop.is_set():
                trainer.net.predict(x[:50])

        thread = threading.Thread(target=predict)
        if disturbed:
            thread.start()
        trainer.fit(x[:500], t[:500], progress=False)
        stop.set()
        if disturbed:
            thread.join()
        return trainer.net.state_dict()

    np.testing.assert_equal(weights(disturbed=True), weights(disturbed=False))

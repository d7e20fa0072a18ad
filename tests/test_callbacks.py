"""Early stopping, best checkpoints, plateaus, TensorBoard: on histories made by hand."""

import numpy as np
import pytest

import fastdl as fd
from fastdl import callbacks


class Scripted:
    """A trainer whose epochs have the given numbers."""

    def __init__(self, **curves):
        self.curves, self.history, self.saved = curves, fd.History(), []
        self.net = fd.Sequential(fd.layers.Linear(1, 1))
        self.optimizer = fd.optimizers.SGD(lr=1.0)

    @property
    def epoch(self):
        return self.history.epochs

    def save_checkpoint(self, path):
        self.saved.append(self.epoch)

    def run(self, callback):
        """The epoch that ended training, and the learning rate after each."""
        rates = []
        for numbers in zip(*self.curves.values(), strict=True):
            self.history.append(dict(zip(self.curves, numbers, strict=True)))
            self.net.params["0.weight"][...] = self.epoch
            ended = callback(self)
            rates.append(self.optimizer.lr)
            if ended:
                break
        return self.epoch, rates


LOSSES = [5.0, 4.0, 4.5, 3.9, 4.0, float("nan"), 3.95, 3.0]


@pytest.mark.parametrize(("options", "epoch"), [
    ({"patience": 1}, 3), ({"patience": 2}, 6), ({"patience": 4}, 8),
    ({"patience": 3, "min_delta": 0.5}, 5)])
def test_early_stopping(options, epoch):
    assert Scripted(val_loss=LOSSES).run(callbacks.EarlyStopping(**options))[0] == epoch


def test_early_stopping_on_accuracy_restores_the_best():
    trainer = Scripted(val_accuracy=[0.5, 0.9, 0.8, 0.7])
    stopping = callbacks.EarlyStopping("val_accuracy", patience=2, restore_best=True)
    assert trainer.run(stopping)[0] == 4
    assert (stopping.best, stopping.best_epoch) == (0.9, 2)
    assert trainer.net.params["0.weight"].item() == 2


def test_best_checkpoint():
    trainer = Scripted(val_loss=LOSSES)
    trainer.run(callbacks.BestCheckpoint("best.safetensors"))
    assert trainer.saved == [1, 2, 4, 8]


def test_a_best_checkpoint_loads(tmp_path):
    (x, t), test = fd.datasets.digits()
    trainer = fd.Trainer(fd.models.mlp(image_size=8))
    path = tmp_path / "best.safetensors"
    trainer.fit(x[:50], t[:50], 2, validation_data=test, progress=False,
                callbacks=[callbacks.BestCheckpoint(path, "val_accuracy")])
    again = fd.Trainer(fd.models.mlp(image_size=8))
    again.load_checkpoint(path)
    assert again.epoch in (1, 2)


def test_plateau_as_pytorch():
    torch = pytest.importorskip("torch")
    values = [3.0, 2.0, 2.0, 2.1, 2.0, 1.5, 1.6, 1.6, 1.6, 1.6, 1.6, 1.6]
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.3, patience=2, threshold=0.0, min_lr=0.05)
    expected = []
    for value in values:
        theirs.step(value)
        expected.append(optimizer.param_groups[0]["lr"])
    ours = callbacks.ReduceLROnPlateau(factor=0.3, patience=2, min_lr=0.05)
    assert Scripted(val_loss=values).run(ours)[1] == pytest.approx(expected)


def test_what_is_not_there():
    with pytest.raises(fd.ArgumentError, match=r"no 'val_loss', but loss; validation_data gives"):
        Scripted(loss=[1.0]).run(callbacks.EarlyStopping())
    with pytest.raises(fd.ArgumentError, match="factor must be between 0 and 1, got 2"):
        callbacks.ReduceLROnPlateau(factor=2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard(tmp_path):
    tensorboard = pytest.importorskip("tensorboardX")
    board = callbacks.TensorBoard(tmp_path, histograms=True)
    Scripted(loss=[2.0, 1.0]).run(board)
    board.close()
    (file,) = tmp_path.glob("events.out.tfevents.*")
    seen = {}
    for record in _records(file.read_bytes()):
        event = tensorboard.proto.event_pb2.Event.FromString(record)
        for value in event.summary.value:
            if value.HasField("simple_value"):
                seen.setdefault(value.tag, []).append((event.step, value.simple_value))
    assert seen == {"loss": [(1, 2.0), (2, 1.0)], "learning_rate": [(1, 1.0), (2, 1.0)]}


def _records(data):
    """The records of an event file: length (8 bytes), checksum (4), data, checksum (4)."""
    while data:
        length = int(np.frombuffer(data[:8], "<u8")[0])
        yield data[12:12 + length]
        data = data[16 + length:]


def test_tensorboard_is_an_extra(run_python):
    code = """
import sys; sys.modules["tensorboardX"] = None
import fastdl as fd
try:
    fd.callbacks.TensorBoard("nowhere")
except fd.ArgumentError as error:
    print(error)
"""
    assert "pip install 'fastdl[tensorboard]'" in run_python(code)

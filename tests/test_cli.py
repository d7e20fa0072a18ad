"""The command line, from its arguments to the files and texts that come out."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastdl as fd
from fastdl import cli
from fastdl.cli.predict import load_model, read_image

THREE_FILES = {"model.safetensors", "history.json", "curves.png"}


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Nothing is written elsewhere, and no data set but the bundled one is there."""
    monkeypatch.chdir(tmp_path)

    def load(name, **options):
        if name != "digits":
            raise fd.DataError(f"{name}: no network here\nsecond line")
        return fd.datasets.digits(**options)

    monkeypatch.setattr(fd.datasets, "load", load)


@pytest.fixture(autouse=True)
def settings_taken_back(fresh_dispatch):
    threads = fd.get_num_threads()
    yield
    fd.set_num_threads(threads)


def train(*options, model="mlp", out="run"):
    return cli.main(["train", "--dataset", "digits", "--model", model, "--limit", "60",
                     "--epochs", "1", "--threads", "1", "--seed", "0", "--out", str(out), *options])


def fails(capsys, *arguments):
    """The one line that a failing command leaves on stderr."""
    capsys.readouterr()
    assert cli.main([str(argument) for argument in arguments]) == 1
    err = capsys.readouterr().err
    assert err.startswith("fastdl: error: ")
    assert err.count("\n") == 1
    return err


def rejects(capsys, *arguments):
    """The last line (after the usage) that a command with bad options leaves on stderr."""
    with pytest.raises(SystemExit) as exit_:
        cli.main(list(arguments))
    assert exit_.value.code == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err.splitlines()[-1]


# ---- train ----

def test_train_writes_its_files(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    assert train("--epochs", "2") == 0
    out, err = capsys.readouterr()
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        *THREE_FILES, "checkpoint.safetensors"}
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy", "seconds"}
    assert {len(values) for values in history.values()} == {2}
    for name in THREE_FILES:
        assert str(Path("run") / name) in out
    assert "mlp (50,826 parameters) on digits: 60 training and 60 test images, 1 threads" in out
    assert f"test accuracy {history['val_accuracy'][-1]:.2%}" in out
    assert "epoch 2/2" in err
    assert "img/s" in err


def test_the_model_file_says_what_it_is(tmp_path):
    assert train() == 0
    tensors, metadata = fd.files.read_tensors(tmp_path / "run" / "model.safetensors")
    assert json.loads(metadata["fastdl"]) == {
        "model": "mlp", "dataset": "digits",
        "options": {"num_classes": 10, "in_channels": 1, "image_size": 8}}
    assert tensors.keys() == fd.models.mlp(image_size=8).state_dict().keys()


def test_train_writes_to_a_folder_of_its_own_unless_told(tmp_path):
    assert cli.main(["train", "--dataset", "digits", "--model", "mlp", "--limit", "20", "--epochs",
                     "1", "--threads", "1"]) == 0
    assert (tmp_path / "runs" / "mlp-digits" / "model.safetensors").exists()


@pytest.mark.parametrize("model", ["deep_convnet", "simple_convnet"])
def test_train_other_models(model, tmp_path):
    assert train("--batch-size", "7", "--optimizer", "nadam", "--lr", "0.01", "--schedule",
                 "constant", "--backend", "auto,relu=reference", model=model) == 0
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_a_seed_repeats_bit_for_bit(tmp_path):
    for out in ("a", "b"):
        train("--epochs", "2", model="deep_convnet", out=out)
    train("--epochs", "2", "--seed", "1", model="deep_convnet", out="c")
    a, b, c = ((tmp_path / out / "model.safetensors").read_bytes() for out in "abc")
    assert a == b != c
    a, b = (json.loads((tmp_path / out / "history.json").read_text()) for out in "ab")
    for history in (a, b):
        del history["seconds"]
    assert a == b


def test_resume_goes_on_bit_for_bit(tmp_path, monkeypatch, capsys):
    train("--epochs", "3", model="deep_convnet", out="unbroken")
    evaluate = fd.Trainer.evaluate

    def break_in_the_third_epoch(trainer, *arguments, **options):
        if trainer.epoch == 2:
            raise KeyboardInterrupt
        return evaluate(trainer, *arguments, **options)

    monkeypatch.setattr(fd.Trainer, "evaluate", break_in_the_third_epoch)
    assert train("--epochs", "3", model="deep_convnet", out="broken") == 130
    assert "2 finished epochs are in" in capsys.readouterr().err
    monkeypatch.setattr(fd.Trainer, "evaluate", evaluate)
    assert train("--epochs", "3", "--seed", "5", "--resume", model="deep_convnet",
                 out="broken") == 0
    unbroken, broken = ((tmp_path / out / "model.safetensors").read_bytes()
                        for out in ("unbroken", "broken"))
    assert unbroken == broken


def test_resume_of_what_is_done(capsys):
    train()
    capsys.readouterr()
    assert train("--resume") == 0
    assert "has 1 epochs already; nothing is left to train" in capsys.readouterr().out
    assert train("--resume", "--epochs", "2") == 0


def test_resume_of_nothing(capsys):
    err = fails(capsys, "train", "--dataset", "digits", "--out", "new", "--resume")
    assert "--resume: there is no new" in err


def test_resume_of_another_model_or_optimizer(capsys):
    train()
    options = ("train", "--dataset", "digits", "--out", "run", "--resume", "--epochs", "2")
    assert "does not fit" in fails(capsys, *options, "--model", "simple_convnet")
    assert "was saved with optimizer Adam" in fails(capsys, *options, "--model", "mlp",
                                                    "--optimizer", "sgd")


def test_without_data_it_trains_on_the_digits_and_says_so(capsys, tmp_path):
    assert cli.main(["train", "--model", "mlp", "--limit", "20", "--epochs", "1", "--threads", "1",
                     "--out", "run"]) == 0
    out = capsys.readouterr().out
    assert ("MNIST is not to be had (mnist: no network here); training on the bundled 8×8 digits "
            "instead.") in out
    assert "on digits: 20 training" in out


def test_a_data_set_asked_for_by_name_is_not_replaced(capsys):
    capsys.readouterr()
    assert cli.main(["train", "--dataset", "mnist"]) == 1
    assert capsys.readouterr().err.startswith("fastdl: error: mnist: no network here")


def test_train_without_matplotlib(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert train() == 0
    assert "no plot: History.plot needs matplotlib" in capsys.readouterr().out
    assert not (tmp_path / "run" / "curves.png").exists()
    assert (tmp_path / "run" / "history.json").exists()


def test_ctrl_c_keeps_the_last_checkpoint(tmp_path):
    """A real process and a real signal, some epochs after the start."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1",
                   "PYTHONPATH": str(Path(fd.__file__).parents[1])}
    command = [sys.executable, "-m", "fastdl", "train", "--dataset", "digits", "--model", "mlp",
               "--epochs", "1000000", "--out", "run"]
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
                          env=environment) as process:
        try:
            deadline = time.monotonic() + 60
            while not checkpoint.exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    last = err.splitlines()[-1]
    assert last.startswith("fastdl: interrupted; ")
    assert last.endswith(f"finished epochs are in {Path('run', checkpoint.name)}; "
                         "add --resume to go on")
    assert "Traceback" not in err
    assert [path.name for path in checkpoint.parent.iterdir()] == [checkpoint.name]
    trainer = fd.Trainer(fd.models.mlp(image_size=8))
    trainer.load_checkpoint(checkpoint)
    told = int(last.removeprefix("fastdl: interrupted; ").split()[0])
    assert trainer.epoch - told in (0, 1)       # 1 if the signal came right after the save


def test_ctrl_c_before_the_first_epoch_is_over(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(fd.Trainer, "fit", interrupted)
    assert train() == 130
    assert "fastdl: interrupted; no epoch was finished" in capsys.readouterr().err
    monkeypatch.setattr(fd.datasets, "load", interrupted)
    assert train() == 130
    assert "fastdl: interrupted\n" in capsys.readouterr().err


# ---- predict ----

@pytest.fixture
def trained(tmp_path, capsys):
    """A network that knows a few digits by heart, and pictures of three of them."""
    image = pytest.importorskip("PIL.Image")
    (x, t), _ = fd.datasets.digits()
    assert train("--epochs", "40", "--lr", "0.01", "--limit", "40") == 0
    capsys.readouterr()
    pictures = []
    for i in range(3):
        pixels = np.rint(x[i, 0] * 255).astype(np.uint8)
        pictures.append(tmp_path / f"digit{i}.png")
        image.fromarray(pixels).save(pictures[-1])
        image.fromarray(255 - pixels).save(tmp_path / f"dark{i}.png")
    return tmp_path / "run" / "model.safetensors", pictures, t[:3]


def test_predict(trained, capsys):
    model, pictures, labels = trained
    assert cli.main(["predict", str(model), *map(str, pictures)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    for line, picture, label in zip(lines, pictures, labels, strict=True):
        assert line.startswith(f"{picture}: {label} (")
        assert line.endswith("%)")


def test_predict_turns_dark_on_light(trained, capsys):
    model, pictures, labels = trained
    dark = [str(picture).replace("digit", "dark") for picture in pictures]
    assert cli.main(["predict", "--backend", "reference", str(model), *dark]) == 0
    for line, label in zip(capsys.readouterr().out.splitlines(), labels, strict=True):
        assert f": {label} (" in line


def test_predict_on_files_that_are_no_images(trained, capsys, tmp_path):
    model, pictures, _ = trained
    (tmp_path / "text.png").write_text("no image")
    assert "text.png: not an image that Pillow can read" in fails(
        capsys, "predict", model, pictures[0], tmp_path / "text.png")
    assert "none.png" in fails(capsys, "predict", model, tmp_path / "none.png")
    (tmp_path / "half.png").write_bytes(pictures[0].read_bytes()[:60])
    assert "fastdl: error: " in fails(capsys, "predict", model, tmp_path / "half.png")


def test_predict_on_files_that_are_no_models(trained, capsys, tmp_path):
    model, pictures, _ = trained
    assert "none.safetensors: no such file" in fails(
        capsys, "predict", tmp_path / "none.safetensors", pictures[0])
    assert "not a readable safetensors file" in fails(capsys, "predict", pictures[0], pictures[0])
    assert "does not say which model it is" in fails(
        capsys, "predict", model.parent / "checkpoint.safetensors", pictures[0])
    for about in ({}, {"model": "mlp", "options": {}, "dataset": "digits"},
                  {"model": "none", "options": {}, "dataset": "digits"},
                  {"model": "mlp", "options": {"width": 3}, "dataset": "digits"}):
        fd.models.mlp(image_size=8).save(tmp_path / "other.safetensors", **about)
        assert "does not say which model it is" in fails(
            capsys, "predict", tmp_path / "other.safetensors", pictures[0])


def test_predict_without_pillow(trained, capsys, monkeypatch):
    model, pictures, _ = trained
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert "needs Pillow: pip install 'fastdl[plot]'" in fails(capsys, "predict", model,
                                                               pictures[0])


def test_images_of_other_kinds(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[:2, :2] = (255, 0, 51)
    image.fromarray(pixels).save(tmp_path / "colour.png")
    x = read_image(tmp_path / "colour.png", 3, 4)
    assert x.shape == (3, 4, 4)
    assert x.dtype == np.float32
    np.testing.assert_allclose(x[:, 0, 0], [1, 0, 0.2])
    np.testing.assert_array_equal(x[:, 3, 3], [0, 0, 0])
    assert read_image(tmp_path / "colour.png", 1, 8).shape == (1, 8, 8)


# ---- viz ----

@pytest.fixture
def convnet(tmp_path):
    """A network that has learned next to nothing, with every kind of thing to look at."""
    pytest.importorskip("matplotlib")
    assert train(model="simple_convnet") == 0
    return tmp_path / "run" / "model.safetensors"


@pytest.mark.parametrize(("kind", "options"), [
    ("filters", ()), ("filters", ("--layer", "conv1")), ("features", ()), ("activations", ()),
    ("gradients", ("--limit", "20")), ("saliency", ()), ("gradcam", ("--layer", "pool1")),
    ("gradcam", ("--limit", "3")), ("errors", ()), ("confusion", ("--limit", "50"))])
def test_viz(convnet, capsys, tmp_path, kind, options):
    assert cli.main(["viz", kind, str(convnet), "--out", "picture.png", *options]) == 0
    assert "wrote picture.png" in capsys.readouterr().out
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_viz_of_image_files(trained, tmp_path):
    model, pictures, _ = trained
    assert cli.main(["viz", "saliency", str(model), *map(str, pictures)]) == 0
    assert (tmp_path / "saliency.png").exists()


def test_viz_of_what_is_not_there(convnet, capsys):
    assert "no convolution 'fc1'; there are: conv1" in fails(
        capsys, "viz", "filters", convnet, "--layer", "fc1")
    assert "no layer 'none' gives feature maps" in fails(
        capsys, "viz", "gradcam", convnet, "--layer", "none")
    assert "jpq" in fails(capsys, "viz", "filters", convnet, "--out", "picture.jpq")
    assert "unrecognized arguments: a.png" in rejects(capsys, "viz", "errors", str(convnet),
                                                      "a.png")
    train(out="dense")
    assert "the network has no convolution" in fails(
        capsys, "viz", "filters", convnet.parents[1] / "dense" / "model.safetensors")


# ---- search ----

def search(*options):
    return cli.main(["search", "--dataset", "digits", "--limit", "100", "--epochs", "1",
                     "--threads", "1", "--seed", "0", "--out", "found", *options])


def test_search(capsys, tmp_path):
    pytest.importorskip("optuna")
    pytest.importorskip("matplotlib")
    options = ("--model", "mlp", "--storage", "search.db", "--optimizers", "adam")
    assert search(*options, "--trials", "2") == 0
    out = capsys.readouterr().out
    assert "best of 2 trials: lr=" in out
    assert "optimizer=adam" in out
    assert "test accuracy" in out
    assert f"wrote {Path('found', 'model.safetensors')}, {Path('found', 'trials.png')}" in out
    assert search(*options, "--trials", "3") == 0
    assert "best of 3 trials" in capsys.readouterr().out
    assert "had another space; choose another name" in fails(
        capsys, "search", *options, "--dataset", "digits", "--epochs", "1", "--lr", "0.1", "0.2")


def test_search_for_an_architecture(capsys):
    pytest.importorskip("optuna")
    assert search("--model", "cell_net", "--nodes", "3", "--trials", "1") == 0
    assert "operations=" in capsys.readouterr().out
    net = load_model(Path("found", "model.safetensors")).net
    assert len(net.cells[0].edges) == 3


def test_a_search_that_is_interrupted(capsys, monkeypatch):
    pytest.importorskip("optuna")

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(fd.Trainer, "fit", interrupted)
    assert search("--storage", "search.db") == 130
    assert ("interrupted; the finished trials are in search.db; the same command goes on"
            in capsys.readouterr().err)
    assert search() == 130
    assert "nothing is kept without --storage" in capsys.readouterr().err


# ---- the rest ----

def test_info(capsys):
    assert cli.main(["info"]) == 0
    out = capsys.readouterr().out
    for text in ("fastdl: ", f"numpy: {np.__version__}", "threads: ", "reference"):
        assert text in out


def test_bench(capsys, monkeypatch):
    from fastdl import benchmark

    monkeypatch.setattr(benchmark, "compare", lambda: ["a row"])
    monkeypatch.setattr(benchmark, "as_table", lambda rows: f"table of {rows}")
    assert cli.main(["bench", "--threads", "1"]) == 0
    assert "table of ['a row']" in capsys.readouterr().out


def test_version(capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"fastdl {fd.__version__}\n"


@pytest.mark.parametrize(("arguments", "message"), [
    ((), "the following arguments are required: COMMAND"),
    (("teach",), "invalid choice: 'teach'"),
    (("train", "--epochs", "0"), "--epochs: expected an integer of at least 1, got '0'"),
    (("train", "--epochs", "many"), "--epochs: expected an integer of at least 1, got 'many'"),
    (("train", "--batch-size", "-1"), "--batch-size: expected an integer of at least 1"),
    (("train", "--lr", "0"), "--lr: expected a number above 0, got '0'"),
    (("train", "--lr", "inf"), "--lr: expected a number above 0, got 'inf'"),
    (("train", "--lr", "nan"), "--lr: expected a number above 0, got 'nan'"),
    (("train", "--model", "resnet0"), "--model: invalid choice: 'resnet0'"),
    (("train", "--dataset", "imagenet"), "--dataset: invalid choice: 'imagenet'"),
    (("train", "--optimizer", "adamm"), "--optimizer: invalid choice: 'adamm'"),
    (("train", "--schedule", "cosinus"), "--schedule: invalid choice: 'cosinus'"),
    (("search", "--trials", "0"), "--trials: expected an integer of at least 1, got '0'"),
    (("search", "--lr", "0", "1"), "--lr: expected a number above 0, got '0'"),
    (("viz", "dreams"), "invalid choice: 'dreams'"),
    (("predict", "model.safetensors"), "the following arguments are required: IMAGE"),
], ids=" ".join)
def test_bad_options(capsys, arguments, message):
    assert message in rejects(capsys, *arguments)


def test_a_backend_that_does_not_exist(capsys):
    assert "'opencl'" in fails(capsys, "train", "--dataset", "digits", "--backend", "opencl")


def test_a_folder_that_cannot_be_made(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert "file" in fails(capsys, "train", "--dataset", "digits", "--out", "file/run")


def test_python_m_fastdl(run_python):
    code = "import runpy, sys; sys.argv = ['fastdl', '--version']; runpy.run_module('fastdl')"
    assert run_python(code).startswith("fastdl ")

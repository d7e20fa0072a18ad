"""The command line: ``fastdl train | predict | bench | info``.

What goes wrong in a foreseeable way ends in one line and a non-zero status.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from . import backend, datasets, files, models, optimizers, random, schedules
from .errors import CheckpointError, DataError, FastdlError
from .module import Module
from .trainer import Trainer

INTERRUPTED = 130               # what a shell reports after Ctrl-C
CHECKPOINT = "checkpoint.safetensors"
MODEL = "model.safetensors"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except KeyboardInterrupt:
        print("\nfastdl: interrupted", file=sys.stderr)
        return INTERRUPTED
    except (FastdlError, OSError, ImportError) as error:
        print(f"fastdl: error: {error}", file=sys.stderr)
        return 1


# ---- options ----

class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (--help says more)\n")


def _number(kind: type, low: float, *, above: bool = False) -> Callable[[str], Any]:
    """An option's type: a number of at least (or above) `low`."""
    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not (low < value if above else low <= value) or value == math.inf:
            noun = "an integer" if kind is int else "a number"
            raise argparse.ArgumentTypeError(
                f"expected {noun} {'above' if above else 'of at least'} {low}, got {text!r}")
        return value
    return parse


def _parser() -> argparse.ArgumentParser:
    from . import __version__

    parser = _Parser(
        prog="fastdl",
        description="Neural networks from NumPy arrays at the speed of the hardware.")
    parser.add_argument("--version", action="version", version=f"fastdl {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train a network on a data set")
    train.add_argument("--model", choices=models.names(), default="deep_convnet")
    train.add_argument("--dataset", choices=sorted(datasets.CLASS_NAMES),
                       help="MNIST if it can be had, else the bundled digits, unless given")
    train.add_argument("--epochs", type=_number(int, 1), metavar="N",
                       help="epochs in all (default 3; 30 for the small digits)")
    train.add_argument("--batch-size", type=_number(int, 1), default=100, metavar="N")
    train.add_argument("--optimizer", choices=optimizers.names(), default="adam")
    train.add_argument("--lr", type=_number(float, 0, above=True), metavar="X",
                       help="learning rate (default: the optimizer's own; with the cosine "
                            "schedule, whose mean is one half, twice that)")
    train.add_argument("--schedule", choices=schedules.names(), default="cosine",
                       help="of the learning rate (default cosine)")
    train.add_argument("--limit", type=_number(int, 1), metavar="N",
                       help="use the first N samples only, of training and of test data")
    train.add_argument("--seed", type=_number(int, 0), metavar="N", help="make the run repeat")
    train.add_argument("--device", choices=("cpu", "cuda"), default="cpu",
                       help="cuda: an NVIDIA GPU")
    train.add_argument("--out", type=Path, metavar="DIR",
                       help="where to write (default runs/MODEL-DATASET)")
    train.add_argument("--resume", action="store_true", help="go on from DIR's last checkpoint")
    train.set_defaults(run=_train)

    predict = commands.add_parser("predict", help="classify images with a trained network")
    predict.add_argument("model", type=Path, metavar="MODEL", help="a model.safetensors of train")
    predict.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    predict.set_defaults(run=_predict)

    bench = commands.add_parser("bench", help="compare the backends on this machine")
    bench.add_argument("--steps", action="store_true",
                       help="time training and predicting with small networks instead, beside "
                            "PyTorch if it is installed")
    bench.set_defaults(run=_bench)

    info = commands.add_parser("info", help="versions, CPU, instruction set, threads, backends")
    info.set_defaults(run=_info)

    for command in (train, predict):
        command.add_argument("--backend", metavar="NAME",
                             help='"cython", "numba", "reference", or "auto,conv2d=numba"')
    for command in (train, predict, bench):
        command.add_argument("--threads", type=_number(int, 1), metavar="N")
    return parser


def _apply_settings(arguments: argparse.Namespace) -> None:
    if getattr(arguments, "backend", None):
        backend.set_backend(arguments.backend)
    if arguments.threads:
        backend.set_num_threads(arguments.threads)


# ---- train ----

def _load_data(name: str | None) -> tuple[str, Any]:
    """The data set asked for, else MNIST if it can be had, else the digits."""
    if name is not None:
        return name, datasets.load(name)
    try:
        return "mnist", datasets.load("mnist")
    except DataError as error:
        reason = str(error).splitlines()[0]
        print(f"MNIST is not to be had ({reason}); training on the bundled 8×8 digits instead.")
        return "digits", datasets.load("digits")


def _train(arguments: argparse.Namespace) -> int:
    _apply_settings(arguments)
    backend.keep_freed_memory()
    name, (train, test) = _load_data(arguments.dataset)
    (x, t), test = ((part[0][:arguments.limit], part[1][:arguments.limit])
                    for part in (train, test))
    random.seed(arguments.seed)
    options = {"num_classes": len(datasets.class_names(name)), "in_channels": x.shape[1],
               "image_size": x.shape[2]}
    net = models.create(arguments.model, **options)
    optimizer = optimizers.get(arguments.optimizer)
    optimizer.lr = arguments.lr or optimizer.lr * (2 if arguments.schedule == "cosine" else 1)
    trainer = Trainer(net, optimizer=optimizer, device=arguments.device)

    folder = arguments.out or Path("runs", f"{arguments.model}-{name}")
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / CHECKPOINT
    if arguments.resume:
        if not checkpoint.exists():
            raise CheckpointError(f"--resume: there is no {checkpoint} to go on from")
        trainer.load_checkpoint(checkpoint)
    total = arguments.epochs or (30 if name == "digits" else 3)
    epochs = total - trainer.epoch
    weights = sum(w.size for w in net.params.values())
    print(f"{arguments.model} ({weights:,} parameters) on {name}: {len(x):,} training and "
          f"{len(test[0]):,} test images, {backend.get_num_threads()} threads")
    if epochs < 1:
        print(f"{checkpoint} has {trainer.epoch} epochs already; nothing is left to train.")
        return 0

    saved_epochs = trainer.epoch

    def keep(trainer: Trainer) -> None:
        nonlocal saved_epochs
        trainer.save_checkpoint(checkpoint)
        saved_epochs = trainer.epoch

    start = time.perf_counter()
    try:
        trainer.fit(x, t, epochs, arguments.batch_size, test, schedule=arguments.schedule,
                    callbacks=[keep])
    except KeyboardInterrupt:
        kept = (f"{saved_epochs} finished epochs are in {checkpoint}; add --resume to go on"
                if saved_epochs else "no epoch was finished")
        print(f"\nfastdl: interrupted; {kept}", file=sys.stderr)
        return INTERRUPTED
    _write_results(folder, trainer, name, arguments.model, options)
    last = {key: values[-1] for key, values in trainer.history.items()}
    print(f"test accuracy {last['val_accuracy']:.2%}, test loss {last['val_loss']:.4f} after "
          f"{trainer.epoch} epochs, {time.perf_counter() - start:.1f} s")
    return 0


def _write_results(folder: Path, trainer: Trainer, dataset: str, model: str,
                   options: dict[str, int]) -> None:
    trainer.net.save(folder / MODEL, model=model, options=options, dataset=dataset)
    trainer.history.to_json(folder / "history.json")
    written = f"{folder / MODEL}, {folder / 'history.json'}"
    try:
        trainer.history.plot(folder / "curves.png")
        written += f", {folder / 'curves.png'}"
    except ImportError as error:
        written += f" (no plot: {error})"
    print(f"wrote {written}")


# ---- predict ----

def _load_model(path: Path) -> tuple[Module, tuple[int, int], tuple[str, ...]]:
    """The network that `train` wrote, the channels and size of its images, its classes' names."""
    tensors, metadata = files.read_tensors(path)
    try:
        about = json.loads(metadata["fastdl"])
        options = about["options"]
        net = models.create(about["model"], **options)
        image = options["in_channels"], options["image_size"]
        names = datasets.class_names(about["dataset"])
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: does not say which model it is; predict reads the "
                              f"{MODEL} that fastdl train writes") from error
    net.load_state_dict(tensors)
    return net, image, names


def read_image(path: Path, channels: int, size: int) -> np.ndarray:
    """An image file as (channels, size, size) in [0, 1].

    Grey images are turned light on dark, as the digits' data sets are.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ImportError("reading images needs Pillow: pip install 'fastdl[plot]'") from error
    try:
        with Image.open(path) as image:
            scaled = image.convert("L" if channels == 1 else "RGB").resize((size, size))
            pixels = np.asarray(scaled, np.float32) / 255
    except UnidentifiedImageError:
        raise DataError(f"{path}: not an image that Pillow can read") from None
    if channels == 1 and pixels.mean() > 0.5:
        pixels = 1 - pixels
    return pixels.reshape(size, size, channels).transpose(2, 0, 1)


def _predict(arguments: argparse.Namespace) -> int:
    _apply_settings(arguments)
    net, image, names = _load_model(arguments.model)
    x = np.stack([read_image(path, *image) for path in arguments.images])
    scores = net.predict(x)
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    for path, row in zip(arguments.images, scores / scores.sum(axis=1, keepdims=True),
                         strict=True):
        print(f"{path}: {names[row.argmax()]} ({row.max():.1%})")
    return 0


# ---- bench, info ----

def _bench(arguments: argparse.Namespace) -> int:
    from . import benchmark

    _apply_settings(arguments)
    if arguments.steps:
        from .benchmark import steps

        print(steps.as_table(steps.compare(backend.get_num_threads())))
    else:
        print(benchmark.as_table(benchmark.compare()))
    return 0


def _info(arguments: argparse.Namespace) -> int:
    backend.show_config()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""``fastdl train``: a network on a data set, with checkpoints to go on from."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from .. import backend, datasets, models, optimizers, random, schedules
from ..errors import CheckpointError, DataError
from ..trainer import Trainer
from .options import INTERRUPTED, Commands, add_settings, apply_settings, number

CHECKPOINT = "checkpoint.safetensors"
MODEL = "model.safetensors"


def add(commands: Commands) -> None:
    """Add the command and its options."""
    train = commands.add_parser("train", help="train a network on a data set")
    train.add_argument("--model", choices=models.names(), default="deep_convnet")
    train.add_argument("--dataset", choices=sorted(datasets.CLASS_NAMES),
                       help="MNIST if it can be had, else the bundled digits, unless given")
    train.add_argument("--epochs", type=number(int, 1), metavar="N",
                       help="epochs in all (default 3; 30 for the small digits)")
    train.add_argument("--batch-size", type=number(int, 1), default=100, metavar="N")
    train.add_argument("--optimizer", choices=optimizers.names(), default="adam")
    train.add_argument("--lr", type=number(float, 0, above=True), metavar="X",
                       help="learning rate (default: the optimizer's own; with the cosine "
                            "schedule, whose mean is one half, twice that)")
    train.add_argument("--schedule", choices=schedules.names(), default="cosine",
                       help="of the learning rate (default cosine)")
    train.add_argument("--limit", type=number(int, 1), metavar="N",
                       help="use the first N samples only, of training and of test data")
    train.add_argument("--seed", type=number(int, 0), metavar="N", help="make the run repeat")
    train.add_argument("--device", choices=("cpu", "cuda"), default="cpu",
                       help="cuda: an NVIDIA GPU")
    train.add_argument("--out", type=Path, metavar="DIR",
                       help="where to write (default runs/MODEL-DATASET)")
    train.add_argument("--resume", action="store_true", help="go on from DIR's last checkpoint")
    train.set_defaults(run=run)
    add_settings(train)


def load_data(name: str | None) -> tuple[str, Any]:
    """The data set asked for, else MNIST if it can be had, else the digits."""
    if name is not None:
        return name, datasets.load(name)
    try:
        return "mnist", datasets.load("mnist")
    except DataError as error:
        reason = str(error).splitlines()[0]
        print(f"MNIST is not to be had ({reason}); training on the bundled 8×8 digits instead.")
        return "digits", datasets.load("digits")


def run(arguments: argparse.Namespace) -> int:
    """Train, and write the network, its history and its curves."""
    apply_settings(arguments)
    backend.keep_freed_memory()
    name, (train, test) = load_data(arguments.dataset)
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

"""``fastdl search``: hyper-parameters, or an architecture, for a data set."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .. import backend, datasets, models, optimizers, random
from ..search import Range, as_text, cell_space, make_trainer, search
from .options import INTERRUPTED, Commands, add_settings, apply_settings, number
from .train import MODEL, load_data

CELLS = "cell_net"              # the model whose architecture is searched for, too


def add(commands: Commands) -> None:
    """Add the command and its options."""
    command = commands.add_parser(
        "search", help="search for hyper-parameters or an architecture",
        description="Trains a network for each trial on four fifths of the training images, and "
                    "compares them on the rest. The best is then trained on all of them and "
                    f"evaluated on the test images. With --model {CELLS}, the architecture is "
                    "searched for as well.")
    command.add_argument("--model", choices=models.names(), default="deep_convnet")
    command.add_argument("--dataset", choices=sorted(datasets.CLASS_NAMES),
                         help="MNIST if it can be had, else the bundled digits, unless given")
    command.add_argument("--trials", type=number(int, 1), default=20, metavar="N",
                         help="in all, with those of the storage (default 20)")
    command.add_argument("--epochs", type=number(int, 1), metavar="N",
                         help="of each trial (default 3; 10 for the small digits)")
    command.add_argument("--storage", metavar="FILE",
                         help="where the trials are kept, by SQLite; the same command then goes "
                              "on where it was broken off")
    command.add_argument("--name", help="of the search in its storage (default MODEL-DATASET)")
    command.add_argument("--lr", type=number(float, 0, above=True), nargs=2, default=(1e-4, 1e-1),
                         metavar=("LOW", "HIGH"), help="learning rates (default 1e-4 to 1e-1)")
    command.add_argument("--optimizers", nargs="+", choices=optimizers.names(),
                         default=["adam", "momentum"], metavar="NAME",
                         help="to choose from (default adam momentum)")
    command.add_argument("--batch-sizes", nargs="+", type=number(int, 1), default=[32, 64, 128],
                         metavar="N", help="to choose from (default 32 64 128)")
    command.add_argument("--nodes", type=number(int, 2), default=4, metavar="N",
                         help=f"of a cell of {CELLS} (default 4)")
    command.add_argument("--limit", type=number(int, 1), metavar="N",
                         help="use the first N samples only, of training and of test data")
    command.add_argument("--seed", type=number(int, 0), metavar="N",
                         help="make the search repeat")
    command.add_argument("--out", type=Path, metavar="DIR",
                         help="where to write (default runs/search-MODEL-DATASET)")
    command.set_defaults(run=run)
    add_settings(command)


def run(arguments: argparse.Namespace) -> int:
    """Search, train the best once more, and write it."""
    apply_settings(arguments)
    backend.keep_freed_memory()
    dataset, (train, test) = load_data(arguments.dataset)
    (x, t), test = ((part[0][:arguments.limit], part[1][:arguments.limit])
                    for part in (train, test))
    low, high = arguments.lr
    space: dict[str, Any] = {"lr": Range(low, high, log=True),
                             "optimizer": arguments.optimizers,
                             "batch_size": arguments.batch_sizes}
    if arguments.model == CELLS:
        space |= cell_space(arguments.nodes)
    classes = len(datasets.class_names(dataset))
    epochs = arguments.epochs or (10 if dataset == "digits" else 3)
    try:
        result = search(arguments.model, (x, t), space, arguments.trials, epochs=epochs,
                        num_classes=classes, name=arguments.name or f"{arguments.model}-{dataset}",
                        storage=arguments.storage, seed=arguments.seed, schedule="cosine")
    except KeyboardInterrupt:
        kept = (f"the finished trials are in {arguments.storage}; the same command goes on"
                if arguments.storage else "nothing is kept without --storage")
        print(f"\nfastdl: interrupted; {kept}", file=sys.stderr)
        return INTERRUPTED
    print(result.table(10))
    best = result.best_parameters
    print(f"best of {len(result.trials)} trials: {as_text(best)}; trained on all the images:")
    random.seed(arguments.seed)
    trainer, options = make_trainer(arguments.model, best, x, t, num_classes=classes)
    trainer.fit(x, t, epochs, schedule="cosine", **options)
    metrics = trainer.evaluate(*test)
    print(f"test accuracy {metrics['accuracy']:.2%}, test loss {metrics['loss']:.4f}")

    folder = arguments.out or Path("runs", f"search-{arguments.model}-{dataset}")
    folder.mkdir(parents=True, exist_ok=True)
    made = {name: best[name] for name in ("operations", "cells", "width") if name in best}
    trainer.net.save(folder / MODEL, model=arguments.model, dataset=dataset, options={
        "num_classes": classes, "in_channels": x.shape[1], "image_size": x.shape[2], **made})
    written = str(folder / MODEL)
    try:
        result.plot(folder / "trials.png")
        written += f", {folder / 'trials.png'}"
    except ImportError as error:
        written += f" (no plot: {error})"
    print(f"wrote {written}")
    return 0

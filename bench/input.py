"""How long training waits for its batches: real images, augmented, beside the steps that use them.

    FASTDL_DATA_DIR=... python -m bench.input [--steps 40] [--rounds 5]

MNIST and CIFAR-10, cropped, flipped and normalised, and MNIST as it comes. A row: a step on a batch
that is there already, and on the loader's with so many workers; how long such a step waited for it,
and what part of the whole that was. Steps are `Trainer.step`, on all threads. Ways are taken in
turns, and medians of the rounds are shown.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

import fastdl as fd
from fastdl.transforms import AnyTransform, Compose, Normalize, RandomCrop, RandomHorizontalFlip

WORKERS = (0, 1, 2)


class Job(NamedTuple):
    name: str
    net: fd.Module
    x: np.ndarray
    t: np.ndarray
    batch_size: int
    transform: AnyTransform | None


def own(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """What a user may write in NumPy: a flip and some noise."""
    which = generator.random(len(images)) < 0.5
    images[which] = images[which, :, :, ::-1]
    return images + generator.normal(0, 0.02, images.shape).astype(images.dtype)


def jobs() -> Iterator[Job]:
    def augmentation(size: int, padding: int, mean: object, std: object) -> Compose:
        return Compose([RandomCrop(size, padding), RandomHorizontalFlip(),
                        Normalize(mean, std)])                          # type: ignore[arg-type]

    (x, t), _ = fd.datasets.mnist()
    digits = augmentation(28, 2, 0.13, 0.31)
    for name in ("simple_convnet", "deep_convnet"):
        net = fd.models.create(name)
        yield Job(f"MNIST, {name}, as it comes", net, x, t, 100, None)
        yield Job(f"MNIST, {name}", net, x, t, 100, digits)
    (x, t), _ = fd.datasets.cifar10()
    colours = augmentation(32, 4, (0.49, 0.48, 0.45), (0.25, 0.24, 0.26))
    net = fd.models.create("deep_convnet", in_channels=3, image_size=32)
    yield Job("CIFAR-10, deep_convnet", net, x, t, 256, colours)
    yield Job("CIFAR-10 in bytes, deep_convnet", net, np.rint(x * 255).astype(np.uint8), t, 256,
              colours)
    yield Job("CIFAR-10, deep_convnet, own transform", net, x, t, 256, own)


def milliseconds(trainer: fd.Trainer, batches: Iterator, steps: int) -> tuple[float, float]:
    """A step, its waiting included, and the waiting."""
    waited, start = 0.0, time.perf_counter()
    for _ in range(steps):
        asked = time.perf_counter()
        x, t = next(batches)
        waited += time.perf_counter() - asked
        trainer.step(x, t)
    return (time.perf_counter() - start) / steps * 1e3, waited / steps * 1e3


def measure(job: Job, steps: int, rounds: int) -> None:
    trainer = fd.Trainer(job.net, optimizer="sgd")
    measured: dict[int | None, list[tuple[float, float]]] = {w: [] for w in (None, *WORKERS)}
    for _ in range(rounds):
        for workers, results in measured.items():
            loader = fd.DataLoader(job.x, job.t, job.batch_size, shuffle=True,
                                   transform=job.transform, workers=workers)
            batches = loader.epoch()
            batch = next(batches)
            trainer.step(*batch)
            if workers is None:
                batches.close()
            results.append(milliseconds(
                trainer, iter(lambda batch=batch: batch, 0) if workers is None else batches, steps))
            batches.close()
    for workers, results in measured.items():
        step, waited = (statistics.median(values) for values in zip(*results, strict=True))
        way = "there already" if workers is None else f"{workers} workers"
        print(f"{job.name:40} {way:14} {step:8.3f} ms  waited {waited:6.3f} ms "
              f"{waited / step:6.1%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="jobs whose name contains this")
    arguments = parser.parse_args()
    fd.backend.keep_freed_memory()
    for job in jobs():
        if arguments.only in job.name:
            measure(job, arguments.steps, arguments.rounds)


if __name__ == "__main__":
    main()

"""What the examples share: languages, data, training by iterations, curves, and what was found."""

from __future__ import annotations

import argparse
import inspect
import itertools
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

import fastdl as fd
from fastdl.pictures import new_figure

LANGUAGES = ("en", "ja")
Split = tuple[np.ndarray, np.ndarray]
Result = TypeVar("Result")


# ---- a run, and what it finds ----

class Run:
    """One run of an example, as `fastdl.examples.run` begins it.

    Attributes
    ----------
    quick : bool
        Whether seconds are all there is.
    seeds : int
        How many times `median` trains.
    """

    def __init__(self, name: str, out: str | os.PathLike[str], lang: str = "en",
                 quick: bool = False, seeds: int = 1) -> None:
        self.name, self.out, self.lang, self.quick = name, Path(out), lang, quick
        self.seeds = 1 if quick else seeds
        self._is_stand_in = False           # for the data that the report has
        self._findings: list[dict[str, Any]] = []
        self._remarks: list[str] = []
        self._pictures: list[str] = []
        self._settings = ExitStack()

    def __enter__(self) -> Run:
        fd.seed(0)
        if self.lang == "ja":
            self._write_japanese()
        return self

    def __exit__(self, *error: object) -> None:
        self._settings.close()

    def _write_japanese(self) -> None:
        """Let figures use a font that has Japanese letters; without one, go on in English."""
        try:
            import matplotlib
        except ImportError:
            return                          # whoever draws says so
        if (font := japanese_font()) is None:
            print("日本語のフォントがありません (no font with Japanese letters): install one, "
                  "such as fonts-noto-cjk or fonts-ipafont; going on in English.")
            self.lang = "en"
            return
        self._settings.enter_context(matplotlib.rc_context({
            "font.family": [font], "axes.unicode_minus": False}))

    def say(self, english: str, japanese: str) -> str:
        """The text in the language of the run."""
        return japanese if self.lang == "ja" else english

    # ---- results ----

    def equals(self, what: str, ours: Any, printed: str) -> None:
        """A figure that must have the very digits that the report prints."""
        self._found(what, str(ours), printed, "the same digits", str(ours) == printed)

    def near(self, what: str, ours: float, printed: float, tolerance: float) -> None:
        """A figure that must be within a tolerance of the one that the report prints."""
        self._found(what, f"{ours:.4f}", f"{printed:g}", f"within {tolerance:g}",
                    abs(ours - printed) <= tolerance)

    def holds(self, what: str, ours: str, printed: str, goal: str, reached: bool) -> None:
        """Something else that must be so."""
        self._found(what, ours, printed, goal, reached)

    def shows(self, what: str, ours: str, printed: str = "") -> None:
        """Something that is said, not judged."""
        self._found(what, ours, printed, "", None)

    def remark(self, text: str) -> None:
        """Something to know about the figures, for the table."""
        self._remarks.append(text)

    def _found(self, what: str, ours: str, printed: str, goal: str, reached: bool | None) -> None:
        if self._is_stand_in:
            reached = None                  # these are not the figures to compare
        self._findings.append({"what": what, "printed": printed, "ours": ours, "goal": goal,
                               "reached": reached})
        beside = [self.say(f"report: {printed}", f"レポート: {printed}")] if printed else []
        if ours == printed:
            beside = [self.say("as in the report", "レポートと同じ")]
        if reached is False:
            beside.append(self.say(f"not {goal}", f"未達: {goal}"))
        shown = ours.replace("\n", "\n" + " " * (len(what) + 4))
        remarks = f" ({', '.join(beside)})" if beside else ""
        print(f"  {what}: {shown}{remarks}", flush=True)

    def save(self, figure: Any, name: str = "") -> None:
        """Write a picture into the folder of the run."""
        self.out.mkdir(parents=True, exist_ok=True)
        path = self.out / f"{name or self.name}.png"
        figure.savefig(path, dpi=80)
        self._pictures.append(path.name)
        print(f"  {self.say('wrote', '書き出し')} {path}", flush=True)

    def results(self) -> dict[str, Any]:
        """What was found, ready for JSON."""
        return {"findings": self._findings, "remarks": self._remarks, "pictures": self._pictures,
                "seeds": self.seeds}

    # ---- what a run chooses ----

    def iterations(self, count: int) -> int:
        """How many iterations to train: few in a quick run."""
        return min(count, 40) if self.quick else count

    def median(self, train: Callable[[], Curves]) -> Curves:
        """Train from each seed; the run whose last test accuracy is the median."""
        runs = []
        for seed in range(self.seeds):
            fd.seed(seed)
            runs.append(train())
        return sorted(runs, key=lambda curves: curves.test[-1])[len(runs) // 2]

    def data(self, name: str = "mnist") -> tuple[Split, Split]:
        """MNIST or CIFAR-10; the bundled digits at its size in a quick run or without MNIST."""
        new_figure(f"the example {self.name}", 1, 1)    # raises at once where none can be drawn
        if not self.quick:
            try:
                return fd.datasets.load(name)
            except fd.DataError as error:
                if name != "mnist":
                    raise
                reason = str(error).splitlines()[0]
                print(self.say(f"MNIST is not to be had ({reason}): put its four files into "
                               "FASTDL_DATA_DIR; going on with the bundled digits.",
                               f"MNIST がありません ({reason})。4 つのファイルを FASTDL_DATA_DIR に"
                               "置いてください。付属の数字画像で続けます。"))
        self._is_stand_in = True
        self.remark("on the bundled digits instead of the report's data, so nothing is judged")
        channels, size = (3, 32) if name == "cifar10" else (1, 28)
        (x, t), (x_test, t_test) = fd.datasets.digits()
        return (_enlarged(x, channels, size), t), (_enlarged(x_test, channels, size), t_test)


def _enlarged(x: np.ndarray, channels: int, size: int) -> np.ndarray:
    """Images of 8 × 8 at another size: each pixel a square, a margin around."""
    scale, margin = divmod(size, x.shape[-1])
    x = np.pad(x.repeat(scale, 2).repeat(scale, 3), [(0, 0), (0, 0)] + [(margin // 2,) * 2] * 2)
    return x.repeat(channels, 1)


# ---- training by iterations, as the reports do it ----

class Curves(NamedTuple):
    """Accuracies while a network learns, after how many iterations each, and the network."""

    iterations: list[int]
    train: list[float]
    test: list[float]
    net: fd.Module


def learn(trainer: fd.Trainer, data: tuple[Split, Split], iterations: int, batch_size: int = 100,
          every: int = 10, train_on: str = "batch") -> Curves:
    """Steps on batches drawn at random, with replacement; accuracies every few of them.

    Parameters
    ----------
    trainer : with the network
    data : (x, t), (x_test, t_test)
    iterations, batch_size, every : as in the reports
    train_on : whose accuracy the training curve shows: the "batch" just learnt, or "all"
    """
    (x, t), test = data
    curves = Curves([], [], [], trainer.net)
    for i in range(1, iterations + 1):
        rows = fd.random.generator().integers(0, len(x), batch_size)
        trainer.step(x[rows], t[rows])
        if i % every == 0 or i == iterations:
            seen = (x, t) if train_on == "all" else (x[rows], t[rows])
            curves.iterations.append(i)
            curves.train.append(trainer.evaluate(*seen, batch_size=1000)["accuracy"])
            curves.test.append(trainer.evaluate(*test, batch_size=1000)["accuracy"])
    return curves


def std_of(name: str, inputs: int) -> float:
    """The course's initial standard deviations; its Xavier looks at the inputs alone.

    >>> std_of("normal", 784), std_of("gauss", 784), std_of("xavier", 4), std_of("he", 8)
    (1.0, 0.01, 0.5, 0.5)
    """
    return {"normal": 1.0, "gauss": 0.01, "xavier": math.sqrt(1 / inputs),
            "he": math.sqrt(2 / inputs)}[name]


def perceptron(sizes: Sequence[int], between: Callable[[int], Sequence[fd.Layer]],
               init: str) -> fd.Sequential:
    """Dense layers; behind each but the last, what `between` makes for its width.

    >>> perceptron([784, 40, 10], lambda width: [fd.layers.Sigmoid()], "gauss").params.keys()
    dict_keys(['1.weight', '1.bias', '3.weight', '3.bias'])
    """
    parts: list[fd.Layer] = [fd.layers.Flatten()]
    for i, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        if i:
            parts += between(n_in)
        parts.append(fd.layers.Linear(n_in, n_out, weight_init=std_of(init, n_in)))
    return fd.Sequential(*parts)


# ---- figures ----

Line = tuple[Sequence[float], Sequence[float]]


def plot(run: Run, panels: Mapping[str, Mapping[str, Line]], xlabel: str = "",
         ylabel: str = "", ylim: tuple[float, float] | None = (0, 1), columns: int = 3) -> None:
    """Panels of curves by title, and curves by label, into the run's picture.

    Axes are iterations and accuracy unless told.
    """
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    wide = 4.2 if columns > 1 else 6.0
    figure = new_figure(f"the example {run.name}", wide * columns, 3.1 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(panels):]:
        axes.set_axis_off()
    for axes, (title, lines) in zip(grid, panels.items(), strict=False):
        for label, (xs, ys) in lines.items():
            axes.plot(xs, ys, label=label, linewidth=1.2)
        axes.set(title=title, xlabel=xlabel or run.say("iterations", "学習回数"),
                 ylabel=ylabel or run.say("accuracy", "正解率"), ylim=ylim)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, loc="lower right" if ylim else "best")
    run.save(figure)


def both(run: Run, curves: Curves) -> dict[str, Line]:
    """The lines of training and test accuracy."""
    return {run.say("training", "訓練"): (curves.iterations, curves.train),
            run.say("test", "テスト"): (curves.iterations, curves.test)}


PREFERRED = ("Noto Sans CJK JP", "Noto Sans JP", "IPAexGothic", "IPAGothic", "Hiragino Sans",
             "Yu Gothic", "Meiryo", "MS Gothic", "TakaoGothic", "VL Gothic")


def japanese_font() -> str | None:
    """The name of an installed font that has Japanese letters, if there is one."""
    from matplotlib import font_manager, ft2font

    def candidates() -> Iterator[Any]:
        fonts = [font for font in font_manager.fontManager.ttflist
                 if not font.name.startswith("Last Resort")]       # boxes for every letter
        return iter(sorted(fonts, key=lambda font: (font.name not in PREFERRED, font.name)))

    for font in candidates():
        try:
            letters = ft2font.FT2Font(font.fname).get_charmap()
        except (OSError, RuntimeError):     # gone since the list was made, or damaged
            continue
        if all(ord(letter) in letters for letter in "学習あア"):
            return font.name
    return None


# ---- as scripts ----

def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of every example."""
    parser.add_argument("--lang", choices=LANGUAGES, default="en", help="of texts and labels")
    parser.add_argument("--out", type=Path, default=Path("runs/examples"), metavar="DIR",
                        help="where pictures go (default runs/examples)")
    parser.add_argument("--quick", action="store_true",
                        help="seconds, on the bundled digits: to see that it runs")
    parser.add_argument("--seeds", type=int, default=1, metavar="N",
                        help="train from N seeds and show the median")


def main(example: Callable[[Run], None]) -> None:
    """Run an example's file as a script."""
    parser = argparse.ArgumentParser(description=inspect.getdoc(inspect.getmodule(example)))
    add_options(parser)
    chosen = parser.parse_args()
    with Run(Path(inspect.getfile(example)).stem, chosen.out, chosen.lang, chosen.quick,
             chosen.seeds) as run:
        example(run)

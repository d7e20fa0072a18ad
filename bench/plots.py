"""Plots of a run: parts of the FMA peak, and ratios, of every convolution."""

from pathlib import Path

from matplotlib.figure import Figure

from fastdl.benchmark.cases import CONV_PASSES

from .figures import Figures
from .goals import NAMES
from .members import PEERS

OURS_STYLE = {"marker": "o", "color": "#0b5394"}
PEER_STYLE = {"marker": "s", "color": "#cc5500", "fillstyle": "none"}
PASS_STYLES = ({"linestyle": "-", "color": "#0b5394"}, {"linestyle": "--", "color": "#cc5500"},
               {"linestyle": ":", "color": "#38761d"})


def draw(figures: Figures, folder: Path) -> None:
    """Write ``conv-peak.png`` and ``conv-ratios.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in (("conv-peak", peaks(figures)), ("conv-ratios", ratios(figures))):
        figure.savefig(folder / f"{name}.png", dpi=110, metadata={"Software": None})


def peaks(figures: Figures) -> Figure:
    """Parts of the FMA peak: ours and PyTorch's, a panel for each pass."""
    figure = Figure(figsize=(9, 8), layout="constrained")
    panels = figure.subplots(len(CONV_PASSES), sharey=True)
    for panel, operation in zip(panels, CONV_PASSES, strict=True):
        both = []
        for case in figures.cases:
            if case.operation == operation:
                parts = [figures.part_of_peak(case, best)
                         for best in (figures.ours(case), figures.best(case, PEERS))]
                if all(parts):
                    both.append([100 * part for part in parts if part])
        both.sort()
        places = range(len(both))
        panel.vlines(places, [min(pair) for pair in both], [max(pair) for pair in both],
                     color="0.8", linewidth=1, zorder=0)
        for i, (label, style) in enumerate((("fastdl", OURS_STYLE),
                                            ("PyTorch, its best layout", PEER_STYLE))):
            panel.plot(places, [pair[i] for pair in both], linestyle="none", markersize=4,
                       label=label, **style)
        panel.axhline(100, color="0.4", linewidth=0.8)
        panel.set_ylim(bottom=0)
        panel.set_xticks([])
        panel.set_ylabel(f"{NAMES[operation]}\n% of FMA peak")
    panels[0].legend(loc="upper left")
    panels[0].set_title("Operations of the direct algorithm per second; Winograd needs fewer")
    panels[-1].set_xlabel("convolutions, each pass sorted by what fastdl reaches")
    return figure


def ratios(figures: Figures) -> Figure:
    """How many times faster than PyTorch: a curve for each pass."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    panel = figure.subplots()
    for operation, style in zip(CONV_PASSES, PASS_STYLES, strict=True):
        heights = sorted(ratio for case in figures.cases if case.operation == operation
                         and (ratio := figures.ratio(case)))
        panel.plot(range(len(heights)), heights, label=NAMES[operation], **style)
    panel.axhline(1, color="0.4", linewidth=0.8)
    panel.annotate("as fast as PyTorch", (0, 1), xytext=(2, 3), textcoords="offset points")
    panel.set_yscale("log")
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
             if panel.get_ylim()[0] <= tick <= panel.get_ylim()[1]]
    panel.set_yticks(ticks, [f"{tick:g}×" for tick in ticks])
    panel.minorticks_off()
    panel.set_xlabel("convolutions, sorted for each pass")
    panel.set_ylabel("times faster than PyTorch's best layout")
    panel.legend()
    return figure

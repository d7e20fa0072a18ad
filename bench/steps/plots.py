"""A plot of a run: how many times faster than the fastest peer, network by network."""

from pathlib import Path

from matplotlib.figure import Figure

from fastdl.benchmark.steps.networks import NETWORKS, Case

from .figures import Figures

STYLES = {True: {"marker": "o", "color": "#0b5394", "label": "training"},
          False: {"marker": "s", "color": "#cc5500", "fillstyle": "none", "label": "inference"}}


def draw(figures: Figures, folder: Path) -> None:
    """Write ``steps.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    ratios(figures).savefig(folder / "steps.png", dpi=110, metadata={"Software": None})


def ratios(figures: Figures) -> Figure:
    """A line for each network, a mark for training and one for inference."""
    measured = [network for network in NETWORKS
                if any(case.network == network for case in figures.cases)]
    figure = Figure(figsize=(9, 1.2 + 0.32 * len(measured)), layout="constrained")
    panel = figure.subplots()
    for training, style in STYLES.items():
        found = [(figures.fastest(Case(network, training)), place)
                 for place, network in enumerate(measured)]
        panel.plot([best[0] for best, _ in found if best], [place for best, place in found if best],
                   linestyle="none", **style)
    panel.axvline(1, color="0.4", linewidth=0.8)
    panel.set_xlim(left=0)
    panel.set_yticks(range(len(measured)), [f"{network.title}, {network.batch}"
                                            for network in measured])
    panel.invert_yaxis()
    panel.grid(axis="y", color="0.9")
    panel.set_xlabel("times faster than the fastest of PyTorch, Keras and JAX")
    panel.legend()
    return figure

"""Looking inside a network, and at what it decides. Each is a matplotlib figure.

What layers have learned and do is in `inside`, why a network decides as it does, and where it errs,
in `decisions`. ``fastdl viz`` draws all of them for a trained model.
"""

from ._drawing import tiles
from .decisions import (
    confusion,
    confusion_matrix,
    grad_cam,
    grad_cam_maps,
    misclassified,
    saliency,
    saliency_maps,
)
from .inside import (
    activation_histograms,
    activations,
    feature_maps,
    filters,
    gradient_histograms,
    gradients,
)

__all__ = [
    "activation_histograms", "activations", "confusion", "confusion_matrix", "feature_maps",
    "filters", "grad_cam", "grad_cam_maps", "gradient_histograms", "gradients", "misclassified",
    "saliency", "saliency_maps", "tiles",
]

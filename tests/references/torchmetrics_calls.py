"""Functions of torchmetrics, imported when called, as the import alone takes seconds."""

from typing import Any

from torch import Tensor


def peak_signal_noise_ratio(predicted: Tensor, target: Tensor, **options: Any) -> Any:
    from torchmetrics.functional.image import peak_signal_noise_ratio

    return peak_signal_noise_ratio(predicted, target, **options)


def structural_similarity(predicted: Tensor, target: Tensor, **options: Any) -> Any:
    from torchmetrics.functional.image import structural_similarity_index_measure

    return structural_similarity_index_measure(predicted, target, **options)


def multiscale_structural_similarity(predicted: Tensor, target: Tensor, **options: Any) -> Any:
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    return multiscale_structural_similarity_index_measure(predicted, target, **options)


def polynomial_mmd(a: Tensor, b: Tensor) -> Any:
    from torchmetrics.image.kid import poly_mmd

    return poly_mmd(a, b)

"""Distances of two sets of features: the Frechet distance of their Gaussians, and a kernel distance.

Both are exact and in float64. The usual Frechet distance takes the square root of a D x D matrix product,
which is singular if there are fewer samples than dimensions. Here its trace is a sum of singular values (see
`frechet_distance`), which is faster and loses no digits to the singularity.
"""

import numpy as np
from jaxtyping import Float

Features = Float[np.ndarray, "N D"]


def frechet_distance(generated: Features, true: Features) -> float:
    """Return the squared Frechet distance of Gaussians with the sets' means and (unbiased) covariances.

    |m1 - m2|^2 + tr S1 + tr S2 - 2 tr sqrt(S1 S2). With S = F^T F, the eigenvalues of S1 S2 are the squared
    singular values of F1 F2^T, whose sides are at most the numbers of samples and of dimensions. N samples
    give a covariance of rank N - 1: the distance is too large for finite N, especially for N < D.
    """
    from scipy.linalg import svdvals  # slow to import

    offset = generated.mean(axis=0, dtype=np.float64) - true.mean(axis=0, dtype=np.float64)
    first, second = covariance_factor(generated), covariance_factor(true)
    shared = float(svdvals(first @ second.T, overwrite_a=True, check_finite=False).sum())
    distance = offset @ offset + np.vdot(first, first) + np.vdot(second, second) - 2.0 * shared
    return max(0.0, float(distance))  # equal sets leave rounding errors of either sign


def covariance_factor(features: Features) -> Float[np.ndarray, "R D"]:
    """Return F with covariance F^T F, R = min(N, D): the centred samples, or the R of their QR if N > D."""
    centred = features.astype(np.float64)
    centred -= centred.mean(axis=0)
    centred /= np.sqrt(len(centred) - 1.0)
    num_samples, num_dimensions = centred.shape
    if num_samples <= num_dimensions:
        return centred
    return np.asarray(np.linalg.qr(centred, mode="r"))


def kernel_distance(generated: Features, true: Features) -> float:
    """Return the unbiased squared maximum mean discrepancy under the kernel (x . y / D + 1)^3, as in KID.

    It uses all samples at once rather than random subsets, so it needs no seed. The estimate averages zero
    for two sets of one distribution, so it can be negative.
    """
    within = _mean_of_pairs(generated) + _mean_of_pairs(true)
    return float(within - 2.0 * _kernel(generated, true).mean())


def _mean_of_pairs(features: Features) -> float:
    """Return the kernel's mean over pairs of different samples."""
    values = _kernel(features, features)
    num_samples = len(values)
    return float((values.sum() - np.trace(values)) / (num_samples * (num_samples - 1)))


def _kernel(first: Features, second: Features) -> Float[np.ndarray, "N M"]:
    values: np.ndarray = first.astype(np.float64) @ second.astype(np.float64).T
    values /= first.shape[1]
    values += 1.0
    values *= values * values
    return values

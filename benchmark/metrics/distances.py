"""How far apart two sets of features are: the Frechet distance of their Gaussians, and a kernel distance.

Both are exact and in float64. The usual Frechet distance takes the square root of a D x D matrix product that
is singular when there are fewer samples than dimensions; here its trace is a sum of singular values instead
(see `frechet_distance`), which is faster and loses no digits to the singularity.
"""

import numpy as np
from jaxtyping import Float

Features = Float[np.ndarray, "N D"]


def frechet_distance(generated: Features, true: Features) -> float:
    """Squared Frechet distance of the Gaussians with the sets' means and (unbiased) covariances.

    |m1 - m2|^2 + tr S1 + tr S2 - 2 tr sqrt(S1 S2). With S = F^T F, the eigenvalues of S1 S2 are the squared
    singular values of F1 F2^T, a matrix no larger than the number of samples or of dimensions. Sets of N
    samples give covariances of rank N - 1: the distance is too large for finite N, all the more for N < D.
    """
    from scipy.linalg import svdvals  # slow to import

    offset = generated.mean(axis=0, dtype=np.float64) - true.mean(axis=0, dtype=np.float64)
    first, second = covariance_factor(generated), covariance_factor(true)
    shared = float(svdvals(first @ second.T, overwrite_a=True, check_finite=False).sum())
    distance = offset @ offset + np.vdot(first, first) + np.vdot(second, second) - 2.0 * shared
    return max(0.0, float(distance))  # equal sets leave rounding errors of either sign


def covariance_factor(features: Features) -> Float[np.ndarray, "R D"]:
    """F with F^T F the covariance, R = min(N, D): the centred samples, or the R of their QR if N > D."""
    centred = features.astype(np.float64)
    centred -= centred.mean(axis=0)
    centred /= np.sqrt(len(centred) - 1.0)
    num_samples, num_dimensions = centred.shape
    if num_samples <= num_dimensions:
        return centred
    return np.asarray(np.linalg.qr(centred, mode="r"))


def kernel_distance(generated: Features, true: Features) -> float:
    """Squared maximum mean discrepancy under the kernel (x . y / D + 1)^3, as in KID: without bias.

    All samples are used at once, not averages over random subsets, so there is nothing to seed. The estimate
    is zero on average for sets of one distribution, hence at times negative.
    """
    within = _mean_of_pairs(generated) + _mean_of_pairs(true)
    return float(within - 2.0 * _kernel(generated, true).mean())


def _mean_of_pairs(features: Features) -> float:
    """The kernel's mean over pairs of different samples."""
    values = _kernel(features, features)
    num_samples = len(values)
    return float((values.sum() - np.trace(values)) / (num_samples * (num_samples - 1)))


def _kernel(first: Features, second: Features) -> Float[np.ndarray, "N M"]:
    values: np.ndarray = first.astype(np.float64) @ second.astype(np.float64).T
    values /= first.shape[1]
    values += 1.0
    values *= values * values
    return values

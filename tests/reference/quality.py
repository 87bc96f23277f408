"""The von Mises-Fisher constant twice, in float64: by the power series of the Bessel function, and by quadrature."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np


def log_bessel(order: float, x: float) -> float:
    """log I_order(x) by its power series (DLMF 10.25.2), all of whose terms are positive."""
    terms = [(2 * m + order) * math.log(x / 2) - math.lgamma(m + 1) - math.lgamma(m + order + 1) for m in range(8000)]
    largest = max(terms)
    return largest + math.log(math.fsum(math.exp(term - largest) for term in terms))


def log_density_ratio(kappa: float, dim: int) -> float:
    """log C_d(kappa) - log C_d(0) with C_d(kappa) = kappa^nu / ((2 pi)^(nu + 1) I_nu(kappa)), nu = d / 2 - 1."""
    order = dim / 2 - 1
    if kappa == 0:
        return 0.0
    return order * math.log(kappa / 2) - math.lgamma(order + 1) - log_bessel(order, kappa)


def log_mean_exponential(kappa: float, dim: int, points: int = 200_001) -> float:
    """log of the mean of exp(kappa * cosine) over the uniform distribution: what the constant has to make up for."""
    cosine = np.linspace(-1, 1, points)[1:-1]
    density = (dim - 3) / 2 * np.log1p(-(cosine**2))
    return _log_sum(density + kappa * cosine) - _log_sum(density)


def debye(t: Fraction, order: Fraction) -> float:
    """Sum of U_k(t) / order^k for k from 0 to 3, each polynomial by its recurrence (DLMF 10.41.9), exactly."""
    polynomials = [[Fraction(1)]]
    for _ in range(3):
        u = polynomials[-1]
        following = [Fraction(0)] * (len(u) + 3)
        for power, factor in enumerate(u):
            following[power + 1] += factor * (Fraction(power, 2) + Fraction(1, 8 * (power + 1)))
            following[power + 3] -= factor * (Fraction(power, 2) + Fraction(5, 8 * (power + 3)))
        polynomials.append(following)
    values = [sum(factor * t**power for power, factor in enumerate(u)) for u in polynomials]
    return float(sum(value / order**k for k, value in enumerate(values)))


def _log_sum(logarithms: np.ndarray) -> float:
    largest = logarithms.max()
    return float(largest + np.log(np.exp(logarithms - largest).sum()))

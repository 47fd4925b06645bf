#!/usr/bin/env python3
"""Where the start of the implied volatility comes from: fits of Bachelier's inverse, with mpmath 1.4 and numpy 2.

With h = x/s the Bachelier price over x is n(h)/h - N(-h)."""

import numpy as np
from mpmath import mp, mpf, erfc, exp, log, pi, sqrt

mp.dps = 30


def over_x(h):
    h = mpf(h)
    mills = sqrt(pi / 2) * exp(h * h / 2) * erfc(h / sqrt(mpf(2)))
    return exp(-h * h / 2) / sqrt(2 * pi) / h * (1 - h * mills)


def quotient(x, f, above, below):
    """A quotient of polynomials by weighted least squares; the relative error and its coefficients."""
    weight = np.ones_like(x)
    for _ in range(8):
        left = np.vander(x, above + 1, increasing=True) / f[:, None]
        right = -np.vander(x, below + 1, increasing=True)[:, 1:]
        found, *_ = np.linalg.lstsq(np.concatenate([left, right], axis=1) * weight[:, None], weight, rcond=None)
        under = 1 + np.vander(x, below + 1, increasing=True)[:, 1:] @ found[above + 1 :]
        weight = 1 / np.abs(under)
    over = np.vander(x, above + 1, increasing=True) @ found[: above + 1]
    return np.abs(over / under / f - 1).max(), [float(it) for it in found]


h = np.linspace(1e-3, 1.5, 300)
price = np.array([float(over_x(it)) for it in h])
print("NEAR", *quotient(1 / (price + 0.5), 1 / (h * (price + 0.5)), 3, 2))
h = np.linspace(1.4, 30, 500)
print("FAR", *quotient(np.sqrt([float(-log(over_x(it))) for it in h]), h, 3, 2))

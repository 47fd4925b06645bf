#!/usr/bin/env python3
"""Where the coefficients of `pricing::elementary` come from, with mpmath 1.4: prints them with their errors."""

from mpmath import mp, mpf, atanh, chebyfit, cos, erfc, exp, log, lu_solve, matrix, nstr, pi, sqrt

mp.dps = 60


def mills(x):
    return sqrt(pi / 2) * exp(x * x / 2) * erfc(x / sqrt(mpf(2)))


def at(coefficients, x):
    value = mpf(0)
    for it in reversed(coefficients):
        value = value * x + it
    return value


def quotient(low, high, above, below, centre):
    """A quotient of polynomials through Chebyshev nodes of (x - centre)/(x + centre)."""
    first, last = ((it - centre) / (it + centre) for it in (low, high))
    nodes = above + below + 1
    system, right = matrix(nodes, nodes), matrix(nodes, 1)
    for i in range(nodes):
        t = (first + last) / 2 + (last - first) / 2 * cos(pi * (2 * i + 1) / (2 * nodes))
        x = centre * (1 + t) / (1 - t)
        for j in range(above + 1):
            system[i, j] = x**j / mills(x)
        for j in range(1, below + 1):
            system[i, above + j] = -(x**j)
        right[i] = 1
    solved = lu_solve(system, right)
    p, q = [solved[j] for j in range(above + 1)], [mpf(1)] + [solved[above + j] for j in range(1, below + 1)]
    error = 0
    for i in range(600):
        t = first + (last - first) * i / 599
        x = centre * (1 + t) / (1 - t)
        error = max(error, abs(at(p, x) / at(q, x) / mills(x) - 1))
    return p, q, error


def show(name, coefficients, error):
    print(name, "error", nstr(error, 3))
    for it in coefficients:
        print("   ", repr(float(it)))


half = log(2) / 2 * mpf("1.0001")
fit, error = chebyfit(lambda r: (exp(r) - 1 - r) / r**2 if abs(r) > 1e-12 else mpf(1) / 2 + r / 6, [-half, half], 10, error=True)
show("EXP", reversed(fit), error * half**2)
square = mpf("0.205") ** 2
fit, error = chebyfit(
    lambda w: (2 * atanh(sqrt(w)) / sqrt(w) - 2) / w if w > 1e-20 else mpf(2) / 3, [0, square], 8, error=True
)
show("ARTANH", reversed(fit), error * square / 2)
p, q, error = quotient(mpf("-0.55"), mpf(12), 9, 10, mpf(5))
show("MILLS_ABOVE", p, error)
show("MILLS_BELOW", q, error)

#!/usr/bin/env python3
"""Fifty-digit references of prices, greeks and probabilities: `options.py > options.csv`, with mpmath 1.4.

Inputs are drawn from a seed, rounded to the decimals that stand in the table, and read back as the doubles nearest to
them: the references belong to those doubles. 15 minutes to 2 years, four standard deviations to either side, rates from
-1 % to 8 %, dividends to 5 %, volatilities from 3 % to 300 %."""

import random

from mpmath import mp, mpf, exp, log, ncdf, npdf, sqrt, nstr

mp.dps = 50
ROWS = 480
draw = random.Random(20261120)


def row(kind, spot, strike, t, rate, div, vol):
    s, k, t, r, q, v = (mpf(it) for it in (spot, strike, t, rate, div, vol))
    w = 1 if kind == "call" else -1
    sd = v * sqrt(t)
    d1 = (log(s / k) + (r - q) * t) / sd + sd / 2
    d2 = d1 - sd
    held, owed = s * exp(-q * t), k * exp(-r * t)
    away, drift = log(k / s), (r - q) * t - sd * sd / 2
    if away < 0:
        away, drift = -away, -drift
    touch = mpf(1) if away == 0 else ncdf((drift - away) / sd) + exp(2 * drift * away / sd**2) * ncdf(-(drift + away) / sd)
    return [
        w * (held * ncdf(w * d1) - owed * ncdf(w * d2)),
        w * exp(-q * t) * ncdf(w * d1),
        exp(-q * t) * npdf(d1) / (s * sd),
        held * npdf(d1) * sqrt(t),
        -held * npdf(d1) * v / (2 * sqrt(t)) - w * r * owed * ncdf(w * d2) + w * q * held * ncdf(w * d1),
        w * t * owed * ncdf(w * d2),
        ncdf(w * d2),
        touch,
    ]


def inputs(n):
    spot = draw.choice([5.25, 42.0, 100.0, 431.17, 5611.25, 21044.5])
    quarter_hour = 15 / (365 * 24 * 60)
    t = [quarter_hour, 2.0][n] if n < 2 else float(f"{quarter_hour * (2 / quarter_hour) ** draw.random():.12g}")
    vol = float(f"{0.03 * 100 ** draw.random():.4g}")
    rate = draw.choice([0.0, round(draw.uniform(-0.01, 0.08), 4)])
    div = draw.choice([0.0, round(draw.uniform(0.0, 0.05), 4)])
    # The strike by its distance from the forward; one row in twelve stands at the spot.
    away = draw.uniform(-4, 4)
    strike = spot if n % 12 == 5 else float(f"{spot * 2.718281828459045 ** ((rate - div) * t + away * vol * t ** 0.5):.8g}")
    return draw.choice(["call", "put"]), spot, strike, t, rate, div, vol


print("kind,spot,strike,t_years,rate,div,vol,price,delta,gamma,vega,theta,rho,p_itm,p_touch")
for n in range(ROWS):
    given = inputs(n)
    print(",".join([given[0], *(repr(it) for it in given[1:]), *(nstr(it, 25, min_fixed=1, max_fixed=0) for it in row(*given))]))

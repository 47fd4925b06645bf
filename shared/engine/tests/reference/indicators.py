#!/usr/bin/env python3
"""TA-Lib's own values of the indicators: `indicators.py > indicators.csv`, with TA-Lib 0.8.2 (Python) and numpy 2.

A walk with trends and calm stretches, some days that do not move at all and a crash, in cents as exchanges quote."""

import random

import numpy as np
import talib

DAYS = 600
draw = random.Random(20261120)

high, low, close = [], [], []
last, vol, drift = 100.0, 0.01, 0.0
for n in range(DAYS):
    if n % 60 == 0:
        vol, drift = draw.choice([0.004, 0.01, 0.03]), draw.choice([-0.004, 0.0, 0.004])
    if 300 <= n < 303:
        move = [last, last, last]
    else:
        path = [last]
        for _ in range(8):
            path.append(path[-1] * (1 + drift / 8 + vol / 8**0.5 * draw.gauss(0, 1)))
        if n == 420:
            path[-1] *= 0.8
        path[0] = path[1] if draw.random() < 0.3 else path[0]
        move = [max(path), min(path), path[-1]]
    h, l, c = (max(0.01, round(it, 2)) for it in move)
    high.append(h), low.append(l), close.append(c)
    last = c

h, l, c = (np.array(it) for it in (high, low, close))
returns = np.log(c[1:] / c[:-1])
columns = [
    talib.EMA(c, 20),
    talib.SMA(c, 50),
    talib.RSI(c, 14),
    *talib.MACD(c, 12, 26, 9),
    talib.ADX(h, l, c, 14),
    np.concatenate([[np.nan], talib.STDDEV(returns, 20) * np.sqrt(252)]),
]
print("date,high,low,close,ema20,sma50,rsi14,macd,macd_signal,macd_hist,adx14,rv20")
day = np.datetime64("2024-01-02")
for n in range(DAYS):
    values = ["" if np.isnan(it[n]) else repr(float(it[n])) for it in columns]
    print(",".join([str(np.busday_offset(day, n)), repr(high[n]), repr(low[n]), repr(close[n]), *values]))

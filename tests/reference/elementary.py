"""Elementary functions in 40 digits, each value as a sum of two doubles: tests/reference/elementary.txt.

    python3 tests/reference/elementary.py > tests/reference/elementary.txt    # needs numpy and mpmath
"""

import numpy as np
from mpmath import mp, mpf

mp.dps = 40
random = np.random.default_rng(1)
COUNT = 24


def sizes(low, high):
    """Numbers of all magnitudes between the two, of both signs."""
    x = np.exp(random.uniform(np.log(low), np.log(high), COUNT))
    return np.where(random.uniform(size=COUNT) < 0.5, x, -x)


def between(low, high):
    return random.uniform(low, high, COUNT)


def of_unit():
    return [sizes(1e-300, 0.99), between(-1, 1), 1 - abs(sizes(1e-15, 0.9))]


FUNCTIONS = {
    "exp2": (lambda x: mpf(2) ** x, [between(-1080, 1024), between(-2, 2), sizes(1e-300, 1)]),
    "log2": (lambda x: mp.log(x, 2), [abs(sizes(5e-324, 1e308)), between(0.5, 2), 1 + sizes(1e-15, 0.1)]),
    "log10": (mp.log10, [abs(sizes(5e-324, 1e308)), between(0.5, 2), 1 + sizes(1e-15, 0.1)]),
    "cbrt": (lambda x: mp.sign(x) * mp.cbrt(abs(x)), [sizes(5e-324, 1e308), sizes(1e-3, 1e3)]),
    "sinh": (mp.sinh, [between(-710, 710), sizes(1e-300, 2), between(-3, 3)]),
    "cosh": (mp.cosh, [between(-710, 710), sizes(1e-300, 2), between(-3, 3)]),
    "asinh": (mp.asinh, [sizes(1e-300, 1e308), between(-2, 2), sizes(0.1, 10)]),
    "acosh": (mp.acosh, [abs(sizes(1, 1e308)), 1 + abs(sizes(1e-15, 10)), between(1, 5)]),
    "atanh": (mp.atanh, of_unit()),
    "asin": (mp.asin, of_unit()),
    "acos": (mp.acos, of_unit()),
    "atan": (mp.atan, [sizes(1e-300, 1e300), between(-3, 3), sizes(0.1, 10)]),
    "erfc": (mp.erfc, [between(-7, 26), sizes(1e-300, 1), between(-1, 3)]),
    "i0": (lambda x: mp.besseli(0, x), [between(-30, 30), between(-712, 712), sizes(1e-300, 1)]),
    "lgamma": (lambda x: mp.loggamma(x).real, [abs(sizes(1e-300, 1e300)), between(0, 4), 1 + sizes(1e-12, 0.5),
                                               2 + sizes(1e-12, 0.5), between(3, 20)]),
    "i1": (lambda x: mp.besseli(1, x), [between(-30, 30), between(-712, 712), sizes(1e-300, 1)]),
}


def powers():
    """Pairs of numbers whose powers are numbers."""
    for x in np.concatenate([np.exp(random.uniform(-700, 700, COUNT)), 1 + sizes(1e-15, 0.3), between(0.3, 4)]):
        most = 700 / abs(np.log(x))
        yield from ((x, random.uniform(-most, most)), (x, random.uniform(-1, 1) * min(most, 20)))


def main():
    for x, exponent in powers():
        y = mpf(float(x)) ** mpf(float(exponent))
        print(f"pow {float(x)!r},{float(exponent)!r}", repr(float(y)), repr(float(y - mpf(float(y)))))
    for name, (f, parts) in FUNCTIONS.items():
        for x in np.concatenate(parts):
            y = f(mpf(float(x)))
            print(name, repr(float(x)), repr(float(y)), repr(float(y - mpf(float(y)))))


main()

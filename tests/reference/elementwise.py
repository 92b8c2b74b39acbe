"""Values of elementwise functions by NumPy and SciPy, on points of all kinds: tests/reference/elementwise.txt.

    python3 tests/reference/elementwise.py > tests/reference/elementwise.txt    # needs numpy and scipy
"""

import numpy as np
from scipy import special

np.seterr(all="ignore")
inf, nan = np.inf, np.nan
ALL = [0.0, -0.0, 1.0, -1.0, 0.3, -0.7, 2.5, -2.5, 1e-8, -1e-8, 5e-324, 1e-310, 1e5, -1e5, 1e300, -1e300, inf, -inf, nan]
MODERATE = [0.0, -0.0, 1.0, -1.0, 0.3, -0.7, 2.5, -2.5, 1e-8, 5e-324, 9.75, -9.75, 37.0, 300.5, 709.9, -745.0, inf, -inf, nan]
HALVES = [0.5, -0.5, 1.5, -1.5, 2.5, 1e15 + 0.5, 2.0**53, 0.49999999999999994]
UNIT = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 0.3, -0.7, 0.999, 1e-8, 1e-310, 1.0000001, -3.0, inf, -inf, nan]
POSITIVE = [1.0, 1.0000001, 1.5, 2.0, 10.0, 1e8, 1e10, 1e300, 0.5, -3.0, inf, -inf, nan]
LOGS = [0.0, -0.0, 1.0, 2.0, 8.0, 10.0, 1000.0, 1e-5, 0.7, 1.0000001, 5e-324, 1e300, -1.0, inf, -inf, nan]
# SciPy has NaN at infinity, loses the sign of zero, and overflows earlier than the functions.
BESSEL = [0.0, 1.0, -1.0, 0.3, -0.7, 2.5, -2.5, 1e-8, 7.9, 8.1, -8.1, 37.0, 300.5, -700.0, nan]
GAMMA = [1.0, 2.0, 0.3, 0.5, 1e-8, 3.7, 30.0, 1e6, -0.5, -1.3, -7.25]
PAIRS = [
    (x, y)
    for x in [0.0, -0.0, 1.5, -2.25, 7.0, -7.0, 1e300, inf, -inf, nan]
    for y in [0.0, -0.0, 1.0, 2.0, -2.0, -3.5, 1e300, inf, -inf, nan]
]
UNARY = {
    "erfc": (special.erfc, MODERATE + [5.0, 15.0, 26.0]),
    "exp2": (np.exp2, MODERATE + [1023.5, 1024.5, -1074.0]),
    "log2": (np.log2, LOGS),
    "log10": (np.log10, LOGS),
    "cbrt": (np.cbrt, ALL),
    "sinh": (np.sinh, MODERATE),
    "cosh": (np.cosh, MODERATE),
    "asin": (np.arcsin, UNIT),
    "acos": (np.arccos, UNIT),
    "atan": (np.arctan, ALL),
    "asinh": (np.arcsinh, ALL),
    "acosh": (np.arccosh, POSITIVE),
    "atanh": (np.arctanh, UNIT),
    "lgamma": (special.gammaln, GAMMA + [0.0, -1.0, inf, nan]),
    "digamma": (special.digamma, GAMMA + [0.0, inf, nan]),
    "polygamma1": (lambda x: special.polygamma(1, x), [x for x in GAMMA if x > 0]),
    "polygamma3": (lambda x: special.polygamma(3, x), [x for x in GAMMA if x > 0]),
    "i0": (special.i0, BESSEL),
    "i1": (special.i1, BESSEL),
    "sinc": (np.sinc, [0.0, -0.0, 0.3, -0.5, 0.75, 1e-8, 1e-310, 12.3, nan]),
    "floor": (np.floor, ALL + HALVES),
    "ceil": (np.ceil, ALL + HALVES),
    "round": (np.round, ALL + HALVES),
    "trunc": (np.trunc, ALL + HALVES),
}
BINARY = {
    "atan2": (np.arctan2, PAIRS),
    "hypot": (np.hypot, PAIRS),
    "fmod": (np.fmod, PAIRS),
    # A zero may have either sign.
    "remainder": (lambda x, y: abs(r) if (r := np.remainder(x, y)) == 0 else r, [(x, y) for x, y in PAIRS if y != 0]),
    "logaddexp": (np.logaddexp, PAIRS),
    "xlogy": (special.xlogy, PAIRS),
}
INTS = [0, 1, -1, 2, -2, 7, -7, 10**12, 2**63 - 1, -(2**63)]
INTEGERS = {"floor_divide": np.floor_divide, "remainder": np.remainder}


def main():
    for name, (f, points) in UNARY.items():
        for x in points:
            print(name, repr(float(x)), repr(float(f(np.float64(x)))))
    for name, (f, points) in BINARY.items():
        for x, y in points:
            print(name, repr(float(x)), repr(float(y)), repr(float(f(np.float64(x), np.float64(y)))))
    for name, f in INTEGERS.items():
        for x in INTS:
            for y in INTS:
                print("int", name, x, y, int(f(np.int64(x), np.int64(y))))


main()

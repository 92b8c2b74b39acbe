"""The polynomials of src/polynomials.rs: weighted least squares at Chebyshev's points, in 60 digits, reweighted by the
errors (Lawson 1961), so that the largest relative error is about the least possible.

    python3 elementary/fit.py > elementary/src/polynomials.rs && cargo fmt --all    # needs mpmath
"""

import struct
from mpmath import (asin, asinh, atan, atanh, besseli, cos, erfc, exp, factorial, log, loggamma, lu_solve, matrix, mp, mpf,
                    pi, psi, sin, sqrt)

mp.dps = 60


def lawson(f, weight, low, high, degree, rounds=14):
    """Coefficients of the polynomial nearest to f on [low, high], of errors times weight; and the largest of these."""
    points = 4 * degree + 8
    low, high = mpf(low), mpf(high)
    xs = [(low + high) / 2 + (high - low) / 2 * cos(pi * (2 * i + 1) / (2 * points)) for i in range(points)]
    # The basis of Chebyshev polynomials on the interval keeps the equations well-conditioned.
    def basis(x):
        t = (2 * x - low - high) / (high - low)
        row = [mpf(1), t]
        while len(row) <= degree:
            row.append(2 * t * row[-1] - row[-2])
        return row[: degree + 1]
    rows, fs, ws = [basis(x) for x in xs], [f(x) for x in xs], [weight(x) for x in xs]
    lawson_weights = [mpf(1)] * points
    for _ in range(rounds):
        n = degree + 1
        a, b = matrix(n, n), matrix(n, 1)
        for row, y, w, l in zip(rows, fs, ws, lawson_weights):
            v = l * w * w
            for i in range(n):
                b[i] += v * row[i] * y
                for j in range(n):
                    a[i, j] += v * row[i] * row[j]
        c = lu_solve(a, b)
        errors = [abs(sum(c[i] * row[i] for i in range(n)) - y) * w for row, y, w in zip(rows, fs, ws)]
        lawson_weights = [l * e for l, e in zip(lawson_weights, errors)]
        total = sum(lawson_weights)
        lawson_weights = [l / total * points for l in lawson_weights]
    # From Chebyshev's basis to powers of x.
    t = [-(low + high) / (high - low), 2 / (high - low)]
    def times(p, q):
        r = [mpf(0)] * (len(p) + len(q) - 1)
        for i, x in enumerate(p):
            for j, y in enumerate(q):
                r[i + j] += x * y
        return r
    polys = [[mpf(1)], t]
    while len(polys) <= degree:
        doubled = [2 * x for x in times(t, polys[-1])]
        polys.append([x - (polys[-2][i] if i < len(polys[-2]) else 0) for i, x in enumerate(doubled)])
    powers = [sum(c[k] * polys[k][i] for k in range(degree + 1) if i < len(polys[k])) for i in range(degree + 1)]
    return powers, max(errors)


def show(name, doc, f, weight, interval, degree):
    coefficients, error = lawson(f, weight, *interval, degree)
    numbers = ", ".join(repr(float(c)) for c in coefficients)
    print(f"/// {doc} Relative error {mp.nstr(error, 2)}.")
    print(f"pub const {name}: &[f64] = &[{numbers}];")


def about_zero(f, coefficient):
    """f, with the first terms of its series where the formula would cancel."""
    return lambda z: f(z) if z > mpf(10) ** -12 else coefficient(z)


def main():
    print("//! Coefficients of polynomials, lowest first: made by `fit.py`.\n")
    print("#![allow(clippy::unreadable_literal, clippy::excessive_precision, clippy::approx_constant, reason = \"as the script prints them\")]\n")
    f = about_zero(lambda z: (atan(sqrt(z)) / sqrt(z) - 1) / z, lambda z: mpf(-1) / 3 + z / 5)
    edge = (sqrt(mpf(2)) - 1) ** 2 * mpf("1.001")
    w = lambda z: z / (1 + z * f(z))
    for name, degree in (("ATAN_F64", 10), ("ATAN_F32", 4)):
        show(name, "`(atan(s)/s − 1)/z` by `z = s²`, where `|s| ≤ √2 − 1`.", f, w, (0, edge), degree)
    g = about_zero(lambda z: (asin(sqrt(z)) / sqrt(z) - 1) / z, lambda z: mpf(1) / 6 + z * 3 / 40)
    w = lambda z: z / (1 + z * g(z))
    for name, degree in (("ASIN_F64", 11), ("ASIN_F32", 4)):
        show(name, "`(asin(s)/s − 1)/z` by `z = s²`, where `|s| ≤ ½`.", g, w, (0, mpf(1) / 4), degree)
    h = about_zero(lambda z: (atanh(sqrt(z)) / sqrt(z) - 1) / z, lambda z: mpf(1) / 3 + z / 5)
    w = lambda z: z / (1 + z * h(z))
    for name, degree in (("ATANH_F64", 12), ("ATANH_F32", 5)):
        show(name, "`(atanh(s)/s − 1)/z` by `z = s²`, where `|s| ≤ ½`.", h, w, (0, mpf(1) / 4), degree)
    k = about_zero(lambda z: (asinh(sqrt(z)) / sqrt(z) - 1) / z, lambda z: mpf(-1) / 6 + z * 3 / 40)
    w = lambda z: z / (1 + z * k(z))
    for name, degree in (("ASINH_F64", 15), ("ASINH_F32", 6)):
        show(name, "`(asinh(s)/s − 1)/z` by `z = s²`, where `|s| ≤ ¾`.", k, w, (0, mpf(9) / 16), degree)
    for name, degree, low, high in (("ERFC_F64", 22, "0.46", "27.5"), ("ERFC_F32", 10, "0.46", "10.5")):
        x = lambda t: 4 * (1 + t) / (1 - t)
        t = lambda x: (mpf(x) - 4) / (mpf(x) + 4)
        e = lambda t: (1 + 2 * x(t)) * exp(x(t) ** 2) * erfc(x(t))
        doc = f"`(1 + 2x)·exp(x²)·erfc x` by `t = (x − 4)/(x + 4)`, where `{low} ≤ x ≤ {high}`."
        show(name, doc, e, lambda t: 1 / e(t), (t(low), t(high)), degree)
    for order in (0, 1):
        for name, terms in (("F64", 24), ("F32", 14)):
            numbers = ", ".join(repr(float(1 / factorial(k) / factorial(k + order))) for k in range(terms))
            print(f"/// `I{order}(x)/(x/2)^{order}` by `x²/4`, where `|x| ≤ 8`: its series.")
            print(f"pub const SERIES_I{order}_{name}: &[f64] = &[{numbers}];")
        for name, degree in (("F64", 24), ("F32", 7)):
            x = lambda t: 8 / (t + mpf(1) / 2)
            e = lambda t: sqrt(x(t)) * exp(-x(t)) * besseli(order, x(t))
            doc = f"`√x·e⁻ˣ·I{order}(x)` by `t = 8/x − ½`, where `x ≥ 8`."
            show(f"TAIL_I{order}_{name}", doc, e, lambda t: 1 / e(t), (mpf(-1) / 2, mpf(1) / 2), degree)
    for name, of_two, of_one in (("F64", 20, 21), ("F32", 9, 9)):
        q = lambda u: loggamma(2 + u) / u if abs(u) > mpf(10) ** -12 else psi(0, 2) + u * psi(1, 2) / 2
        doc = "`ln Γ(2 + u)/u` by `u`, where `−½ ≤ u ≤ 1`."
        show(f"LGAMMA_2_{name}", doc, q, lambda u: 1 / q(u), (mpf(-1) / 2, 1), of_two)
        r = lambda u: loggamma(1 + u) / u if abs(u) > mpf(10) ** -12 else psi(0, 1) + u * psi(1, 1) / 2
        doc = "`ln Γ(1 + u)/u` by `u`, where `−¼ ≤ u ≤ ½`."
        show(f"LGAMMA_1_{name}", doc, r, lambda u: -1 / r(u), (mpf(-1) / 4, mpf(1) / 2), of_one)
    for name, degree in (("F64", 5), ("F32", 1)):
        def w(z):
            if z < mpf(10) ** -16:
                return mpf(1) / 12 - z / 360
            x = 1 / sqrt(z)
            return x * (loggamma(x) - (x - mpf(1) / 2) * log(x) + x - log(2 * pi) / 2)
        doc = "`x·(ln Γ(x) − (x − ½)·ln x + x − ½ ln 2π)` by `z = 1/x²`, where `x ≥ 8`."
        show(f"STIRLING_{name}", doc, w, lambda z: mpf(1), (0, mpf(1) / 64), degree)
    for name, degree in (("F64", 8), ("F32", 4)):
        s = about_zero(lambda z: sin(pi * sqrt(z)) / sqrt(z), lambda z: pi - z * pi**3 / 6)
        show(f"SINPI_{name}", "`sin(πd)/d` by `z = d²`, where `|d| ≤ ½`.", s, lambda z: 1 / s(z), (0, mpf(1) / 4), degree)


main()

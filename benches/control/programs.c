// The programs of models.rs and their reverse programs, as one writes them by hand, which time themselves:
// least nanoseconds of a run, and the results, for evaluation and gradient of each.
#include <math.h>
#include <stdio.h>
#include <time.h>

enum { STEPS = 1000, DEPTH = 9, ROUNDS = 60, MOST = 1 << (DEPTH + 1) };

static double saved[3][MOST];

static double recurrence(double x, double a, double b, int n) {
    for (int i = 0; i < n; i++) x = sin(x) * a + x * b;
    return x;
}

// Sine and cosine come from one call.
static double recurrence_gradient(double x, double a, double b, int n, double *out) {
    for (int i = 0; i < n; i++) {
        double s = sin(x), c = cos(x);
        saved[0][i] = x, saved[1][i] = s, saved[2][i] = c;
        x = s * a + x * b;
    }
    double g = 1, a_bar = 0, b_bar = 0;
    for (int i = n - 1; i >= 0; i--) {
        a_bar += g * saved[1][i];
        b_bar += g * saved[0][i];
        g *= a * saved[2][i] + b;
    }
    out[0] = g, out[1] = a_bar, out[2] = b_bar;
    return x;
}

static double newton(double a, double x) {
    while (fabs(x * x - a) > a * 1e-10) x = (x + a / x) * 0.5;
    return x;
}

static double newton_gradient(double a, double x, double *out) {
    int n = 0;
    while (fabs(x * x - a) > a * 1e-10) {
        double r = 1 / x;
        saved[0][n] = x, saved[1][n++] = r;
        x = (x + a * r) * 0.5;
    }
    double g = 1, a_bar = 0;
    while (n-- > 0) {
        double r = saved[1][n], half = g * 0.5;
        a_bar += half * r;
        g = half - half * a * r * r;
    }
    out[0] = a_bar, out[1] = g;
    return x;
}

static double branch(double x, int n) {
    double y = x;
    for (int i = 0; i < n; i++) y = y < 1 ? y * x + x : y * x;
    return y;
}

static double branch_gradient(double x, int n, double *out) {
    double y = x;
    for (int i = 0; i < n; i++) {
        saved[0][i] = y;
        y = y < 1 ? y * x + x : y * x;
    }
    double g = 1, x_bar = 0;
    for (int i = n - 1; i >= 0; i--) {
        x_bar += saved[0][i] < 1 ? g * saved[0][i] + g : g * saved[0][i];
        g *= x;
    }
    out[0] = x_bar + g;
    return y;
}

// Hides a number from the compiler, which else computes one of two equal subtrees only. No instruction comes of it.
#if defined __x86_64__
#define HIDE(x) __asm__ volatile("" : "+x"(x))
#elif defined __aarch64__
#define HIDE(x) __asm__ volatile("" : "+w"(x))
#else
#define HIDE(x) __asm__ volatile("" : "+m"(x))
#endif

static double tree(double x, int depth) {
    HIDE(x);
    return depth > 0 ? tree(x, depth - 1) * tree(x, depth - 1) + x : x;
}

// Values lie as in a heap: the children of i are 2i and 2i + 1.
static double tree_forward(double x, int depth, int i) {
    HIDE(x);
    if (depth == 0) return saved[0][i] = x;
    return saved[0][i] = tree_forward(x, depth - 1, 2 * i) * tree_forward(x, depth - 1, 2 * i + 1) + x;
}
static double tree_backward(double g, int depth, int i) {
    HIDE(g);
    if (depth == 0) return g;
    double x_bar = tree_backward(g * saved[0][2 * i + 1], depth - 1, 2 * i);
    return g + x_bar + tree_backward(g * saved[0][2 * i], depth - 1, 2 * i + 1);
}
static double tree_gradient(double x, int depth, double *out) {
    double y = tree_forward(x, depth, 1);
    out[0] = tree_backward(1, depth, 1);
    return y;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * t.tv_sec + t.tv_nsec;
}

static volatile double inputs[3];

#define TIME(name, what, call)                                                       \
    {                                                                                \
        double best = INFINITY, out[3] = {0}, y = 0;                                 \
        for (int round = 0; round < ROUNDS; round++) {                               \
            double start = now();                                                    \
            for (int i = 0; i < 20; i++) y = call;                                   \
            best = fmin(best, (now() - start) / 20);                                 \
        }                                                                            \
        printf("%s %s %.17g %.17g %.17g\n", name, what, best, y, out[0]);            \
    }

int main(void) {
    inputs[0] = 0.5, inputs[1] = 0.3, inputs[2] = 0.8;
    TIME("recurrence", "evaluation", recurrence(inputs[0], inputs[1], inputs[2], STEPS))
    TIME("recurrence", "gradient", recurrence_gradient(inputs[0], inputs[1], inputs[2], STEPS, out))
    inputs[0] = 2, inputs[1] = 1000;
    TIME("newton", "evaluation", newton(inputs[0], inputs[1]))
    TIME("newton", "gradient", newton_gradient(inputs[0], inputs[1], out))
    inputs[0] = 0.8;
    TIME("branch", "evaluation", branch(inputs[0], STEPS))
    TIME("branch", "gradient", branch_gradient(inputs[0], STEPS, out))
    inputs[0] = 0.2;
    TIME("tree", "evaluation", tree(inputs[0], DEPTH))
    TIME("tree", "gradient", tree_gradient(inputs[0], DEPTH, out))
}

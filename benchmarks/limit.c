/* The same CartPole rollout as the trainer's, written by hand: what one core can do.
 *
 * Policy: 4-8-2, sigmoid, softmax, float32; the action by inverse CDF from a uniform number that the caller drew.
 * Dynamics, limits and start states: Gymnasium's CartPole-v1. An environment begins its next episode in the step after
 * the one that ended, so every step is a real one. What the trainer's record holds is written out, R = 7 numbers a step:
 * obs (4), action, reward, mask (always 1 here).
 *
 * parameters [58]: w1 [4, 8], b1 [8], w2 [8, 2], b2 [2].   starts [num_starts, 4], used in turn.
 */
#include <math.h>
#include <stdint.h>

enum { F = 4, H = 8, R = 7, TIME_LIMIT = 500 };
static const float GRAVITY = 9.8f, POLE = 0.1f, TOTAL = 1.1f, HALF_LENGTH = 0.5f, MOMENT = 0.05f, FORCE = 10.0f;
static const float TAU = 0.02f, PLACE_LIMIT = 2.4f, ANGLE_LIMIT = 0.20943951023931953f;

/* z_1 - z_0: with two actions, softmax needs no more. */
static inline float preference(const float *p, float x, float x_dot, float theta, float theta_dot) {
    const float *w1 = p, *b1 = p + F * H, *w2 = b1 + H, *b2 = w2 + 2 * H;
    float z = b2[1] - b2[0];
#pragma GCC unroll 8
    for (int j = 0; j < H; j++) {
        float h = b1[j] + w1[j] * x + w1[H + j] * x_dot + w1[2 * H + j] * theta + w1[3 * H + j] * theta_dot;
        z += (w2[2 * j + 1] - w2[2 * j]) / (1.0f + expf(-h));
    }
    return z;
}

/* One environment after the other, one step after the other: record [E, T, R], uniform [E, T], as one would write it. */
long scalar_rollout(int envs, int steps, const float *p, const float *uniform, const float *starts, long num_starts,
                    float *record) {
    long start = 0;
    for (int e = 0; e < envs; e++) {
        const float *s = starts + F * (start++ % num_starts);
        float x = s[0], x_dot = s[1], theta = s[2], theta_dot = s[3];
        int time = 0;
        for (int t = 0; t < steps; t++) {
            long i = (long)e * steps + t;
            float *row = record + R * i;
            row[0] = x, row[1] = x_dot, row[2] = theta, row[3] = theta_dot;
            float left = 1.0f / (1.0f + expf(preference(p, x, x_dot, theta, theta_dot)));
            float a = left <= uniform[i] ? 1.0f : 0.0f;
            row[4] = a, row[5] = 1.0f, row[6] = 1.0f;
            float c = cosf(theta), n = sinf(theta);
            float shared = ((2.0f * a - 1.0f) * FORCE + MOMENT * theta_dot * theta_dot * n) / TOTAL;
            float theta_acc = (GRAVITY * n - c * shared) / (HALF_LENGTH * (4.0f / 3.0f - POLE * c * c / TOTAL));
            float x_acc = shared - MOMENT * theta_acc * c / TOTAL;
            x += TAU * x_dot, x_dot += TAU * x_acc, theta += TAU * theta_dot, theta_dot += TAU * theta_acc;
            if (fabsf(x) > PLACE_LIMIT || fabsf(theta) > ANGLE_LIMIT || ++time >= TIME_LIMIT) {
                s = starts + F * (start++ % num_starts);
                x = s[0], x_dot = s[1], theta = s[2], theta_dot = s[3], time = 0;
            }
        }
    }
    return start;
}

/* One step of all environments, one environment a lane. Every array has its own pointer and is 32 bits wide: only then
 * does gcc vectorise the loop (gcc -fopt-info-vec says which). */
__attribute__((noinline)) static int32_t
step_all(int envs, const float *restrict p, const float *restrict uniform, float *restrict xs, float *restrict x_dots,
         float *restrict thetas, float *restrict theta_dots, int32_t *restrict times, int32_t *restrict ended,
         float *restrict r0, float *restrict r1, float *restrict r2, float *restrict r3, float *restrict r4,
         float *restrict r5, float *restrict r6) {
    int32_t any = 0;
    for (int e = 0; e < envs; e++) { /* VECTORISED */
        float x = xs[e], x_dot = x_dots[e], theta = thetas[e], theta_dot = theta_dots[e];
        r0[e] = x, r1[e] = x_dot, r2[e] = theta, r3[e] = theta_dot;
        float left = 1.0f / (1.0f + expf(preference(p, x, x_dot, theta, theta_dot)));
        float a = left <= uniform[e] ? 1.0f : 0.0f;
        r4[e] = a, r5[e] = 1.0f, r6[e] = 1.0f;
        float n = sinf(theta), c = sqrtf(1.0f - n * n); /* gcc does not vectorise sinf and cosf of the same number */
        float shared = ((2.0f * a - 1.0f) * FORCE + MOMENT * theta_dot * theta_dot * n) / TOTAL;
        float theta_acc = (GRAVITY * n - c * shared) / (HALF_LENGTH * (4.0f / 3.0f - POLE * c * c / TOTAL));
        float x_acc = shared - MOMENT * theta_acc * c / TOTAL;
        x += TAU * x_dot, x_dot += TAU * x_acc, theta += TAU * theta_dot, theta_dot += TAU * theta_acc;
        xs[e] = x, x_dots[e] = x_dot, thetas[e] = theta, theta_dots[e] = theta_dot;
        int32_t time = times[e] + 1;
        int32_t over = fabsf(x) > PLACE_LIMIT ? 1 : fabsf(theta) > ANGLE_LIMIT ? 1 : time >= TIME_LIMIT ? 1 : 0;
        times[e] = time;
        ended[e] = over;
        any |= over;
    }
    return any;
}

/* All environments side by side: record [T, R, E], uniform [T, E]. The caller lends state [4, E], times and ended [E]. */
long vector_rollout(int envs, int steps, const float *p, const float *uniform, const float *starts, long num_starts,
                    float *record, float *state, int32_t *times, int32_t *ended) {
    long start = 0, n = envs;
    for (int e = 0; e < envs; e++, start++) {
        for (int f = 0; f < F; f++) state[f * n + e] = starts[F * (start % num_starts) + f];
        times[e] = 0;
    }
    for (int t = 0; t < steps; t++) {
        float *r = record + t * R * n;
        int32_t any = step_all(envs, p, uniform + t * n, state, state + n, state + 2 * n, state + 3 * n, times, ended,
                               r, r + n, r + 2 * n, r + 3 * n, r + 4 * n, r + 5 * n, r + 6 * n);
        if (any)
            for (int e = 0; e < envs; e++)
                if (ended[e]) {
                    for (int f = 0; f < F; f++) state[f * n + e] = starts[F * (start % num_starts) + f];
                    start++;
                    times[e] = 0;
                }
    }
    return start;
}

/* Context mixing: vector arithmetic (mixing.c). Vectors are only passed by address, since the calling convention
   of vectors depends on the target processor. */

#ifndef THENCE_MIXING_VECTORS_H
#define THENCE_MIXING_VECTORS_H

#include "mixing.h"

/* Vectors are built from single numbers in registers, not loaded from memory that was just written number by
   number: such a load stalls until all stores have completed. */
typedef float Vector __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t Integers __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint64_t Slots __attribute__((vector_size(32), aligned(1), may_alias)); /* four neighbours */

static const float LIMIT = 1.0f / 500; /* slowest rate of a state's probability */

static INLINE float bounded(float x, float bound) { return x < -bound ? -bound : x > bound ? bound : x; }

static INLINE float sum_of(const Vector *of) {
    const Vector v = *of;
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

/* Numbers where a mask says so, and others elsewhere. */
static INLINE void choose_of(const Integers *mask, const Vector *yes, Vector *no) {
    *no = (Vector)((*mask & (Integers)*yes) | (~*mask & (Integers)*no));
}

/* The natural logarithm to some six digits: of the exponent, and of the rest x, from 0.71 to 1.41, the
   first terms of the series 2 (t + t^3 / 3 + t^5 / 5 + ...) with t = (x - 1) / (x + 1). */
static INLINE void take_logs(Vector *of) {
    Integers bits = (Integers)*of, e = (bits - 0x3F3504F3) >> 23;
    Vector x = (Vector)(bits - e * (1 << 23)), t = (x - 1) / (x + 1), t2 = t * t;
    *of = __builtin_convertvector(e, Vector) * 0.69314718f +
          2 * t * (1 + t2 * (0.33333333f + t2 * (0.2f + t2 * 0.142857f)));
}

/* 1 / (1 + e^-x), for x from -12 to 12, with e^x to some seven digits: of the power of two, and of the
   rest, from -0.35 to 0.35, the first terms of the series. */
static INLINE void squash(Vector *of) {
    Vector x = -*of, n = (x * 1.44269504f + 12582912.0f) - 12582912.0f; /* the nearest integers */
    Vector r = x - n * 0.693147181f;
    Vector power = (Vector)((__builtin_convertvector(n, Integers) + 127) * (1 << 23));
    *of = 1 / (1 + power * (1 + r * (1 + r * (0.5f + r * (0.16666667f + r * (0.041666667f +
                            r * (0.0083333333f + r * 0.0013888889f)))))));
}

/* Update probabilities towards the bits that came, with rate 1 / (count + 1.5), but at least LIMIT: a running
   mean that becomes an exponential moving average. */
static INLINE void move(Vector *probs, Vector *counts, const Vector *bits) {
    const Vector zero = {0}, limit = zero + LIMIT, least = zero + 1.0f / 4096, most = zero + 4095.0f / 4096;
    Vector rate = 1 / (*counts + 1.5f), one = zero + 1;
    Integers slow = rate < limit;
    choose_of(&slow, &limit, &rate);
    choose_of(&slow, &zero, &one);
    *counts += one;
    *probs += (*bits - *probs) * rate;
    Integers low = *probs < least, high = *probs > most;
    choose_of(&low, &least, probs);
    choose_of(&high, &most, probs);
}

#endif

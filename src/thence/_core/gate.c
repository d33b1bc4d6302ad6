/* Online learning of a mixture's gate: a gradient step on each target after it was scored. */

#include <math.h>

#include "core.h"

/* Write the log-probability of each target under a gate that learns from it afterwards: adapt_gate_in_numpy of
   models/mixture_weights.py. With x the features of a context, p_m the probability of the target by member m,
   w = softmax(x G) and p = sum_m w_m p_m, a step of gradient ascent on log p is

       G <- G + rate x (w_m p_m / p - w_m)

   scores (targets, members) has ln p_m; gate (features, members) is changed; room is a buffer of one number
   per member. Largest values are subtracted before exp, so that nothing overflows. */
CORE_EXPORT int32_t adapt_gate(const double *scores, const double *features, double *gate,
                               int64_t targets, int64_t members, int64_t num_features, double rate,
                               double *room, double *found) {
    if (members < 1 || num_features < 1) return 1;
    for (int64_t t = 0; t < targets; t++) {
        const double *s = scores + t * members, *x = features + t * num_features;
        for (int64_t m = 0; m < members; m++) room[m] = 0;
        for (int64_t k = 0; k < num_features; k++)
            if (x[k] != 0)
                for (int64_t m = 0; m < members; m++) room[m] += x[k] * gate[k * members + m];
        double top = room[0], best = s[0], sum = 0, likely = 0;
        for (int64_t m = 1; m < members; m++) {
            if (room[m] > top) top = room[m];
            if (s[m] > best) best = s[m];
        }
        if (best == -INFINITY) { /* Impossible for every member, so there is no gradient. */
            found[t] = best;
            continue;
        }
        for (int64_t m = 0; m < members; m++) {
            room[m] = exp(room[m] - top);
            sum += room[m];
            likely += room[m] * exp(s[m] - best);
        }
        found[t] = best + log(likely / sum);
        for (int64_t m = 0; m < members; m++) {
            double posterior = room[m] * exp(s[m] - best) / likely;
            room[m] = rate * (posterior - room[m] / sum);
        }
        for (int64_t k = 0; k < num_features; k++)
            if (x[k] != 0)
                for (int64_t m = 0; m < members; m++) gate[k * members + m] += x[k] * room[m];
    }
    return 0;
}

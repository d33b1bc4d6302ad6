/* The gate of a mixture goes on learning from what it scores. */

#include <math.h>

#include "core.h"

/* The log-probability of each target under a gate that learns from every target after it was scored:
   adapt_gate_in_numpy of models/mixture_weights.py. With x the features of a context, p_m the
   probability that member m gives the target, w = softmax(x G) and p = sum_m w_m p_m,

       G <- G + rate x (w_m p_m / p - w_m)

   scores has ln p_m, targets by members; gate (features by members) is changed; room has a number for
   each member. */
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
        if (best == -INFINITY) { /* No member takes it for possible, so that there is no gradient. */
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

/* Kernels of the linear classifier: the transpose of a sparse matrix, and dual coordinate descent.

   Sums are made in order and in one thread, so results are reproducible. */

#include <math.h>

#include "core.h"

/* Whether offsets and rows of a sparse matrix (CSR) are in range. */
static int features_fit(const int32_t *rows, int64_t size, const int64_t *offsets,
                        int64_t documents, int64_t num_rows) {
    if (documents < 0 || num_rows < 0 || offsets[0] != 0 || offsets[documents] != size) return 0;
    for (int64_t d = 0; d < documents; d++)
        if (offsets[d] > offsets[d + 1]) return 0;
    for (int64_t i = 0; i < size; i++)
        if ((uint64_t)rows[i] >= (uint64_t)num_rows) return 0;
    return 1;
}

/* Transpose a sparse matrix of documents by features with a counting sort: owners are the documents of each
   feature, in order, from starts[feature] on (num_rows + 1). NumPy: transposed_in_numpy of
   models/labels/design.py. */
CORE_EXPORT int32_t transpose_features(const int32_t *rows, const float *values, int64_t size,
                                       const int64_t *offsets, int64_t documents,
                                       int64_t num_rows, int64_t *starts, int32_t *owners,
                                       float *owner_values) {
    if (!features_fit(rows, size, offsets, documents, num_rows)) return 1;
    for (int64_t r = 0; r <= num_rows; r++) starts[r] = 0;
    for (int64_t i = 0; i < size; i++) starts[rows[i] + 1]++;
    for (int64_t r = 0; r < num_rows; r++) starts[r + 1] += starts[r];
    for (int64_t d = 0; d < documents; d++)
        for (int64_t i = offsets[d]; i < offsets[d + 1]; i++) {
            int64_t at = starts[rows[i]]++;
            owners[at] = (int32_t)d;
            owner_values[at] = values[i];
        }
    for (int64_t r = num_rows; r > 0; r--) starts[r] = starts[r - 1];
    starts[0] = 0;
    return 0;
}

/* Visit documents in the given order, and set the dual variable of each to the minimum of the dual objective,
   clipped to [0, upper] (Hsieh et al. 2008; the equations and a NumPy twin are in
   models/labels/dual_descent.py). weights has num_rows weights, then the bias. Returns the largest minus the
   smallest projected gradient, which is 0 at the optimum; negative if an argument is out of range. */
CORE_EXPORT double descend(const int32_t *rows, const float *values, int64_t size,
                           const int64_t *offsets, int64_t documents, int64_t num_rows,
                           const int64_t *order, int64_t visits, const float *signs,
                           const double *curvatures, const double *diagonal,
                           const double *upper, double *alphas, float *weights) {
    if (!features_fit(rows, size, offsets, documents, num_rows)) return -1;
    for (int64_t v = 0; v < visits; v++)
        if ((uint64_t)order[v] >= (uint64_t)documents) return -1;
    double highest = -INFINITY, lowest = INFINITY;
    for (int64_t v = 0; v < visits; v++) {
        int64_t d = order[v], first = offsets[d], end = offsets[d + 1];
        double sum = 0, sign = signs[d], alpha = alphas[d];
        for (int64_t i = first; i < end; i++) {
            if (i + AHEAD < end) PREFETCH(weights + rows[i + AHEAD]);
            sum += (double)values[i] * weights[rows[i]];
        }
        double gradient = sign * (sum + weights[num_rows]) - 1 + diagonal[d] * alpha;
        double projected = gradient;
        if (alpha <= 0 && gradient > 0) projected = 0;
        if (alpha >= upper[d] && gradient < 0) projected = 0;
        if (projected > highest) highest = projected;
        if (projected < lowest) lowest = projected;
        if (projected == 0) continue;
        double moved = alpha - gradient / curvatures[d];
        moved = moved < 0 ? 0 : moved > upper[d] ? upper[d] : moved;
        alphas[d] = moved;
        float step = (float)(sign * (moved - alpha));
        for (int64_t i = first; i < end; i++) weights[rows[i]] += step * values[i];
        weights[num_rows] += step;
    }
    return visits ? highest - lowest : 0;
}

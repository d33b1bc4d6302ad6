/* The nearest of a few points, for product quantisation. */

#include "core.h"

enum { WIDTH = 8 }; /* Distances that are compared side by side. */


/* For each of n points of D numbers, which stand stride numbers apart, the nearest of at most 256
   centres, and of equally near ones the first:  argmin over c of sum_j (x_j - y_cj)^2.
   The centres are given as D rows of 256, so that many are compared at once.
   NumPy: nearest_in_numpy of models/fasttext/quantising.py, to the bit. */
CORE_EXPORT int32_t nearest_centres(const float *points, int64_t n, int64_t D, int64_t stride,
                                    const float *centres, uint8_t *nearest) {
    float far[256];
    if (D < 1 || stride < D) return 1;
    for (int64_t i = 0; i < n; i++) {
        const float *point = points + i * stride;
        for (int c = 0; c < 256; c++) far[c] = (point[0] - centres[c]) * (point[0] - centres[c]);
        for (int64_t j = 1; j < D; j++)
            for (int c = 0; c < 256; c++) {
                float by = point[j] - centres[j * 256 + c];
                far[c] += by * by;
            }
        float least[WIDTH];
        for (int k = 0; k < WIDTH; k++) least[k] = far[k];
        for (int c = WIDTH; c < 256; c += WIDTH)
            for (int k = 0; k < WIDTH; k++) least[k] = far[c + k] < least[k] ? far[c + k] : least[k];
        float best = least[0];
        for (int k = 1; k < WIDTH; k++) best = least[k] < best ? least[k] : best;
        int found = 0;
        while (found < 255 && far[found] != best) found++;
        nearest[i] = (uint8_t)found;
    }
    return 0;
}

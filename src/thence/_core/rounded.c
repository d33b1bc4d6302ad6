/* Products of vectors with a matrix in 16 bits, whose weights are half as much to read. */

#include <math.h>

#include "core.h"

/* A number of a vector is 512 high + low, both from -256 to 256, and a weight from -2^15 to 2^15 - 1:
   so many products of the two stay below 2^31 together. */
enum { RADIX_BITS = 9, LIMIT = (1 << 17) - 1, COLUMNS_AT_ONCE = 240 };

/* Vectors times a matrix: product_in_numpy of models/rounded.py. With t_v = max_c |x_vc| / LIMIT,

       found_vr = s_r t_v sum_c w_rc round(x_vc / t_v)

   where the sum is one of integers, so its order does not matter. It is NaN of a vector that has a
   number which is not finite. room has 2 x columns places. */
CORE_EXPORT int32_t multiply_rounded(const int16_t *weights, const double *scales, int64_t rows,
                                     int64_t columns, const float *vectors, int64_t size,
                                     int16_t *room, float *found) {
    if (rows < 0 || columns < 1 || size < 0) return 1;
    int16_t *restrict high = room, *restrict low = room + columns;
    for (int64_t v = 0; v < size; v++, vectors += columns, found += rows) {
        double top = 0;
        int finite = 1;
        for (int64_t c = 0; c < columns; c++) {
            double here = fabs((double)vectors[c]);
            finite &= here < INFINITY;
            if (here > top) top = here;
        }
        double step = finite ? top / LIMIT : NAN;
        for (int64_t c = 0; c < columns; c++) {
            int32_t whole = step > 0 ? (int32_t)rint(vectors[c] / step) : 0;
            high[c] = (int16_t)((whole + (1 << (RADIX_BITS - 1))) >> RADIX_BITS);
            low[c] = (int16_t)(whole - high[c] * (1 << RADIX_BITS));
        }
        for (int64_t r = 0; r < rows; r++) {
            const int16_t *restrict row = weights + r * columns;
            int64_t total = 0;
            for (int64_t c = 0; c < columns; c += COLUMNS_AT_ONCE) {
                int64_t end = c + COLUMNS_AT_ONCE < columns ? c + COLUMNS_AT_ONCE : columns;
                int32_t of_high = 0, of_low = 0;
                for (int64_t k = c; k < end; k++) {
                    of_high += row[k] * high[k];
                    of_low += row[k] * low[k];
                }
                total += (int64_t)of_high * (1 << RADIX_BITS) + of_low;
            }
            found[r] = (float)((double)total * scales[r] * step);
        }
    }
    return 0;
}

/* Sums of rows of a table, counts of its rows, and steps of Adagrad on some: for word averaging.

   Both go through their rows in order and in one thread, so the result is the same every time. */

#include "core.h"

/* The sums of the rows of all bags. Where columns is a constant, a sum stays in registers. */
static inline void sum_bags(const float *restrict table, int64_t columns,
                            const int32_t *restrict rows, const float *restrict scale,
                            const int64_t *restrict offsets, int64_t bags,
                            float *restrict sums) {
    for (int64_t b = 0; b < bags; b++) {
        float *restrict sum = sums + b * columns;
        for (int64_t c = 0; c < columns; c++) sum[c] = 0;
        for (int64_t i = offsets[b]; i < offsets[b + 1]; i++) {
            if (i + FAR_AHEAD < offsets[bags]) PREFETCH(table + rows[i + FAR_AHEAD] * columns);
            const float *restrict row = table + rows[i] * columns;
            if (scale)
                for (int64_t c = 0; c < columns; c++) sum[c] += scale[i] * row[c];
            else
                for (int64_t c = 0; c < columns; c++) sum[c] += row[c];
        }
    }
}

/* For each bag the sum of its rows, added from left to right. NumPy: sum_rows_in_numpy of
   batches/bags.py. The rows of bag b are rows[offsets[b]] to rows[offsets[b + 1] - 1]; scale, unless
   NULL, has a factor for each. */
CORE_EXPORT int32_t sum_rows(const float *table, int64_t num_rows, int64_t columns,
                             const int32_t *rows, int64_t size, const float *scale,
                             const int64_t *offsets, int64_t bags, float *sums) {
    if (columns < 1 || bags < 0 || offsets[0] < 0 || offsets[bags] > size) return 1;
    for (int64_t b = 0; b < bags; b++)
        if (offsets[b] > offsets[b + 1]) return 1;
    for (int64_t i = 0; i < size; i++)
        if ((uint64_t)rows[i] >= (uint64_t)num_rows) return 1;
    if (columns == 1)
        sum_bags(table, 1, rows, scale, offsets, bags, sums);
    else if (columns == 16)
        sum_bags(table, 16, rows, scale, offsets, bags, sums);
    else
        sum_bags(table, columns, rows, scale, offsets, bags, sums);
    return 0;
}

/* How often each number from 0 to below num_counts occurs, added to counts: np.bincount. */
CORE_EXPORT int32_t count_numbers(const int32_t *numbers, int64_t size, int32_t *counts,
                                  int64_t num_counts) {
    for (int64_t i = 0; i < size; i++)
        if ((uint32_t)numbers[i] >= (uint64_t)num_counts) return 1;
    for (int64_t i = 0; i < size; i++) {
        if (i + FAR_AHEAD < size) PREFETCH(counts + numbers[i + FAR_AHEAD]);
        counts[numbers[i]]++;
    }
    return 0;
}

/* One step of Adagrad on distinct rows of a table. */
CORE_EXPORT int32_t adagrad_rows(float *weights, float *totals, int64_t num_rows, int64_t columns,
                                 const int64_t *rows, const float *gradients, int64_t size,
                                 float rate, float decay, float epsilon) {
    if (columns < 1) return 1;
    for (int64_t i = 0; i < size; i++)
        if (rows[i] < 0 || rows[i] >= num_rows) return 1;
    for (int64_t i = 0; i < size; i++) {
        if (i + FAR_AHEAD < size) {
            PREFETCH(weights + rows[i + FAR_AHEAD] * columns);
            PREFETCH(totals + rows[i + FAR_AHEAD]);
        }
        adagrad_row(weights + rows[i] * columns, totals + rows[i], gradients + i * columns, columns,
                rate, decay, epsilon);
    }
    return 0;
}

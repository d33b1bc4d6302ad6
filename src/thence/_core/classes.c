/* The exchange algorithm for word classes (Kneser and Ney 1993): models/language/word_classes.py.

   With n(a, b) how often class b follows class a, n(a, .) and n(., b) its sums, the part of the train text's
   log-likelihood that depends on the classes is

       sum_ab n(a, b) log n(a, b)  -  sum_a n(a, .) log n(a, .)  -  sum_b n(., b) log n(., b)

   A word is taken out of its class, and put into the class where this sum is largest. Only terms of classes
   that are neighbours of the word change, so each gain takes few steps. */

#include <math.h>

#include "core.h"

typedef struct {
    const int64_t *starts; /* words + 1 */
    const int32_t *words;
    const int64_t *counts;
    int64_t pairs;
} Neighbours;

static int fits(const Neighbours *n, int64_t words) {
    if (n->starts[0] != 0 || n->starts[words] != n->pairs) return 0;
    for (int64_t w = 0; w < words; w++)
        if (n->starts[w] > n->starts[w + 1]) return 0;
    for (int64_t p = 0; p < n->pairs; p++)
        if (n->words[p] < 0 || n->words[p] >= words || n->counts[p] < 0) return 0;
    return 1;
}

static double xlogx(int64_t n, const double *table, int64_t most) {
    return n < most ? table[n] : (double)n * log((double)n);
}

/* Count the neighbours of a word by class into found, without the word itself; return how often the word is
   its own neighbour. */
static int64_t by_class(const Neighbours *n, int64_t word, const int32_t *class_of, int64_t size,
                        int64_t *found, int64_t *total) {
    int64_t itself = 0, sum = 0;
    for (int64_t c = 0; c < size; c++) found[c] = 0;
    for (int64_t p = n->starts[word]; p < n->starts[word + 1]; p++) {
        sum += n->counts[p];
        if (n->words[p] == word)
            itself += n->counts[p];
        else
            found[class_of[n->words[p]]] += n->counts[p];
    }
    *total = sum;
    return itself;
}

/* Add a word's counts to a class (sign 1), or subtract them (sign -1). */
static void put(int64_t *rows, int64_t *columns, int64_t size, int64_t class, int64_t sign,
                const int64_t *followed, const int64_t *preceded, int64_t itself) {
    for (int64_t c = 0; c < size; c++) {
        rows[class * size + c] += sign * followed[c];
        columns[c * size + class] += sign * followed[c];
        rows[c * size + class] += sign * preceded[c];
        columns[class * size + c] += sign * preceded[c];
    }
    rows[class * size + class] += sign * itself;
    columns[class * size + class] += sign * itself;
}

/* Move each word, in order, to its best class below ``classes``: sweep_in_numpy of word_classes.py.

   rows (size, size) has the counts n(a, b), columns its transpose; both and class_of are changed. table has
   n log n for n < most. room is a buffer of 4 size numbers, gain one of size. Returns how many words moved, or
   -1 if the arrays do not fit. */
CORE_EXPORT int64_t exchange_sweep(
    const int64_t *after_starts, const int32_t *after_words, const int64_t *after_counts,
    int64_t after_pairs, const int64_t *before_starts, const int32_t *before_words,
    const int64_t *before_counts, int64_t before_pairs, int64_t words, const int64_t *order,
    int64_t ordered, int32_t *class_of, int64_t *rows, int64_t *columns, int64_t size,
    int64_t classes, const double *table, int64_t most, int64_t *room, double *gain) {
    Neighbours after = {after_starts, after_words, after_counts, after_pairs};
    Neighbours before = {before_starts, before_words, before_counts, before_pairs};
    if (classes < 1 || classes > size || !fits(&after, words) || !fits(&before, words)) return -1;
    for (int64_t w = 0; w < words; w++)
        if (class_of[w] < 0 || class_of[w] >= size) return -1;
    for (int64_t i = 0; i < ordered; i++)
        if (order[i] < 0 || order[i] >= words || class_of[order[i]] >= classes) return -1;
    for (int64_t c = 0; c < size * size; c++)
        if (rows[c] < 0 || columns[c] < 0) return -1;
    int64_t *followed = room, *preceded = room + size, *first = room + 2 * size;
    int64_t *second = room + 3 * size, moved = 0;
    for (int64_t a = 0; a < size; a++) {
        first[a] = second[a] = 0;
        for (int64_t b = 0; b < size; b++) {
            first[a] += rows[a * size + b];
            second[a] += columns[a * size + b];
        }
    }
    for (int64_t i = 0; i < ordered; i++) { /* Take the word out of its class, then find the best one. */
        int64_t word = order[i], own = class_of[word], total, seen;
        int64_t itself = by_class(&after, word, class_of, size, followed, &total);
        by_class(&before, word, class_of, size, preceded, &seen);
        put(rows, columns, size, own, -1, followed, preceded, itself);
        first[own] -= total;
        second[own] -= seen;
        for (int64_t b = 0; b < size; b++) gain[b] = 0;
        for (int side = 0; side < 2; side++) {
            const int64_t *counts = side ? preceded : followed, *grid = side ? rows : columns;
            for (int64_t c = 0; c < size; c++) {
                if (!counts[c]) continue;
                const int64_t *now = grid + c * size;
                for (int64_t b = 0; b < classes; b++)
                    if (b != c)
                        gain[b] += xlogx(now[b] + counts[c], table, most) - xlogx(now[b], table, most);
            }
        }
        int64_t best = 0;
        for (int64_t b = 0; b < classes; b++) {
            int64_t inside = rows[b * size + b];
            gain[b] += xlogx(inside + followed[b] + preceded[b] + itself, table, most) -
                       xlogx(inside, table, most);
            gain[b] -= xlogx(first[b] + total, table, most) - xlogx(first[b], table, most);
            gain[b] -= xlogx(second[b] + seen, table, most) - xlogx(second[b], table, most);
            if (gain[b] > gain[best]) best = b;
        }
        if (gain[own] >= gain[best]) best = own;
        moved += best != own;
        class_of[word] = (int32_t)best;
        put(rows, columns, size, best, 1, followed, preceded, itself);
        first[best] += total;
        second[best] += seen;
    }
    return moved;
}

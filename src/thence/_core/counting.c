/* Counting n-grams: from the n-grams of one length to those that are longer by one word.

   The occurrences of the n-grams of one length are sorted by the number of their n-gram (which), each with the
   position of its last word (places). Occurrences with the same number form a group; they are the prefix of
   longer n-grams. So only the following words need to be sorted, group by group: small groups by insertion
   sort, large ones by radix sort (least significant digit first). Consecutive equal words of a group are then
   the occurrences of one longer n-gram. models/ngram/counting.py is the same in NumPy. */

#include <string.h>

#include "core.h"

enum { FEW = 24, MANY = 4096 };

/* Stable sort by the word, which has `bits` bits from bit 32 on; the lower 32 bits are the position. */
static void sort_by_word(uint64_t *values, uint64_t *spare, int64_t size, int bits) {
    if (size <= FEW) { /* Positions ascend already, so whole numbers can be compared. */
        for (int64_t i = 1; i < size; i++) {
            uint64_t value = values[i];
            int64_t at = i;
            for (; at > 0 && values[at - 1] > value; at--) values[at] = values[at - 1];
            values[at] = value;
        }
        return;
    }
    int width = size < MANY ? 6 : 11;
    uint64_t *from = values, *to = spare, mask = ((uint64_t)1 << width) - 1;
    for (int shift = 32; shift < 32 + bits; shift += width) {
        int64_t starts[1 << 11];
        memset(starts, 0, (mask + 1) * sizeof *starts);
        for (int64_t i = 0; i < size; i++) starts[from[i] >> shift & mask]++;
        int64_t total = 0;
        for (uint64_t digit = 0; digit <= mask; digit++) {
            int64_t count = starts[digit];
            starts[digit] = total;
            total += count;
        }
        for (int64_t i = 0; i < size; i++) to[starts[from[i] >> shift & mask]++] = from[i];
        uint64_t *other = from;
        from = to;
        to = other;
    }
    if (from != values) memcpy(values, from, (size_t)size * sizeof *values);
}

/* Count the n-grams that extend the occurrences from start to stop by one word.

   The occurrences of the longer n-grams overwrite which and places from *written on, since there are never
   more of them. followers[p] is the word after position p, or -1 if nothing follows; numbers[p] is the number
   of the n-gram that ends at p, and becomes that of the longer one. Occurrences before the position first are
   numbered but not counted. The numbers of the longer n-grams start from next. keys, counts and suffixes get
   one entry per longer n-gram, at most `most`; spare is a buffer of 2 (stop - start) numbers.

   Returns the number of different longer n-grams, or -1 if an argument is out of range. NumPy: longer_in_numpy
   of models/ngram/counting.py. */
CORE_EXPORT int64_t count_longer(int32_t *which, int32_t *places, int64_t start, int64_t stop,
                                 int64_t *written, const int32_t *followers, int32_t *numbers,
                                 int64_t positions, int64_t V, int64_t first, int64_t next,
                                 int64_t *keys, int64_t *counts, int32_t *suffixes,
                                 int64_t most, uint64_t *spare) {
    int64_t out = *written, found = 0;
    if (start < 0 || stop < start || out < 0 || out > start || V < 1 || V > INT32_MAX) return -1;
    if (next < 0 || next > INT32_MAX - (stop - start)) return -1;
    int bits = 0;
    while (V - 1 >> bits) bits++;
    uint64_t *values = spare, *room = spare + (stop - start);
    while (start < stop) {
        int64_t prefix = which[start], size = 0;
        int in_order = 1;
        if (prefix < 0) return -1;
        for (; start < stop && which[start] == prefix; start++) {
            if (start + AHEAD < stop && (uint32_t)places[start + AHEAD] < (uint64_t)positions) {
                PREFETCH(followers + places[start + AHEAD]);
                PREFETCH(numbers + places[start + AHEAD]); /* Mostly also that of the next place. */
            }
            if (places[start] < 0 || places[start] >= positions) return -1;
            int64_t word = followers[places[start]];
            if (word < 0) continue;
            if (word >= V || places[start] + 1 >= positions) return -1;
            uint64_t value = (uint64_t)word << 32 | (uint32_t)(places[start] + 1);
            in_order &= size == 0 || values[size - 1] <= value;
            values[size++] = value;
        }
        if (!in_order) sort_by_word(values, room, size, bits);
        for (int64_t i = 0; i < size; i++) {
            int64_t word = (int64_t)(values[i] >> 32), place = (int64_t)(uint32_t)values[i];
            if (i + AHEAD < size) PREFETCH(numbers + (uint32_t)values[i + AHEAD]);
            if (i == 0 || word != (int64_t)(values[i - 1] >> 32)) {
                if (found == most) return -1;
                keys[found] = prefix * V + word;
                counts[found] = 0;
                suffixes[found++] = numbers[place];
            }
            counts[found - 1] += place >= first;
            which[out] = (int32_t)(next + found - 1);
            places[out++] = (int32_t)place;
            numbers[place] = (int32_t)(next + found - 1);
        }
    }
    *written = out;
    return found;
}

/* Sum weights by number; if weights is NULL, each is 1. Returns 0, or -1 if a number is out of range. NumPy:
   np.bincount(numbers, weights). */
CORE_EXPORT int32_t add_by_number(const int32_t *numbers, const int64_t *weights, int64_t size,
                                  int64_t *sums, int64_t num_sums) {
    for (int64_t i = 0; i < size; i++) {
        if ((uint32_t)numbers[i] >= (uint64_t)num_sums) return -1;
        if (i + AHEAD < size) PREFETCH(sums + (uint32_t)numbers[i + AHEAD]);
        sums[numbers[i]] += weights ? weights[i] : 1;
    }
    return 0;
}

/* Write the positions of each word in ascending order: places[starts[w] ..] are those of word w. starts (V) is
   changed: afterwards it has the start of the next word. Returns 0, or -1 if an id is out of range. NumPy:
   np.argsort(ids, kind="stable"). */
CORE_EXPORT int32_t place_words(const int32_t *ids, int64_t size, int64_t *starts, int64_t V,
                                int32_t *places) {
    if (size < 0 || size > INT32_MAX) return -1;
    for (int64_t i = 0; i < size; i++) {
        if (ids[i] < 0 || ids[i] >= V || starts[ids[i]] < 0 || starts[ids[i]] >= size) return -1;
        places[starts[ids[i]]++] = (int32_t)i;
    }
    return 0;
}

/* Stable radix sort of non-negative keys of `bits` bits; places gets the old index of each.

   spare and spare_places are buffers of the same size. Returns 0, or -1 if an argument is out of range. NumPy:
   np.argsort(keys, kind="stable"). */
CORE_EXPORT int32_t sort_places(int64_t *keys, int32_t *places, int64_t size, int32_t bits,
                                int64_t *spare, int32_t *spare_places) {
    enum { WIDTH = 11 };
    if (size < 0 || size > INT32_MAX || bits < 0 || bits > 63) return -1;
    int64_t *from = keys, *to = spare;
    int32_t *from_places = places, *to_places = spare_places;
    for (int64_t i = 0; i < size; i++) {
        if (keys[i] < 0) return -1;
        places[i] = (int32_t)i;
    }
    for (int shift = 0; shift < bits; shift += WIDTH) {
        int64_t starts[1 << WIDTH] = {0}, total = 0;
        for (int64_t i = 0; i < size; i++) starts[from[i] >> shift & ((1 << WIDTH) - 1)]++;
        for (int digit = 0; digit < 1 << WIDTH; digit++) {
            int64_t count = starts[digit];
            starts[digit] = total;
            total += count;
        }
        for (int64_t i = 0; i < size; i++) {
            int64_t at = starts[from[i] >> shift & ((1 << WIDTH) - 1)]++;
            to[at] = from[i];
            to_places[at] = from_places[i];
        }
        int64_t *other = from;
        int32_t *other_places = from_places;
        from = to, to = other;
        from_places = to_places, to_places = other_places;
    }
    if (from != keys) {
        memcpy(keys, from, (size_t)size * sizeof *keys);
        memcpy(places, from_places, (size_t)size * sizeof *places);
    }
    return 0;
}

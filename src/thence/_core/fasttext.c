/* fastText's features of texts, and sums of rows of its matrices.

   Features are rows of the input matrix: words, character n-grams of words and word n-grams, the last two
   hashed into buckets. Everything is done in fastText's order, so that sums are rounded in the same way. */

#include <string.h>

#include "core.h"

typedef struct {
    Table words;                 /* ids of words and labels by key */
    Table rows;                  /* rows of buckets by key, counted after those of the words; */
    int32_t pruned;              /* 0: each bucket has the row of its number */
    int32_t minn, maxn, word_ngrams;
    int64_t num_words, buckets;  /* ids from num_words on are labels */
} Dictionary;

typedef struct {
    int32_t *features;
    int64_t count, room;
    int32_t full;
} Bag;

static const uint64_t FNV_64 = 14695981039346656037u, FNV_64_PRIME = 1099511628211u;
static const uint64_t SPREAD = 0x9E3779B97F4A7C15u, RUN = 116049371u;
static const uint32_t FNV_32 = 2166136261u, FNV_32_PRIME = 16777619u;
static const char LABEL[] = "__label__", END[] = "</s>";

/* FNV-1a after one more byte; like fastText, with the byte sign-extended, which is not standard FNV. */
static inline uint32_t fnv(uint32_t hash, uint8_t byte) {
    return (hash ^ (uint32_t)(int32_t)(int8_t)byte) * FNV_32_PRIME;
}

static inline int32_t find(const Table *table, uint64_t key) {
    const uint64_t mask = ((uint64_t)1 << table->bits) - 1;
    uint64_t slot = key >> (64 - table->bits);
    for (uint64_t tried = 0; table->numbers[slot] >= 0; slot = (slot + 1) & mask) {
        if (table->hashes[slot] == key) return table->numbers[slot];
        if (tried++ > mask) return -1;
    }
    return -1;
}

static inline void put(Bag *bag, int64_t feature) {
    if (bag->count < bag->room)
        bag->features[bag->count++] = (int32_t)feature;
    else
        bag->full = 1;
}

/* Add the row of a bucket, if it has one. */
static inline void put_bucket(const Dictionary *d, Bag *bag, uint64_t bucket) {
    int64_t row = (int64_t)bucket;
    if (d->pruned) row = find(&d->rows, (bucket + 1) * SPREAD);
    if (row >= 0) put(bag, d->num_words + row);
}

/* Byte i of "<word>". */
static inline uint8_t marked(const uint8_t *word, int64_t size, int64_t i) {
    return i == 0 ? '<' : i > size ? '>' : word[i - 1];
}

/* Add the character n-grams of "<word>": Dictionary::computeSubwords. */
static void put_subwords(const Dictionary *d, Bag *bag, const uint8_t *word, int64_t size) {
    int64_t end = size + 2;
    for (int64_t i = 0; i < end; i++) {
        if ((marked(word, size, i) & 0xC0) == 0x80) continue;
        uint32_t hash = FNV_32;
        int64_t j = i;
        for (int32_t n = 1; j < end && n <= d->maxn; n++) {
            do
                hash = fnv(hash, marked(word, size, j++));
            while (j < end && (marked(word, size, j) & 0xC0) == 0x80);
            if (n >= d->minn && !(n == 1 && (i == 0 || j == end)))
                put_bucket(d, bag, hash % (uint64_t)d->buckets);
        }
    }
}

static inline int is_space(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r') || c == 0; }

/* Return fastText's hash of a word, and write our own 64-bit key for the hash tables. */
static inline uint32_t read_word_bytes(const uint8_t *word, int64_t size, uint64_t *key) {
    uint32_t hash = FNV_32;
    uint64_t wide = FNV_64;
    for (int64_t i = 0; i < size; i++) {
        hash = fnv(hash, word[i]);
        wide = (wide ^ word[i]) * FNV_64_PRIME;
    }
    *key = (wide ^ (wide >> 32)) * SPREAD;
    return hash;
}

/* Add the features of a word to a bag; return 1 for a word, 0 for a label, which has none. */
static int put_word(const Dictionary *d, Bag *bag, const uint8_t *word, int64_t size, uint64_t key) {
    int32_t id = find(&d->words, key);
    int64_t mark = sizeof LABEL - 1, end = sizeof END - 1;
    if (id < 0 ? size >= mark && !memcmp(word, LABEL, (size_t)mark) : id >= d->num_words) return 0;
    if (id >= 0) put(bag, id);
    if (d->maxn > 0 && !(size == end && !memcmp(word, END, (size_t)end)))
        put_subwords(d, bag, word, size);
    return 1;
}

static int fits(const Dictionary *d) {
    if (d->words.bits < 1 || d->words.bits > 32) return 0;
    if (d->pruned && (d->rows.bits < 1 || d->rows.bits > 32)) return 0;
    return d->num_words >= 0 && ((d->maxn <= 0 && d->word_ngrams <= 1) || d->buckets > 0);
}

/* Write the features of all documents, concatenated, and the number of each document. Words are split as by
   Dictionary::readWord, except that a line end is white space like any other. hashes is a buffer of size + 1
   numbers. Returns the number of features, -1 if the ends are out of range, or -2 if there are more than room.
   NumPy: features.py. */
CORE_EXPORT int64_t fasttext_features(const Dictionary *d, const uint8_t *text, int64_t size,
                                      const int64_t *ends, int64_t documents, uint64_t *hashes,
                                      int32_t *features, int64_t room, int64_t *counts) {
    if (!fits(d)) return -1;
    Bag bag = {features, 0, room, 0};
    int64_t at = 0;
    for (int64_t i = 0; i < documents; i++) {
        if (ends[i] < at || ends[i] > size) return -1;
        int64_t words = 0, before = bag.count;
        for (int ended = 0; !ended;) {
            while (at < ends[i] && is_space(text[at])) at++;
            int64_t first = at;
            while (at < ends[i] && !is_space(text[at])) at++;
            const uint8_t *word = text + first;
            int64_t length = at - first, end = sizeof END - 1;
            if (!length) {
                word = (const uint8_t *)END;
                length = end;
            }
            ended = length == end && !memcmp(word, END, (size_t)end);
            uint64_t key;
            uint32_t hash = read_word_bytes(word, length, &key);
            if (put_word(d, &bag, word, length, key)) /* fastText sign-extends the hash. */
                hashes[words++] = (uint64_t)(int64_t)(int32_t)hash;
        }
        at = ends[i];
        for (int64_t w = 0; w < words && d->word_ngrams > 1; w++) {
            uint64_t run = hashes[w];
            for (int64_t j = w + 1; j < words && j < w + d->word_ngrams; j++) {
                run = run * RUN + hashes[j];
                put_bucket(d, &bag, run % (uint64_t)d->buckets);
            }
        }
        counts[i] = bag.count - before;
    }
    return bag.full ? -2 : bag.count;
}

/* A row has D numbers, perhaps unaligned in a mapped file, or P codes: product quantisation (Jégou et al. 2011),
   in which each part of a row is the centroid that its code names, times the row's norm. */
typedef struct {
    const uint8_t *values; /* D single-precision numbers of each row; NULL: there are codes */
    const uint8_t *codes;  /* P of each row */
    const float *centroids, *norms;
    const uint8_t *norm_codes; /* of each row */
    int64_t rows, dim, parts, part_size;
} Matrix;

static inline void add_values(const Matrix *m, int64_t row, float *restrict sum) {
    const uint8_t *values = m->values + row * m->dim * (int64_t)sizeof(float);
    for (int64_t c = 0; c < m->dim; c++) {
        float value;
        memcpy(&value, values + c * (int64_t)sizeof value, sizeof value);
        sum[c] += value;
    }
}

static inline void add_parts(const Matrix *m, int64_t row, float *restrict sum) {
    const uint8_t *codes = m->codes + row * m->parts;
    float norm = m->norms[m->norm_codes[row]];
    for (int64_t p = 0, first = 0; p < m->parts; p++, first += m->part_size) {
        int64_t size = p == m->parts - 1 ? m->dim - first : m->part_size;
        const float *restrict centroid = m->centroids + 256 * first + codes[p] * size;
        for (int64_t c = 0; c < size; c++) sum[first + c] += norm * centroid[c];
    }
}

/* Sum the rows of each bag from left to right. NumPy: sum_in_numpy of predictions.py. */
CORE_EXPORT int32_t fasttext_sums(const Matrix *m, const int32_t *rows, int64_t size,
                                  const int64_t *offsets, int64_t bags, float *sums) {
    if (m->dim < 1 || bags < 0 || offsets[0] < 0 || offsets[bags] > size) return 1;
    if (!m->values && (m->parts < 1 || m->part_size < 1 || m->dim <= (m->parts - 1) * m->part_size ||
                       m->dim > m->parts * m->part_size))
        return 1;
    for (int64_t b = 0; b < bags; b++)
        if (offsets[b] > offsets[b + 1]) return 1;
    for (int64_t i = 0; i < size; i++)
        if ((uint64_t)rows[i] >= (uint64_t)m->rows) return 1;
    const uint8_t *base = m->values ? m->values : m->codes;
    const int64_t step = m->values ? m->dim * (int64_t)sizeof(float) : m->parts;
    for (int64_t b = 0; b < bags; b++) {
        float *sum = sums + b * m->dim;
        for (int64_t c = 0; c < m->dim; c++) sum[c] = 0;
        for (int64_t i = offsets[b]; i < offsets[b + 1]; i++) {
            if (i + AHEAD < offsets[bags]) PREFETCH(base + rows[i + AHEAD] * step);
            if (m->values)
                add_values(m, rows[i], sum);
            else
                add_parts(m, rows[i], sum);
        }
    }
    return 0;
}

/* Multiply vectors (lines, D) by a table (D, L), each sum from the first term to the last, as in fastText. The
   order matters: fastText looks sigmoids up in a table, so a different last bit can give another entry. NumPy:
   scores_in_numpy of predictions.py. */
CORE_EXPORT int32_t fasttext_scores(const float *restrict table, int64_t dim, int64_t labels,
                                    const float *restrict vectors, int64_t lines,
                                    float *restrict scores) {
    if (dim < 1 || labels < 1 || lines < 0) return 1;
    for (int64_t i = 0; i < lines; i++) {
        float *restrict score = scores + i * labels;
        for (int64_t l = 0; l < labels; l++) score[l] = 0;
        for (int64_t c = 0; c < dim; c++) {
            const float value = vectors[i * dim + c], *restrict row = table + c * labels;
            for (int64_t l = 0; l < labels; l++) score[l] += row[l] * value;
        }
    }
    return 0;
}

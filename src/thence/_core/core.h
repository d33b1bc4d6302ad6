/* Declarations shared by all files of the core.

   Every function that Python calls is marked CORE_EXPORT, takes plain arrays with their lengths, and checks all
   numbers that could lead to an access outside of them, since they may come from a stranger's file. Functions
   keep no state between calls except in memory that Python owns, say who frees what they allocate, and depend
   on nothing but their arguments. */

#ifndef THENCE_CORE_H
#define THENCE_CORE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define CORE_EXPORT __declspec(dllexport)
#else
#define CORE_EXPORT __attribute__((visibility("default")))
#endif

/* Prefetch memory that is read a little later. */
#define PREFETCH(address) __builtin_prefetch(address)
enum { AHEAD = 8 }; /* How many items ahead to prefetch; a power of two. */

/* Words: words.c. */

typedef struct { /* The rules of word splitting. */
    const uint8_t *classes; /* of the first code points: LETTER and so on */
    const uint64_t *scramble;
    int64_t points;         /* how many code points have a class */
    uint64_t multiplier;
    int32_t rule;           /* BY_SPACE .. APART_WITH_SYMBOLS */
} Rules;

typedef struct { /* Numbers of hashes: an open hash table. */
    const uint64_t *hashes;
    const int32_t *numbers; /* -1 where a slot is free */
    int32_t bits;           /* there are 2^bits slots */
} Table;

/* One code point of UTF-8, and how many bytes it takes. */
uint32_t code_point(const uint8_t *at, const uint8_t *end, int *bytes);

/* Skip white space between words; return 0 at the end. Adds the skipped characters to place, and sets
   after_space if there were any. */
int skip_space(const Rules *rules, const uint8_t **at, const uint8_t *end, int64_t *place,
               int *after_space);

/* Read the word that begins here, adding its characters to place; return its hash. */
uint64_t next_word(const Rules *rules, const uint8_t **at, const uint8_t *end, int64_t *place,
                   int after_space);

/* The numbers of hashes, -1 for those that have none. */
void find_numbers(const Table *table, const uint64_t *hashes, int64_t size, int32_t *numbers);

/* N-grams: ngram.c. */

enum { MAX_ORDER = 100, BLOCK = 128 };

typedef struct { /* An n-gram that may be a context. What a query needs stands in one place: */
    uint32_t word;  /* its last word; */
    float log_prob; /* log p(word | the words before it); */
    float backoff;  /* log back-off weight of the n-gram as a context; */
    uint32_t start; /* the first n-gram of the order above that begins with it. */
} Node;

typedef struct { /* An n-gram of the highest order, which is no context. */
    uint32_t word;
    float log_prob;
} Leaf;

typedef struct { /* One order of a model, sorted by prefix and word. */
    const Node *nodes;  /* size + 1, the last to say where the followers of the one before it end; */
    const Leaf *leaves; /* or, of the highest order but not of unigrams, size leaves. */
    int64_t size;
    const uint32_t *slots; /* the numbers of what follows contexts with many followers: */
    int32_t bits;          /* an open hash table of 2^bits slots; 0: there is none. */
} Order;

/* Whether the numbers of a model are in range. */
int model_fits(const Order *orders, int32_t N, int64_t V);

/* The log-probability of a word in a state, which becomes that after the word. Of a unigram model
   the state is not looked at. */
double read_word(const Order *orders, int32_t N, int64_t word, int64_t *state);

/* The log-probabilities of up to BLOCK words after a state, which becomes that after the last of
   them; contexts may be NULL. */
void score_block(const Order *orders, int32_t N, const int32_t *words, const int32_t *places,
                 int32_t n, int64_t *state, double *log_probs, int64_t *contexts);

/* Rows of embedding tables: rows.c and averaging.c. */

enum { FAR_AHEAD = 32 }; /* As AHEAD, of short rows, which take little time to read. */

/* One step of Adagrad on a row, as in training/optimizers.py but for rounding: with g its gradient,

       a <- a + mean of g^2 over the row,   w <- w - rate (g / sqrt(a + epsilon) + decay w). */
static inline void adagrad_row(float *restrict w, float *total, const float *restrict g,
                               int64_t columns, float rate, float decay, float epsilon) {
    float part[8] = {0};
    int64_t c = 0;
    for (; c + 8 <= columns; c += 8)
        for (int k = 0; k < 8; k++) part[k] += g[c + k] * g[c + k];
    for (; c < columns; c++) part[0] += g[c] * g[c];
    float squares = ((part[0] + part[1]) + (part[2] + part[3])) +
                    ((part[4] + part[5]) + (part[6] + part[7]));
    *total += squares / (float)columns;
    float factor = 1 / sqrtf(*total + epsilon);
    for (c = 0; c < columns; c++) w[c] -= rate * (g[c] * factor + decay * w[c]);
}

#endif

/* The score of one text by an n-gram model, from its bytes to its log-probability.

   What happens one after another in Tokenizer.encode, NGram.score and TokenStore.sum_by_document, without
   anything in between: for programs that ask for one sentence at a time. */

#include "core.h"

enum { MOST_TARGETS = 4096 }; /* Longer texts go the long way, which is no slower for them. */

typedef struct {
    Rules rules;
    Table words;
    const int32_t *characters; /* the id of each code point, or -1; NULL: tokens are words */
    int64_t num_characters;
    int64_t unknown;           /* the id of the unknown symbol; -1: there is none */
    int64_t boundary;
    const Order *orders;
    int64_t V;
    int32_t N;
} Reader;

typedef struct {
    double log_prob;
    int64_t targets, unknown;
} TextScore;

/* The sum of numbers, in the order in which np.add.reduce adds them up: in blocks, so that rounding
   errors stay small (Higham 1993, "The accuracy of floating point summation"). */
static double pairwise_sum(const double *x, int64_t n) {
    double sum = 0;
    if (n < 8) {
        for (int64_t i = 0; i < n; i++) sum += x[i];
        return sum;
    }
    if (n > 128) {
        int64_t half = n / 2 - n / 2 % 8;
        return pairwise_sum(x, half) + pairwise_sum(x + half, n - half);
    }
    double r[8];
    int64_t i = 8;
    for (int k = 0; k < 8; k++) r[k] = x[k];
    for (; i < n - n % 8; i += 8)
        for (int k = 0; k < 8; k++) r[k] += x[i + k];
    sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    for (; i < n; i++) sum += x[i];
    return sum;
}

/* Write the ids of a text, -1 for symbols that have none; return how many, or -1 for too many. */
static int64_t read_text(const Reader *reader, const uint8_t *text, int64_t size, int32_t *ids) {
    const uint8_t *at = text, *end = text + size;
    int64_t count = 0, place = 0;
    if (reader->characters) {
        for (int bytes; at < end; at += bytes) {
            uint32_t point = code_point(at, end, &bytes);
            if (count == MOST_TARGETS - 1) return -1;
            ids[count++] = (int64_t)point < reader->num_characters ? reader->characters[point] : -1;
        }
        return count;
    }
    uint64_t hashes[MOST_TARGETS];
    int after_space = 1;
    for (; skip_space(&reader->rules, &at, end, &place, &after_space); after_space = 0) {
        if (count == MOST_TARGETS - 1) return -1;
        hashes[count++] = next_word(&reader->rules, &at, end, &place, after_space);
    }
    find_numbers(&reader->words, hashes, count, ids);
    return count;
}

/* Score a text as a document of its own. Returns 0, or -1 if the text has to go the long way: it is too
   long, or a symbol of it has no id. NumPy: NGram.score(Tokenizer.encode(text)). */
CORE_EXPORT int32_t text_score(const Reader *reader, const uint8_t *text, int64_t size,
                               TextScore *score) {
    const Order *orders = reader->orders;
    int64_t V = reader->V;
    int32_t N = reader->N;
    if (!model_fits(orders, N, V) || reader->unknown >= V || reader->boundary < 0 ||
        reader->boundary >= V || V > INT32_MAX || reader->words.bits < 1 || reader->words.bits > 32)
        return -1;
    int32_t ids[MOST_TARGETS];
    double log_probs[MOST_TARGETS];
    int64_t state[MAX_ORDER], size_in_ids = read_text(reader, text, size, ids);
    if (size_in_ids < 0) return -1;
    int32_t places[BLOCK], targets = (int32_t)size_in_ids, unknown = 0;
    for (int32_t i = 0; i < targets; i++) {
        if (ids[i] < 0) ids[i] = (int32_t)reader->unknown;
        if (ids[i] < 0 || ids[i] >= V) return -1;
        unknown += ids[i] == reader->unknown;
    }
    ids[targets++] = (int32_t)reader->boundary;
    for (int32_t k = 0; k < N; k++) state[k] = -1;
    for (int32_t at = 0; at < targets; at += BLOCK) {
        int32_t n = targets - at < BLOCK ? targets - at : BLOCK;
        for (int32_t i = 0; i < n; i++) places[i] = at + i;
        state[0] = at ? ids[at - 1] : (int32_t)reader->boundary;
        score_block(orders, N, ids + at, places, n, state, log_probs + at, NULL);
    }
    score->log_prob = log_probs[0] + pairwise_sum(log_probs + 1, targets - 1);
    score->targets = targets;
    score->unknown = unknown;
    return 0;
}

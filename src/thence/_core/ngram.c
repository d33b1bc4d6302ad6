/* Queries of a smoothed n-gram model: scores, states and distributions.

   A model is a table per order, sorted by key = prefix * V + word, where prefix is the number of the
   n-gram without its last word in the order below (models/ngram/counting.py). With starts[p] the
   first n-gram of the order above whose prefix is p, what follows a context is one range, as in a
   trie of sorted arrays (Heafield 2011, "KenLM: faster and smaller language model queries",
   section 3.2).

   The state is the number of the n-gram of each length 1 .. N-1 that ends at the last word, or -1.
   The log-probability of a word w is (Katz's recursion, from the shortest context to the longest)

       l = log p(w);  for each length k = 1 .. N-1 with state[k] >= 0:
           l += log backoff(state[k]);  if the n-gram (state[k], w) exists: l = its log p

   which equals NGram.score, NGram.step and NGram._walk of models/ngram/model.py, to the bit. */

#include "core.h"

/* Fill starts, prefixes + 1 entries, of an order below from the sorted keys of the next; 0, or -1 if
   the keys do not ascend or lie outside of [0, prefixes * V). NumPy: np.searchsorted(keys,
   np.arange(prefixes + 1) * V) and the checks of models/ngram/model.py. */
CORE_EXPORT int32_t ngram_index(const int64_t *keys, int64_t size, int64_t prefixes, int64_t V,
                                uint32_t *starts) {
    if (size < 0 || size > UINT32_MAX || prefixes < 0 || V < 1 || prefixes > INT64_MAX / V) return -1;
    int64_t prefix = 0, bound = V, before = -1; /* bound = (prefix + 1) * V */
    starts[0] = 0;
    for (int64_t i = 0; i < size; i++) {
        if (keys[i] <= before || keys[i] >= prefixes * V) return -1;
        before = keys[i];
        for (; before >= bound; bound += V) starts[++prefix] = (uint32_t)i;
    }
    while (prefix < prefixes) starts[++prefix] = (uint32_t)size;
    return 0;
}

/* The number of the n-gram (prefix, word) in the order above, or -1. */
static inline int64_t find(const Order *below, const Order *above, int64_t prefix, int64_t word,
                           int64_t V) {
    const int64_t *keys = above->keys, wanted = prefix * V + word;
    uint32_t low = below->starts[prefix];
    uint32_t count = below->starts[prefix + 1] - low;
    while (count > 1) { /* Without branches that depend on what is found: nobody can guess them. */
        uint32_t half = count / 2;
        low += keys[low + half] <= wanted ? half : 0;
        count -= half;
    }
    return count && keys[low] == wanted ? (int64_t)low : -1;
}

double read_word(const Order *orders, int32_t N, int64_t V, int64_t word, int64_t *state) {
    double log_prob = orders[0].log_probs[word];
    int64_t before = state[0]; /* The state of length k, kept while that of k + 1 is made of it. */
    if (N > 1) state[0] = word;
    for (int32_t k = 1; k < N; k++) {
        int64_t found = -1;
        if (before >= 0) {
            log_prob += orders[k - 1].log_backoffs[before];
            found = find(&orders[k - 1], &orders[k], before, word, V);
            if (found >= 0) log_prob = orders[k].log_probs[found];
        }
        if (k < N - 1) {
            before = state[k];
            state[k] = found;
        }
    }
    return log_prob;
}

int model_fits(const Order *orders, int32_t N, int64_t V) {
    return N >= 1 && N <= MAX_ORDER && V >= 1 && orders[0].size == V;
}

static int state_fits(const Order *orders, int32_t N, const int64_t *state) {
    for (int32_t k = 0; k < N - 1; k++)
        if (state[k] < -1 || state[k] >= orders[k].size) return 0;
    return 1;
}

/* Write the log-probability of every target, ids[1 ..], in nats; 0, or -1 if something does not fit.

   offsets[d] is the place in ids of the first target of document d, and offsets[documents] that
   after the last one; without any documents context is carried over the whole text. If contexts is
   not NULL it gets the state before each target, N - 1 numbers. NumPy: NGram.score, NGram.contexts. */
CORE_EXPORT int32_t ngram_score(const Order *orders, int32_t N, int64_t V, const int32_t *ids,
                                int64_t size, const int64_t *offsets, int64_t documents,
                                double *log_probs, int64_t *contexts) {
    if (!model_fits(orders, N, V) || size < 1 || ids[0] < 0 || ids[0] >= V) return -1;
    int64_t state[MAX_ORDER], document = 0;
    for (int32_t k = 0; k < N; k++) state[k] = -1;
    state[0] = ids[0];
    for (int64_t i = 1; i < size; i++) {
        if (document < documents && i == offsets[document]) {
            document++;
            for (int32_t k = 1; k < N; k++) state[k] = -1; /* Only the boundary before it is left. */
        }
        if (ids[i] < 0 || ids[i] >= V) return -1;
        if (contexts)
            for (int32_t k = 0; k < N - 1; k++) *contexts++ = state[k];
        log_probs[i - 1] = read_word(orders, N, V, ids[i], state);
    }
    return 0;
}

/* Read ids (rows, time) one after another from states (rows, N - 1), in place; 0, or -1 if something
   does not fit. NumPy: the states of NGram.step. */
CORE_EXPORT int32_t ngram_advance(const Order *orders, int32_t N, int64_t V, const int64_t *ids,
                                  int64_t rows, int64_t time, int64_t *states) {
    if (!model_fits(orders, N, V)) return -1;
    int64_t none[1] = {-1};
    for (int64_t row = 0; row < rows; row++, states += N - 1) {
        if (!state_fits(orders, N, states)) return -1;
        for (int64_t i = 0; i < time; i++, ids++) {
            if (*ids < 0 || *ids >= V) return -1;
            read_word(orders, N, V, *ids, N > 1 ? states : none);
        }
    }
    return 0;
}

/* Write the log-probabilities (rows, V) of the next word after each of some states (rows, N - 1); 0,
   or -1 if something does not fit. NumPy: NGram.step. */
CORE_EXPORT int32_t ngram_distributions(const Order *orders, int32_t N, int64_t V,
                                        const int64_t *states, int64_t rows, double *log_probs) {
    if (!model_fits(orders, N, V)) return -1;
    for (int64_t row = 0; row < rows; row++, states += N - 1, log_probs += V) {
        if (!state_fits(orders, N, states)) return -1;
        for (int64_t word = 0; word < V; word++) log_probs[word] = orders[0].log_probs[word];
        for (int32_t k = 0; k < N - 1; k++) {
            if (states[k] < 0) continue;
            const Order *above = &orders[k + 1];
            double backoff = orders[k].log_backoffs[states[k]];
            for (int64_t word = 0; word < V; word++) log_probs[word] += backoff;
            uint32_t end = orders[k].starts[states[k] + 1];
            for (uint32_t at = orders[k].starts[states[k]]; at < end; at++)
                log_probs[above->keys[at] - states[k] * V] = above->log_probs[at];
        }
    }
    return 0;
}

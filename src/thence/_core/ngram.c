/* Queries of a smoothed n-gram model: scores, states and distributions.

   A model is a table per order, sorted by key = prefix * V + word, where prefix is the number of the
   n-gram without its last word in the order below (models/ngram/counting.py). Here it becomes a trie
   of sorted arrays (Heafield 2011, "KenLM: faster and smaller language model queries", section 3.2):
   what follows a context is one range of the order above, in which a word is looked for.

   The state is the number of the n-gram of each length 1 .. N-1 that ends at the last word, or -1.
   The log-probability of a word w is (Katz's recursion, from the shortest context to the longest)

       l = log p(w);  for each length k = 1 .. N-1 with state[k] >= 0:
           l += log backoff(state[k]);  if the n-gram (state[k], w) exists: l = its log p

   which equals NGram.score, NGram.step and NGram._walk of models/ngram/model.py, to the bit. */

#include <math.h>

#include "core.h"

/* Make the nodes or leaves of one order from its table, and fill in the starts of the order below,
   which has `prefixes` n-grams (below is NULL for unigrams, of which there are V). Returns 0, or -1
   if keys do not ascend, lie outside of [0, prefixes * V), or a logarithm is no number. */
CORE_EXPORT int32_t ngram_build(const int64_t *keys, const float *log_probs, const float *backoffs,
                                int64_t size, int64_t prefixes, int64_t V, Node *below, Node *nodes,
                                Leaf *leaves) {
    if (size < 0 || size >= UINT32_MAX || prefixes < 0 || V < 1 || V > UINT32_MAX ||
        prefixes > INT64_MAX / V - 1 || (!below && size != V))
        return -1;
    int64_t prefix = 0, first = 0, before = -1; /* first = prefix * V */
    if (below) below[0].start = 0;
    for (int64_t i = 0; i < size; i++) {
        int64_t key = keys[i]; /* Read once: in a file, it may be changed meanwhile. */
        if (key <= before || key >= prefixes * V) return -1;
        before = key;
        for (; before >= first + V; first += V)
            if (below) below[++prefix].start = (uint32_t)i;
        uint32_t word = (uint32_t)(before - first);
        /* Not a number, or above 0 without bound; minus infinity is log 0. */
        if (!(log_probs[i] < INFINITY) || (backoffs && !(backoffs[i] < INFINITY))) return -1;
        if (leaves) leaves[i] = (Leaf){word, log_probs[i]};
        else nodes[i] = (Node){word, log_probs[i], backoffs ? backoffs[i] : 0, 0};
    }
    if (below) while (prefix < prefixes) below[++prefix].start = (uint32_t)size;
    return 0;
}

/* The number of the n-gram of a context and a word, of order k + 2 where the context has k + 1 words;
   -1 if it is none. The search has no branches that depend on what is found: nobody could guess them. */
#define SEARCH(entries)                                              \
    while (count > 1) {                                              \
        uint32_t half = count / 2;                                   \
        low += (entries)[low + half].word <= word ? half : 0;        \
        count -= half;                                               \
    }                                                                \
    return count && (entries)[low].word == word ? (int64_t)low : -1;

static inline int64_t find_node(const Node *nodes, uint32_t low, uint32_t count, uint32_t word) {
    SEARCH(nodes)
}

static inline int64_t find_leaf(const Leaf *leaves, uint32_t low, uint32_t count, uint32_t word) {
    SEARCH(leaves)
}

double read_word(const Order *orders, int32_t N, int64_t word, int64_t *state) {
    double log_prob = orders[0].nodes[word].log_prob;
    int64_t before = state[0]; /* The state of length k, kept while that of k + 1 is made of it. */
    if (N > 1) state[0] = word;
    for (int32_t k = 1; k < N; k++) {
        int64_t found = -1;
        if (before >= 0) {
            const Node *context = &orders[k - 1].nodes[before];
            uint32_t low = context->start, count = context[1].start - low;
            log_prob += context->backoff;
            if (orders[k].leaves) {
                found = find_leaf(orders[k].leaves, low, count, (uint32_t)word);
                if (found >= 0) log_prob = orders[k].leaves[found].log_prob;
            } else {
                found = find_node(orders[k].nodes, low, count, (uint32_t)word);
                if (found >= 0) log_prob = orders[k].nodes[found].log_prob;
            }
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

/* Look for words in ranges of an order, a step of each search in turn: while one waits for memory, the
   others go on. low[i] becomes the place of word i in its range of count[i] entries, or before it. */
static void search_together(const Order *order, const int32_t *words, int32_t n, uint32_t *low,
                            uint32_t *count) {
    int32_t active[BLOCK], left = 0;
    for (int32_t i = 0; i < n; i++) {
        active[left] = i;
        left += count[i] > 1;
    }
    while (left) {
        int32_t still = 0;
        for (int32_t a = 0; a < left; a++) {
            int32_t i = active[a];
            uint32_t half = count[i] / 2, middle = low[i] + half;
            uint32_t word = order->leaves ? order->leaves[middle].word : order->nodes[middle].word;
            low[i] = word <= (uint32_t)words[i] ? middle : low[i];
            count[i] -= half;
            middle = low[i] + count[i] / 2;
            if (order->leaves) PREFETCH(&order->leaves[middle]);
            else PREFETCH(&order->nodes[middle]);
            active[still] = i;
            still += count[i] > 1;
        }
        left = still;
    }
}

/* The log-probabilities of the words of a block, order by order; see core.h. places[i] is how many
   words of its own document stand before word i, which bounds its contexts. */
void score_block(const Order *orders, int32_t N, const int32_t *words, const int32_t *places,
                 int32_t n, int64_t *state, double *log_probs, int64_t *contexts) {
    int64_t found[BLOCK + 1]; /* found[i + 1] is the n-gram of the order that ends with word i. */
    uint32_t low[BLOCK], count[BLOCK];
    for (int32_t i = 0; i < n; i++) {
        log_probs[i] = orders[0].nodes[words[i]].log_prob;
        found[i + 1] = words[i];
    }
    for (int32_t k = 1; k < N; k++) { /* Contexts of k words, n-grams of k + 1. */
        const Order *order = &orders[k];
        found[0] = state[k - 1];
        state[k - 1] = found[n];
        for (int32_t i = 0; i < n; i++) {
            int64_t context = places[i] >= k - 1 ? found[i] : -1;
            if (contexts) contexts[(int64_t)i * (N - 1) + k - 1] = context;
            low[i] = count[i] = 0;
            if (context < 0) continue;
            const Node *node = &orders[k - 1].nodes[context];
            log_probs[i] += node->backoff;
            low[i] = node->start;
            count[i] = node[1].start - node->start;
            if (order->leaves) PREFETCH(&order->leaves[low[i] + count[i] / 2]);
            else PREFETCH(&order->nodes[low[i] + count[i] / 2]);
        }
        search_together(order, words, n, low, count);
        for (int32_t i = 0; i < n; i++) {
            found[i + 1] = -1;
            if (!count[i]) continue;
            uint32_t word = order->leaves ? order->leaves[low[i]].word : order->nodes[low[i]].word;
            if (word != (uint32_t)words[i]) continue;
            found[i + 1] = low[i];
            log_probs[i] = order->leaves ? order->leaves[low[i]].log_prob : order->nodes[low[i]].log_prob;
        }
    }
}

/* Write the log-probability of every target, ids[1 ..], in nats; 0, or -1 if something does not fit.

   offsets[d] is the place in ids of the first target of document d, and offsets[documents] that
   after the last one, the end; context begins at the symbol before a document. If contexts is not NULL
   it gets the state before each target, N - 1 numbers. NumPy: NGram.score, NGram.contexts. */
CORE_EXPORT int32_t ngram_score(const Order *orders, int32_t N, int64_t V, const int32_t *ids,
                                int64_t size, const int64_t *offsets, int64_t documents,
                                double *log_probs, int64_t *contexts) {
    if (!model_fits(orders, N, V) || size < 1 || offsets[0] != 1 || offsets[documents] != size) return -1;
    for (int64_t i = 0; i < size; i++)
        if (ids[i] < 0 || ids[i] >= V) return -1;
    int64_t state[MAX_ORDER], next = 0, first = 0;
    int32_t places[BLOCK], place = 0;
    for (int32_t k = 0; k < N; k++) state[k] = -1;
    for (int64_t at = 1; at < size; at += BLOCK) {
        int32_t n = size - at < BLOCK ? (int32_t)(size - at) : BLOCK;
        for (int32_t i = 0; i < n; i++) {
            while (next < documents && offsets[next] <= at + i) {
                if (offsets[next + 1] < offsets[next]) return -1;
                next++, place = 0;
            }
            places[i] = place;
            place += place < MAX_ORDER;
        }
        state[0] = ids[at - 1];
        score_block(orders, N, ids + at, places, n, state, log_probs + first,
                    contexts ? contexts + first * (N - 1) : NULL);
        first += n;
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
            read_word(orders, N, *ids, N > 1 ? states : none);
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
        for (int64_t word = 0; word < V; word++) log_probs[word] = orders[0].nodes[word].log_prob;
        for (int32_t k = 0; k < N - 1; k++) {
            if (states[k] < 0) continue;
            const Node *context = &orders[k].nodes[states[k]];
            double backoff = context->backoff;
            for (int64_t word = 0; word < V; word++) log_probs[word] += backoff;
            for (uint32_t at = context->start; at < context[1].start; at++) {
                if (orders[k + 1].leaves)
                    log_probs[orders[k + 1].leaves[at].word] = orders[k + 1].leaves[at].log_prob;
                else log_probs[orders[k + 1].nodes[at].word] = orders[k + 1].nodes[at].log_prob;
            }
        }
    }
    return 0;
}

/* Queries of a smoothed n-gram model: scores, states and distributions.

   A model is a table per order, sorted by key = prefix * V + word, where prefix is the number of the
   n-gram without its last word in the order below (models/ngram/counting.py). Here it becomes a trie
   of sorted arrays (Heafield 2011, "KenLM: faster and smaller language model queries", section 3.2):
   the followers of a context are one range of the order above, in which a word is searched. For long
   ranges a hash table gives its position (section 3.1, "probing").

   The state is the number of the n-gram of each length 1 .. N-1 that ends at the last word, or -1.
   The log-probability of a word w is (Katz's recursion, from the shortest context to the longest)

       l = log p(w);  for each length k = 1 .. N-1 with state[k] >= 0:
           l += log backoff(state[k]);  if the n-gram (state[k], w) exists: l = its log p

   which equals NGram.score, NGram.step and NGram._walk of models/ngram/model.py, to the bit. */

#include <math.h>

#include "core.h"

#define FREE UINT32_MAX /* A slot that holds no n-gram. */
enum { MANY = 16 }; /* For fewer followers a binary search is as fast as the hash table. */

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

/* How many n-grams of an order follow contexts that have many followers; `below` is the order of the
   contexts. */
CORE_EXPORT int64_t ngram_many(const Node *below, int64_t prefixes) {
    int64_t found = 0;
    for (int64_t i = 0; i < prefixes; i++) {
        uint32_t count = below[i + 1].start - below[i].start;
        found += count >= MANY ? count : 0;
    }
    return found;
}

static inline uint32_t word_at(const Order *order, uint32_t place) {
    return order->leaves ? order->leaves[place].word : order->nodes[place].word;
}

static inline uint64_t slot_of(int64_t context, uint32_t word, int32_t bits) {
    return ((uint64_t)context << 32 | word) * 0x9E3779B97F4A7C15u >> (64 - bits);
}

/* Put the numbers of these n-grams into the slots of an order, more of them than n-grams, all free.
   Returns 0, or -1 if there are too few. */
CORE_EXPORT int32_t ngram_index(const Order *order, const Node *below, int64_t prefixes,
                                uint32_t *slots) {
    if (order->bits < 1 || order->bits > 32 || ngram_many(below, prefixes) >> order->bits) return -1;
    const uint64_t mask = ((uint64_t)1 << order->bits) - 1;
    for (int64_t context = 0; context < prefixes; context++) {
        uint32_t first = below[context].start, last = below[context + 1].start;
        if (last - first < MANY) continue;
        for (uint32_t place = first; place < last; place++) {
            uint64_t slot = slot_of(context, word_at(order, place), order->bits);
            while (slots[slot] != FREE) slot = (slot + 1) & mask;
            slots[slot] = place;
        }
    }
    return 0;
}

/* Return the number of the n-gram of a context and a word from the hash table, or -1. An entry belongs to the
   context if it is within the context's range. */
static inline int64_t look_up(const Order *order, uint64_t slot, uint32_t low, uint32_t count,
                              uint32_t word) {
    const uint64_t mask = ((uint64_t)1 << order->bits) - 1;
    for (;; slot = (slot + 1) & mask) {
        uint32_t place = order->slots[slot];
        if (place == FREE) return -1;
        if (place - low < count && word_at(order, place) == word) return place;
    }
}

/* Return the number of the n-gram of a context (with its range of followers) and a word, or -1. The binary search
   has no branches that depend on the data, since the processor could not predict them. */
static inline int64_t find(const Order *order, int64_t context, uint32_t low, uint32_t count,
                           uint32_t word) {
    if (count >= MANY && order->bits)
        return look_up(order, slot_of(context, word, order->bits), low, count, word);
    while (count > 1) {
        uint32_t half = count / 2;
        low += word_at(order, low + half) <= word ? half : 0;
        count -= half;
    }
    return count && word_at(order, low) == word ? (int64_t)low : -1;
}

static inline float log_prob_at(const Order *order, int64_t place) {
    return order->leaves ? order->leaves[place].log_prob : order->nodes[place].log_prob;
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
            found = find(&orders[k], before, low, count, (uint32_t)word);
            if (found >= 0) log_prob = log_prob_at(&orders[k], found);
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

/* Binary search for many words at once, one step of each search in turn, so that their memory accesses overlap.
   low[i] becomes the position of word i in its range of count[i] entries, or the one before it. */
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
            uint32_t word = word_at(order, middle);
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
    uint32_t low[BLOCK], count[BLOCK], slots[BLOCK];
    int32_t hashed[BLOCK];
    for (int32_t i = 0; i < n; i++) {
        log_probs[i] = orders[0].nodes[words[i]].log_prob;
        found[i + 1] = words[i];
    }
    for (int32_t k = 1; k < N; k++) { /* Contexts of k words, n-grams of k + 1. */
        const Order *order = &orders[k];
        found[0] = state[k - 1];
        state[k - 1] = found[n];
        int32_t many = 0;
        for (int32_t i = 0; i < n; i++) {
            int64_t context = places[i] >= k - 1 ? found[i] : -1;
            if (contexts) contexts[(int64_t)i * (N - 1) + k - 1] = context;
            low[i] = count[i] = 0;
            if (context < 0) continue;
            const Node *node = &orders[k - 1].nodes[context];
            log_probs[i] += node->backoff;
            low[i] = node->start;
            count[i] = node[1].start - node->start;
            if (count[i] >= MANY && order->bits) {
                slots[i] = (uint32_t)slot_of(context, (uint32_t)words[i], order->bits);
                PREFETCH(order->slots + slots[i]);
                hashed[many++] = i;
                continue;
            }
            if (order->leaves) PREFETCH(&order->leaves[low[i] + count[i] / 2]);
            else PREFETCH(&order->nodes[low[i] + count[i] / 2]);
        }
        for (int32_t a = 0; a < many; a++) { /* The most likely entry, to prefetch it. */
            uint32_t place = order->slots[slots[hashed[a]]];
            if (place == FREE) continue;
            if (order->leaves) PREFETCH(&order->leaves[place]);
            else PREFETCH(&order->nodes[place]);
        }
        for (int32_t a = 0; a < many; a++) { /* The range becomes the found entry, or is empty. */
            int32_t i = hashed[a];
            int64_t place = look_up(order, slots[i], low[i], count[i], (uint32_t)words[i]);
            low[i] = place < 0 ? 0 : (uint32_t)place;
            count[i] = place >= 0;
        }
        search_together(order, words, n, low, count);
        for (int32_t i = 0; i < n; i++) {
            found[i + 1] = -1;
            if (!count[i] || word_at(order, low[i]) != (uint32_t)words[i]) continue;
            found[i + 1] = low[i];
            log_probs[i] = log_prob_at(order, low[i]);
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

/* Read one id from each of some states (rows, N - 1), which become those after it, and write its
   log-probability; 0, or -1 if something does not fit. NumPy: Queries.read. */
CORE_EXPORT int32_t ngram_read(const Order *orders, int32_t N, int64_t V, const int64_t *ids,
                               int64_t rows, int64_t *states, double *log_probs) {
    if (!model_fits(orders, N, V)) return -1;
    int64_t none[1] = {-1};
    for (int64_t row = 0; row < rows; row++, states += N - 1) {
        if (!state_fits(orders, N, states) || ids[row] < 0 || ids[row] >= V) return -1;
        log_probs[row] = read_word(orders, N, ids[row], N > 1 ? states : none);
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

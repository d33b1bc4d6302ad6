/* Context mixing: the probability of a symbol, one binary decision after another along its code, mixed from the
   predictions of many contexts, and learning from it (mixing.h). */

#include <math.h>
#include <string.h>

#include "mixing_vectors.h"

enum { OWN = 3 }; /* vectors of inputs: contexts, matches, and the constant */
_Static_assert(CONTEXTS == 19 && MATCHES == 2 && LANES == 8, "inputs are put into vectors one by one");
static const float FIRST_RATE = 0.02f, RATE = 0.003f, FINAL_RATE = 0.0007f, MAP_RATE = 0.02f;
static const float SMALLEST = 1e-5f; /* probability of a decision */
static const float SURE = 0.004f; /* mixing weights learn only from larger errors; smaller ones gain nothing */

typedef struct { /* One decision, with the intermediate results that learning needs. */
    int32_t node, depth, at; /* at: the node's place in its slots, 1 to 7 */
    uint8_t *slots[CONTEXTS];
    int32_t places[CONTEXTS];       /* of the contexts' states in their table, */
    Vector probs[OWN];              /* and the probabilities there; then those of matches */
    int32_t agrees[MATCHES];        /* the bit that a match expects, or -1 */
    Vector inputs[INPUTS / LANES], outputs;
    float *chosen[SETS], *final, *cells[MAPS];
    float fraction, mixed, prob;
} Decision;

static uint8_t NOTHING[8]; /* the slot of a context never seen */

/* A table's numbers at the places of the contexts, and two others. */
static INLINE void gather(const float *table, const int32_t *at, float a, float b, Vector *found) {
    for (int v = 0; v < OWN - 1; v++, at += LANES)
        found[v] = (Vector){table[at[0]], table[at[1]], table[at[2]], table[at[3]],
                            table[at[4]], table[at[5]], table[at[6]], table[at[7]]};
    found[OWN - 1] = (Vector){table[at[0]], table[at[1]], table[at[2]], a, b, 0.5f, 0.5f, 0.5f};
}

/* Return the slot of a context and node, among four neighbours. If it has none, it replaces the one with least
   evidence (insert), or nothing is known. All four are compared without branches, since a mispredicted branch
   costs more. */
static INLINE uint8_t *find(const Mixing *m, uint64_t h, int insert) {
    uint64_t at = h & (((uint64_t)1 << m->slot_bits) - 1);
    uint8_t check = (uint8_t)(h >> 56), *near = m->slots + 8 * (at & ~(uint64_t)3);
    const Slots slots = *(const Slots *)near;
    const Slots hits = ((slots & 0xFF) == check) & ((slots & 0xFF00) != 0) & (Slots){1, 2, 4, 8};
    int found = (int)((hits[0] | hits[2]) | (hits[1] | hits[3]));
    if (found) return near + 8 * __builtin_ctz((unsigned)found);
    if (!insert) return NOTHING;
    uint8_t *weakest = m->slots + 8 * at;
    for (int i = 1; i < 4; i++) {
        uint8_t *slot = m->slots + 8 * (at ^ (uint64_t)i);
        if (m->evidence[slot[1]] < m->evidence[weakest[1]]) weakest = slot;
    }
    memset(weakest, 0, 8);
    weakest[0] = check;
    return weakest;
}

/* Prefetch the slots of a symbol's decisions, one symbol ahead, and store their hashes. */
static INLINE void foresee(const Mixing *m, Position *known, int32_t symbol) {
    uint64_t mask = ((uint64_t)1 << m->slot_bits) - 1;
    for (int g = 0, at = m->starts[symbol]; at < m->starts[symbol + 1]; g++, at += GROUP)
        for (int i = 0; i < CONTEXTS; i++) {
            uint64_t h = known->slots[g][i] = hash(known->contexts[i], (uint64_t)m->nodes[at]);
            PREFETCH(m->slots + 8 * (h & mask));
        }
}

static INLINE int32_t row(int32_t of) { return of < ROWS ? of : ROWS - 1; }

/* The weight vectors for a decision, one of each set; rows of a set follow those of the set before. */
static INLINE void choose(const Position *known, const Decision *d, int order, int32_t *rows) {
    int depth = d->depth < 8 ? d->depth : 7, of_node = row(d->node);
    int near = known->lengths[0] < 16 ? known->lengths[0] : known->lengths[0] < 32 ? 16 : 17;
    if (d->agrees[0] < 0) near = 0;
    int first = 0;
    rows[0] = first + of_node, first += ROWS;
    rows[1] = first + row(known->last), first += ROWS;
    rows[2] = first + row(known->before), first += ROWS;
    rows[3] = first + ((near * 2 + (d->agrees[1] >= 0)) * 8 + depth), first += 18 * 2 * 8;
    rows[4] = first + order * 8 + depth, first += ORDERS * 8;
    int length = known->word_length < 16 ? known->word_length : 15;
    rows[5] = first + length * ROWS + (depth ? of_node : row(known->last));
}

/* Go to the slots of a group of decisions, by their hashes. */
static INLINE void enter(const Mixing *m, const uint64_t *hashes, int insert, Decision *d) {
    for (int i = 0; i < CONTEXTS; i++) d->slots[i] = find(m, hashes[i], insert);
    d->at = 1;
}

/* The places of a decision in the adaptive maps. */
static INLINE void map_places(const Mixing *m, const Position *known, int32_t node, uint64_t *found) {
    uint64_t size = (uint64_t)1 << m->map_bits, pair = hash((uint64_t)known->last, (uint64_t)node);
    found[0] = (uint64_t)node & (size - 1);
    found[1] = size + (pair >> (64 - m->map_bits));
    found[2] = 2 * size + (hash(pair, (uint64_t)known->before) >> (64 - m->map_bits));
}

/* Predict a decision: d has node, depth, at and slots; others are the other models' log-odds.

   The inputs are log-odds of contexts, matches and other models. Each of SETS weight vectors, chosen by a property
   of the context, gives a logistic mixture of them; a final weight vector mixes these. Adaptive probability maps
   then correct the result for systematic errors (secondary estimation in PAQ). */
static INLINE void predict(const Mixing *m, const Position *known, const float *others, Decision *d) {
    int order = 0;
    /* The adaptive maps are far apart in memory: prefetch them before computing the sums. */
    uint64_t found[MAPS];
    map_places(m, known, d->node, found);
    for (int i = 0; i < MAPS; i++)
        for (int c = 0; c < CELLS; c += CELLS / 2) PREFETCH(m->maps + found[i] * CELLS + c);

    for (int i = 0; i < CONTEXTS; i++) {
        int state = d->slots[i][d->at];
        d->places[i] = i * STATES + state;
        if (i < ORDERS) order = state ? i : order;
    }
    const int32_t *range = m->ranges + 3 * d->node;
    float sure[MATCHES], signs[MATCHES];
    for (int i = 0; i < MATCHES; i++) {
        int32_t rank = known->expected[i] < 0 ? -1 : m->ranks[known->expected[i]];
        int agrees = rank >= range[0] && rank < range[2];
        d->agrees[i] = agrees ? rank >= range[1] : -1;
        sure[i] = m->match_probs[i * LENGTHS + known->lengths[i]];
        signs[i] = !agrees ? 0 : d->agrees[i] ? 1 : -1;
    }
    gather(m->probs, d->places, sure[0], sure[1], d->probs);
    for (int v = 0; v < OWN; v++) {
        d->inputs[v] = d->probs[v] / (1 - d->probs[v]);
        take_logs(d->inputs + v);
    }
    d->inputs[OWN - 1] *= (Vector){1, 1, 1, signs[0], signs[1], 0, 0, 0};
    d->inputs[OWN - 1] += (Vector){0, 0, 0, 0, 0, 0.3f, 0, 0}; /* A bias input, about as large as the others. */
    for (int v = OWN; v < m->inputs / LANES; v++) d->inputs[v] = (Vector){0};
    for (int i = 0; i < m->models; i++) ((float *)d->inputs)[CONTEXTS + MATCHES + 1 + i] = others[i];

    int32_t rows[SETS];
    choose(known, d, order, rows);
    d->final = m->final_weights + LANES * row(d->node);
    float said[LANES] = {0}, mixed = 0;
    for (int s = 0; s < SETS; s++) {
        const float *weights = d->chosen[s] = m->weights + (int64_t)rows[s] * m->inputs;
        Vector sums = {0};
        for (int v = 0; v < m->inputs / LANES; v++) sums += ((const Vector *)weights)[v] * d->inputs[v];
        said[s] = bounded(sum_of(&sums), 12);
        mixed += d->final[s] * said[s];
    }
    d->outputs = (Vector){said[0], said[1], said[2], said[3], said[4], said[5], 0, 0};
    Vector prob = (Vector){0} + bounded(mixed, 12);
    squash(&prob);
    d->mixed = prob[0];

    float at = (bounded(mixed, 7.99f) + 8) * 2, maps[MAPS];
    int cell = (int)at;
    d->fraction = at - (float)cell;
    for (int i = 0; i < MAPS; i++) {
        float *cells = d->cells[i] = m->maps + found[i] * CELLS + cell;
        maps[i] = cells[0] * (1 - d->fraction) + cells[1] * d->fraction;
    }
    /* Fixed weights of the mixture and its three corrections. */
    float p = 0.25f * d->mixed + 0.15f * maps[0] + 0.3f * maps[1] + 0.3f * maps[2];
    d->prob = p < SMALLEST ? SMALLEST : p > 1 - SMALLEST ? 1 - SMALLEST : p;
}

/* Learn from a decision that was predicted; slowing is added to the rates, and falls as symbols are learned. */
static INLINE void learn(const Mixing *m, const Position *known, Decision *d, int bit, float slowing) {
    float came = (float)bit;
    if (fabsf(came - d->mixed) > SURE) {
        Vector rates = d->outputs;
        squash(&rates);
        rates = (came - rates) * (RATE + slowing);
        *(Vector *)d->final += (came - d->mixed) * (FINAL_RATE + slowing) * d->outputs;
        for (int s = 0; s < SETS; s++)
            for (int v = 0; v < m->inputs / LANES; v++)
                ((Vector *)d->chosen[s])[v] += rates[s] * d->inputs[v];
    }
    for (int i = 0; i < MAPS; i++) {
        d->cells[i][0] += (came - d->cells[i][0]) * MAP_RATE * (1 - d->fraction);
        d->cells[i][1] += (came - d->cells[i][1]) * MAP_RATE * d->fraction;
    }
    float *asked[MATCHES];
    for (int i = 0; i < MATCHES; i++) asked[i] = m->match_counts + i * LENGTHS + known->lengths[i];
    Vector counts[OWN], bits = (Vector){0} + came;
    gather(m->counts, d->places, *asked[0], *asked[1], counts);
    for (int v = 0; v < OWN; v++) {
        if (v == OWN - 1) bits[3] = d->agrees[0] == bit, bits[4] = d->agrees[1] == bit;
        move(d->probs + v, counts + v, &bits);
    }
    const float *probs = (const float *)d->probs, *seen = (const float *)counts;
    for (int i = 0; i < CONTEXTS; i++) {
        int place = d->places[i], state = place - i * STATES;
        m->probs[place] = state ? probs[i] : 0.5f; /* State 0, a new context, stays at 0.5. */
        m->counts[place] = seen[i];
        d->slots[i][d->at] = m->next[2 * state + bit];
    }
    for (int i = 0; i < MATCHES; i++)
        if (d->agrees[i] >= 0) {
            m->match_probs[i * LENGTHS + known->lengths[i]] = probs[CONTEXTS + i];
            *asked[i] = seen[CONTEXTS + i];
        }
}

/* Whether the sizes of a model are in range. */
static int fits(const Mixing *m) {
    if (m->symbols < 2 || m->models < 0 || m->models > MODELS) return 0;
    if (m->inputs % LANES || m->inputs < CONTEXTS + MATCHES + 1 + m->models || m->inputs > INPUTS) return 0;
    return m->slot_bits >= 2 && m->match_bits >= 1 && m->map_bits >= 1 && m->slot_bits < 40 &&
           m->match_bits < 32 && m->map_bits < 32;
}

typedef struct { /* The arguments of mixing_read. */
    const int32_t *text, *history;
    int64_t begin, end, low, size;
    int32_t teach;
    const float *others;
    double *log_probs;
} Reading;

static INLINE void read_text(const Mixing *m, const Reading *r) {
    const int32_t *text = r->text, boundary = m->symbols - 1;
    const float *others = r->others;
    /* Positions of a symbol and the two after it, computed ahead so that their memory can be prefetched. */
    Position positions[4];
    int64_t lows[4], end = r->end;
    Decision d = {0};
    for (int64_t t = r->begin - 2; t < end; t++) {
        if (t + 2 < end) { /* The match tables are prefetched two symbols ahead. */
            int64_t ahead = t + 2;
            Position *next = positions + (ahead & 3);
            const Position *before = ahead > r->begin ? positions + ((ahead - 1) & 3) : NULL;
            int64_t *low = lows + (ahead & 3);
            *low = before ? lows[(ahead - 1) & 3] : r->low;
            if (*low < 0 || (before && r->low < 0 && text[ahead - 1] == boundary))
                for (*low = ahead - 1; *low > 0 && text[*low] != boundary;) *low -= 1;
            look(m, text, *low, ahead, before, next);
            for (int i = 0; i < MATCHES; i++) if (next->keys[i] >= 0) PREFETCH(m->places + next->keys[i]);
        }
        if (t + 1 >= r->begin && t + 1 < end) {
            Position *next = positions + ((t + 1) & 3);
            foresee(m, next, text[t + 1]);
            for (int i = 0; i < MATCHES; i++) {
                int64_t place = next->keys[i] < 0 ? 0 : m->places[next->keys[i]];
                if (place > 0 && place < r->size) PREFETCH(r->history + place);
            }
        }
        if (t < r->begin) continue;
        Position *known = positions + (t & 3);
        match(m, text, lows[t & 3], t, r->history, r->teach ? t : r->size,
              t > r->begin ? positions + ((t - 1) & 3) : NULL, known);
        int32_t first = m->starts[text[t]], depth = m->starts[text[t] + 1] - first;
        float slowing = FIRST_RATE / (1 + (float)*m->learned * 0.001f);
        double sum = 0, product = 1; /* of the probabilities of decisions; logarithms take long */
        for (d.depth = 0; d.depth < depth; d.depth++) {
            int bit = m->bits[first + d.depth];
            d.node = m->nodes[first + d.depth];
            if (d.depth % GROUP == 0) enter(m, known->slots[d.depth / GROUP], r->teach, &d);
            predict(m, known, others, &d);
            product *= bit ? (double)d.prob : 1 - (double)d.prob;
            if (d.depth % 32 == 31) sum += log(product), product = 1; /* None is below SMALLEST. */
            if (r->teach) learn(m, known, &d, bit, slowing);
            d.at = 2 * d.at + bit;
            others += m->models;
        }
        r->log_probs[t - r->begin] = sum + log(product);
        if (!r->teach) continue;
        *m->learned += 1;
        for (int i = 0; i < MATCHES; i++) /* Store the position for later matches. */
            if (known->keys[i] >= 0) m->places[known->keys[i]] = (int32_t)t;
    }
}

#if defined(__x86_64__)
#include <cpuid.h>

/* Whether the processor, and the system, have AVX2. */
static int adds_eight(void) {
    static int known = -1;
    unsigned a, b, c, d;
    if (known >= 0) return known;
    if (!__get_cpuid(1, &a, &b, &c, &d) || ~c & (1u << 27 | 1u << 28)) return known = 0;
    __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0)); /* Which registers the system keeps. */
    if (~a & 6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return known = 0;
    return known = b >> 5 & 1;
}

__attribute__((target("avx2"))) static void read_wide(const Mixing *m, const Reading *r) {
    read_text(m, r);
}
#endif

/* The log-probabilities of text[begin] .. text[end - 1].

   low: before which nothing is looked at; -1: no further back than the last boundary (V - 1).
   teach: learn from each symbol once it has its score; history must then be the text itself.
   others: log-odds of bit 1, by other models, of each decision of each target (M in a row).
   Returns 0, or 1 where arguments do not fit. */
CORE_EXPORT int32_t mixing_read(const Mixing *m, const int32_t *text, int64_t begin, int64_t end,
                                int64_t low, const int32_t *history, int64_t size, int32_t teach,
                                const float *others, double *log_probs) {
    if (!fits(m) || begin < 1 || end < begin || (teach && history != text)) return 1;
    for (int64_t t = begin < WINDOW ? 0 : begin - WINDOW; t < end; t++)
        if (text[t] < 0 || text[t] >= m->symbols || m->starts[text[t] + 1] - m->starts[text[t]] > MAX_DEPTH)
            return 1;
    Reading r = {text, history, begin, end, low, size, teach, others, log_probs};
#if defined(__x86_64__)
    if (adds_eight()) {
        read_wide(m, &r);
        return 0;
    }
#endif
    read_text(m, &r);
    return 0;
}

/* Return the log-odds of bit 1 at a node, from cumulative sums of a model's probabilities in rank order. */
static float log_odds_at(const double *sums, const int32_t *range) {
    double one = sums[range[2]] - sums[range[1]], all = sums[range[2]] - sums[range[0]];
    double p = all > 0 ? one / all : 0.5;
    p = p < SMALLEST ? SMALLEST : p > 1 - SMALLEST ? 1 - SMALLEST : p;
    return (float)log(p / (1 - p));
}

/* Write the log-probabilities of all symbols below a node, whose own is log_prob. */
static void walk(const Mixing *m, const Position *known, Decision *d, const double *sums,
                 double log_prob, double *log_probs) {
    int32_t node = d->node, depth = d->depth, at = d->at;
    uint8_t *slots[CONTEXTS];
    const int32_t *range = m->ranges + 3 * node;
    float others[MODELS];
    if (depth % GROUP == 0) {
        uint64_t hashes[CONTEXTS];
        for (int i = 0; i < CONTEXTS; i++) hashes[i] = hash(known->contexts[i], (uint64_t)node);
        enter(m, hashes, 0, d);
        at = 1;
    }
    memcpy(slots, d->slots, sizeof slots);
    for (int i = 0; i < m->models; i++) {
        const double *sum = sums + (int64_t)i * (m->symbols + 1);
        others[i] = log_odds_at(sum, range);
    }
    predict(m, known, others, d);
    double prob = d->prob;
    for (int bit = 0; bit < 2; bit++) {
        int32_t child = m->children[2 * node + bit];
        double there = log_prob + log(bit ? prob : 1 - prob);
        if (child >= m->symbols - 1) {
            log_probs[child - (m->symbols - 1)] = there;
            continue;
        }
        memcpy(d->slots, slots, sizeof slots);
        d->node = child, d->depth = depth + 1, d->at = 2 * at + bit;
        walk(m, known, d, sums, there, log_probs);
    }
}

/* The log-probability of every symbol after text[0] .. text[size - 1], which are a document's last.

   sums: of each other model, the probabilities of the symbols in the order of their ranks, summed
   up: (M, V + 1), the first of each 0. */
CORE_EXPORT int32_t mixing_next(const Mixing *m, const int32_t *text, int64_t size,
                                const int32_t *history, int64_t history_size, const double *sums,
                                double *log_probs) {
    if (!fits(m) || size < 1) return 1;
    for (int64_t t = 0; t < size; t++) if (text[t] < 0 || text[t] >= m->symbols) return 1;
    Position known;
    Decision d;
    look(m, text, 0, size, NULL, &known);
    match(m, text, 0, size, history, history_size, NULL, &known);
    d.node = 0, d.depth = 0, d.at = 1;
    walk(m, &known, &d, sums, 0, log_probs);
    return 0;
}

/* The log-odds of bit 1 at each decision of a target, by another model's distribution.

   log_probs: (rows, V); targets: one of each row; offsets: where the decisions of each begin in
   log_odds, and step: how far apart they stand there. */
CORE_EXPORT int32_t mixing_log_odds(const Mixing *m, const float *log_probs, const int32_t *targets,
                                    int64_t rows, const int64_t *offsets, int64_t step,
                                    double *sums, float *log_odds) {
    for (int64_t r = 0; r < rows; r++) {
        const float *row = log_probs + r * m->symbols;
        if (targets[r] < 0 || targets[r] >= m->symbols) return 1;
        sums[0] = 0;
        for (int32_t v = 0; v < m->symbols; v++) sums[m->ranks[v] + 1] = exp((double)row[v]);
        for (int32_t v = 0; v < m->symbols; v++) sums[v + 1] += sums[v];
        float *odds = log_odds + offsets[r] * step;
        for (int32_t at = m->starts[targets[r]]; at < m->starts[targets[r] + 1]; at++, odds += step) {
            const int32_t *range = m->ranges + 3 * m->nodes[at];
            *odds = log_odds_at(sums, range);
        }
    }
    return 0;
}

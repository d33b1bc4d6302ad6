/* Context mixing: the probability of a symbol, decision by decision along its code, mixed from what
   many contexts say. models/language/context_mixing.py has the equations, the sources, and a twin
   in NumPy (mixing_twin.py); the names are the same.

   A model is one struct of arrays that Python owns. What a reader knows of the text before a symbol
   follows from the last WINDOW symbols alone, so that reading on and asking anew agree. */

#include <math.h>
#include <string.h>

#include "core.h"

enum {
    ORDERS = 9,      /* contexts of the last 0 to 8 symbols */
    CONTEXTS = 19,   /* all contexts: those, words, gaps, lines */
    MATCHES = 2,     /* places where the last few symbols stood before */
    MODELS = 16,     /* other models at most, whose distributions are inputs */
    INPUTS = CONTEXTS + MATCHES + 1 + MODELS + 7,
    SETS = 6,        /* weight vectors that are chosen for each decision, one of each set */
    LANES = 8,       /* floats that are added at once; weight vectors are padded to these */
    STATES = 256,    /* of a bit history */
    ROWS = 256,      /* symbols and nodes that weights tell apart */
    WINDOW = 128,    /* symbols before a target that its contexts may depend on */
    LENGTHS = 64,    /* lengths of a match that are told apart */
    GROUP = 3,       /* decisions whose bit histories stand in one slot */
    CELLS = 33,      /* of an adaptive probability map, from -8 to 8 in halves */
    MAPS = 3,        /* adaptive probability maps */
    MAX_DEPTH = 64,  /* decisions of a symbol */
};
static const int MATCH_ORDERS[MATCHES] = {5, 12};
static const float LIMIT = 1.0f / 500; /* slowest rate of a state's probability */
static const float FIRST_RATE = 0.02f, RATE = 0.003f, FINAL_RATE = 0.0007f, MAP_RATE = 0.02f;
static const float SMALLEST = 1e-5f; /* probability of a decision */

typedef float Vector __attribute__((vector_size(4 * LANES), aligned(4)));

typedef struct {
    int32_t symbols, models, inputs; /* V; other models (M); floats of a weight vector */
    int32_t slot_bits, match_bits, map_bits;
    const int32_t *starts, *nodes; /* the code of symbol v: nodes[starts[v]] .. */
    const uint8_t *bits;           /* and the decision at each */
    const int32_t *children;       /* (V - 1, 2): of a node; a symbol v is V - 1 + v */
    const int32_t *ranges;         /* (V - 1, 3): the ranks below a node: first, first of bit 1, end */
    const int32_t *ranks;          /* place of a symbol in the order of the leaves */
    const uint8_t *next;           /* (STATES, 2): the state after a bit */
    const uint8_t *evidence;       /* how many bits a state has seen: which slot to give up */
    const uint8_t *separators;     /* whether a symbol ends a word */
    uint8_t *slots;                /* (2^slot_bits, 8): a check, and the states of seven nodes */
    float *probs, *counts;         /* (CONTEXTS, STATES): of bit 1, and how often seen */
    int32_t *places;               /* (MATCHES, 2^match_bits): after which the last symbols stood */
    float *match_probs, *match_counts; /* (MATCHES, LENGTHS): that a match goes on */
    float *weights, *final_weights;    /* (rows of all sets, inputs), (ROWS, LANES) */
    float *maps;                       /* (MAPS, 2^map_bits, CELLS) */
    int64_t *learned;                  /* symbols */
} Mixing;

typedef struct { /* What is known before a symbol. */
    uint64_t contexts[CONTEXTS];
    int64_t keys[MATCHES]; /* where matches are remembered, -1 for none */
    int32_t expected[MATCHES], lengths[MATCHES]; /* the symbol after a match, -1 for none */
    int32_t last, before, word_length;           /* the last two symbols */
} Position;

typedef struct { /* One decision, and what it was made of. */
    int32_t node, depth, at; /* at: the node's place in its slots, 1 to 7 */
    uint8_t *slots[CONTEXTS];
    int32_t agrees[MATCHES]; /* the bit that a match expects, or -1 */
    float inputs[INPUTS], outputs[SETS];
    float *chosen[SETS], *final, *cells[MAPS];
    float fraction, mixed, prob;
} Decision;

static uint8_t NOTHING[8]; /* the slot of a context never seen */

static inline uint64_t hash(uint64_t a, uint64_t b) {
    uint64_t h = (a + 0x9E3779B97F4A7C15u) * 0xBF58476D1CE4E5B9u + b * 0x94D049BB133111EBu;
    h ^= h >> 29;
    h *= 0xD6E8FEB86659FD93u;
    return h ^ h >> 32;
}

static inline float squash(float x) { return 1 / (1 + expf(-x)); }

static inline float stretch(float p) { return logf(p / (1 - p)); }

/* The natural logarithm to some six digits, in steps that a compiler takes for several numbers at
   once: of the exponent, and of the rest x, from 0.71 to 1.41, the first terms of the series
   2 (t + t^3 / 3 + t^5 / 5 + ...) with t = (x - 1) / (x + 1). */
static inline float quick_log(float x) {
    union { float number; int32_t bits; } u = {x};
    int32_t e = (u.bits - 0x3F3504F3) >> 23;
    u.bits -= e * (1 << 23);
    float t = (u.number - 1) / (u.number + 1), t2 = t * t;
    return (float)e * 0.69314718f + 2 * t * (1 + t2 * (0.33333333f + t2 * (0.2f + t2 * 0.142857f)));
}

/* e^x to some seven digits, for x from -12 to 12, in steps as those of quick_log: of the power of two,
   and of the rest, x from -0.35 to 0.35, the first terms of the series. */
static inline float quick_exp(float x) {
    float n = (x * 1.44269504f + 12582912.0f) - 12582912.0f; /* the nearest integer */
    float r = x - n * 0.693147181f;
    union { int32_t bits; float number; } u = {((int32_t)n + 127) * (1 << 23)};
    return u.number * (1 + r * (1 + r * (0.5f + r * (0.16666667f + r * (0.041666667f +
                       r * (0.0083333333f + r * 0.0013888889f))))));
}

static inline float bounded(float x, float bound) { return x < -bound ? -bound : x > bound ? bound : x; }

/* The slot of a context and node. Where it has none, it takes the one with least evidence of four
   neighbours if it may, else nothing is known. All four are compared before any is chosen: which
   one it is cannot be foreseen, and a wrong guess would cost a processor more than that. */
static inline uint8_t *find(const Mixing *m, uint64_t h, int insert) {
    uint64_t at = h & (((uint64_t)1 << m->slot_bits) - 1);
    uint8_t check = (uint8_t)(h >> 56), *near = m->slots + 8 * (at & ~(uint64_t)3);
    int found = 0;
    for (int i = 0; i < 4; i++) found |= ((near[8 * i] == check) & (near[8 * i + 1] != 0)) << i;
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

/* What is known before text[t] without any table, of text[low] and after. */
static void look(const Mixing *m, const int32_t *text, int64_t low, int64_t t, Position *found) {
    if (low < t - WINDOW) low = t - WINDOW;
#define BACK(k) (t - (k) >= low ? (uint64_t)text[t - (k)] + 1 : 0)
    uint64_t *context = found->contexts, h = 0, words[3] = {0, 0, 0};
    int n = 0;
    context[n++] = 0;
    for (int k = 1; k < ORDERS; k++) context[n++] = h = hash(h, BACK(k));
    for (int i = 0, k = ORDERS; i < MATCHES; i++) {
        int order = MATCH_ORDERS[i];
        for (; k <= order; k++) h = hash(h, BACK(k));
        uint64_t key = order < ORDERS ? context[order] : h;
        found->keys[i] = -1;
        if (t - low >= order)
            found->keys[i] = ((int64_t)i << m->match_bits) + (int64_t)(key >> (64 - m->match_bits));
    }
    found->word_length = 0;
    int word = 0;
    for (int64_t i = t - 1; i >= low && word < 3; i--) {
        if (m->separators[text[i]]) word++;
        else words[word] = hash(words[word], (uint64_t)text[i] + 1), found->word_length += !word;
    }
    uint64_t pair = hash(words[0], words[1]);
    context[n++] = words[0];
    context[n++] = pair;
    context[n++] = hash(pair, words[2]);
    context[n++] = hash(words[0], words[2]);
    context[n++] = hash(BACK(1), words[1]);
    context[n++] = hash(hash(BACK(1), BACK(2)), words[1]);
    context[n++] = hash(BACK(2), BACK(3));
    context[n++] = hash(BACK(1), BACK(3));
    int64_t line = t, above = low; /* where this line and the one above begin */
    while (line > low && text[line - 1] != m->symbols - 1) line--;
    if (line > low) {
        above = line - 1;
        while (above > low && text[above - 1] != m->symbols - 1) above--;
        above += t - line;
        if (above >= line) above = low;
    }
    uint64_t column = (uint64_t)(t - line), over = line > low ? (uint64_t)text[above] + 1 : 0;
    context[n++] = hash(column > 31 ? 31 : column, BACK(1));
    context[n++] = hash(over, BACK(1));
    for (int i = 0; i < n; i++) context[i] = hash(context[i], (uint64_t)i << 32);
    found->last = t > low ? text[t - 1] : m->symbols - 1;
    found->before = t - 1 > low ? text[t - 2] : m->symbols - 1;
#undef BACK
}

/* Which symbols are expected before text[t], where the last ones stood before; places point into
   history. */
static void match(const Mixing *m, const int32_t *text, int64_t low, int64_t t,
                  const int32_t *history, int64_t size, Position *found) {
    if (low < t - WINDOW) low = t - WINDOW;
    for (int i = 0; i < MATCHES; i++) {
        found->expected[i] = -1;
        found->lengths[i] = 0;
        if (found->keys[i] < 0) continue;
        int64_t place = m->places[found->keys[i]];
        if (place <= 0 || place >= size) continue;
        if (history[place] < 0 || history[place] >= m->symbols) continue; /* A table from elsewhere. */
        int length = 0;
        while (length < LENGTHS - 1 && place - 1 - length >= 0 && t - 1 - length >= low &&
               history[place - 1 - length] == text[t - 1 - length]) length++;
        if (length < MATCH_ORDERS[i]) continue;
        found->lengths[i] = length;
        found->expected[i] = history[place];
    }
}

/* Ask for the memory that a symbol's decisions will be read from, one symbol ahead. */
static void foresee(const Mixing *m, const Position *known, int32_t symbol) {
    uint64_t mask = ((uint64_t)1 << m->slot_bits) - 1;
    for (int i = 0; i < MATCHES; i++) if (known->keys[i] >= 0) PREFETCH(m->places + known->keys[i]);
    for (int32_t at = m->starts[symbol]; at < m->starts[symbol + 1]; at += GROUP)
        for (int i = 0; i < CONTEXTS; i++)
            PREFETCH(m->slots + 8 * (hash(known->contexts[i], (uint64_t)m->nodes[at]) & mask));
    __asm__ volatile("" ::: "memory"); /* Or compilers see no effect, and leave the call out. */
}

/* Go to the slots of the group of decisions that begins at a node. */
static void enter(const Mixing *m, const Position *known, int32_t node, int insert, uint8_t **slots) {
    for (int i = 0; i < CONTEXTS; i++)
        slots[i] = find(m, hash(known->contexts[i], (uint64_t)node), insert);
}

static inline int32_t row(int32_t of) { return of < ROWS ? of : ROWS - 1; }

/* The weight vectors for a decision, one of each set; rows of a set follow those of the set before. */
static void choose(const Position *known, const Decision *d, int order, int32_t *rows) {
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

/* Predict a decision: d has node, depth, at and slots; others are the other models' log-odds. */
static void predict(const Mixing *m, const Position *known, const float *others, Decision *d) {
    int order = 0, n = CONTEXTS;
    float probs[CONTEXTS];
    for (int i = 0; i < CONTEXTS; i++) {
        uint8_t state = d->slots[i][d->at];
        probs[i] = state ? m->probs[i * STATES + state] : 0.5f;
        if (state && i < ORDERS) order = i;
    }
    for (int i = 0; i < CONTEXTS; i++) d->inputs[i] = quick_log(probs[i] / (1 - probs[i]));
    const int32_t *range = m->ranges + 3 * d->node;
    for (int i = 0; i < MATCHES; i++) {
        int32_t rank = known->expected[i] < 0 ? -1 : m->ranks[known->expected[i]];
        int agrees = rank >= range[0] && rank < range[2];
        d->agrees[i] = agrees ? rank >= range[1] : -1;
        float odds = stretch(m->match_probs[i * LENGTHS + known->lengths[i]]);
        d->inputs[n++] = !agrees ? 0 : d->agrees[i] ? odds : -odds;
    }
    d->inputs[n++] = 0.3f; /* A constant, of the size of the others. */
    for (int i = 0; i < m->models; i++) d->inputs[n++] = others[i];
    while (n < m->inputs) d->inputs[n++] = 0;

    /* The adaptive maps are far apart: ask for them before the sums are made. */
    uint64_t size = (uint64_t)1 << m->map_bits;
    uint64_t node = (uint64_t)d->node, pair = hash((uint64_t)known->last, node);
    uint64_t found[MAPS] = {node & (size - 1), pair >> (64 - m->map_bits),
                            hash(pair, (uint64_t)known->before) >> (64 - m->map_bits)};
    for (int i = 0; i < MAPS; i++)
        for (int c = 0; c < CELLS; c += CELLS / 2) PREFETCH(m->maps + (i * size + found[i]) * CELLS + c);

    int32_t rows[SETS];
    choose(known, d, order, rows);
    d->final = m->final_weights + LANES * row(d->node);
    float mixed = 0;
    for (int s = 0; s < SETS; s++) {
        const float *weights = d->chosen[s] = m->weights + (int64_t)rows[s] * m->inputs;
        Vector sums = {0};
        for (int i = 0; i < m->inputs; i += LANES)
            sums += *(const Vector *)(weights + i) * *(const Vector *)(d->inputs + i);
        float sum = 0;
        for (int i = 0; i < LANES; i++) sum += sums[i];
        d->outputs[s] = bounded(sum, 12);
        mixed += d->final[s] * d->outputs[s];
    }
    d->mixed = squash(bounded(mixed, 12));

    float at = (bounded(mixed, 7.99f) + 8) * 2, maps[MAPS];
    int cell = (int)at;
    d->fraction = at - (float)cell;
    for (int i = 0; i < MAPS; i++) {
        float *cells = d->cells[i] = m->maps + (i * size + found[i]) * CELLS + cell;
        maps[i] = cells[0] * (1 - d->fraction) + cells[1] * d->fraction;
    }
    float p = 0.25f * d->mixed + 0.15f * maps[0] + 0.3f * maps[1] + 0.3f * maps[2];
    d->prob = p < SMALLEST ? SMALLEST : p > 1 - SMALLEST ? 1 - SMALLEST : p;
}

/* Move a probability towards what came: by one over how often it was asked, but no slower than LIMIT. */
static inline void move(float *prob, float *count, float limit, int bit) {
    float seen = *count, p = *prob, rate = 1 / (seen + 1.5f);
    *count = seen + (rate < limit ? 0 : 1); /* Without branches: none could be foreseen. */
    p += ((float)bit - p) * (rate < limit ? limit : rate);
    p = p < 1.0f / 4096 ? 1.0f / 4096 : p;
    *prob = p > 4095.0f / 4096 ? 4095.0f / 4096 : p;
}

/* Learn from a decision that was predicted. */
static void learn(const Mixing *m, const Position *known, Decision *d, int bit) {
    float slowing = FIRST_RATE / (1 + (float)*m->learned * 0.001f), error = (float)bit - d->mixed;
    float final_rate = error * (FINAL_RATE + slowing);
    float errors[SETS];
    for (int s = 0; s < SETS; s++) errors[s] = (float)bit - 1 / (1 + quick_exp(-d->outputs[s]));
    for (int s = 0; s < SETS; s++) {
        d->final[s] += final_rate * d->outputs[s];
        float rate = errors[s] * (RATE + slowing), *weights = d->chosen[s];
        for (int i = 0; i < m->inputs; i += LANES)
            *(Vector *)(weights + i) += rate * *(const Vector *)(d->inputs + i);
    }
    for (int i = 0; i < MAPS; i++) {
        d->cells[i][0] += ((float)bit - d->cells[i][0]) * MAP_RATE * (1 - d->fraction);
        d->cells[i][1] += ((float)bit - d->cells[i][1]) * MAP_RATE * d->fraction;
    }
    for (int i = 0; i < CONTEXTS; i++) {
        uint8_t *state = d->slots[i] + d->at;
        int place = i * STATES + *state;
        move(m->probs + place, m->counts + place, LIMIT, bit);
        *state = m->next[2 * *state + bit];
    }
    for (int i = 0; i < MATCHES; i++)
        if (d->agrees[i] >= 0) {
            int place = i * LENGTHS + known->lengths[i];
            move(m->match_probs + place, m->match_counts + place, LIMIT, d->agrees[i] == bit);
        }
}

/* Whether a model is one that can be read with: its sizes, and its symbols' codes. */
static int fits(const Mixing *m) {
    if (m->symbols < 2 || m->models < 0 || m->models > MODELS) return 0;
    if (m->inputs % LANES || m->inputs < CONTEXTS + MATCHES + 1 + m->models || m->inputs > INPUTS) return 0;
    return m->slot_bits >= 2 && m->match_bits >= 1 && m->map_bits >= 1 && m->slot_bits < 40 &&
           m->match_bits < 32 && m->map_bits < 32;
}

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
        if (text[t] < 0 || text[t] >= m->symbols) return 1;
    Position positions[2]; /* of this symbol, and of the next, which is known already */
    Decision d;
    int by_document = low < 0;
    if (by_document) for (low = begin - 1; low > 0 && text[low] != m->symbols - 1;) low--;
    if (begin < end) look(m, text, low, begin, positions + (begin & 1));
    for (int64_t t = begin; t < end; t++) {
        Position *known = positions + (t & 1), *next = positions + (~t & 1);
        int64_t next_low = by_document && text[t] == m->symbols - 1 ? t : low;
        if (t + 1 < end) look(m, text, next_low, t + 1, next), foresee(m, next, text[t + 1]);
        match(m, text, low, t, history, teach ? t : size, known);
        int32_t first = m->starts[text[t]], depth = m->starts[text[t] + 1] - first;
        double sum = 0, product = 1; /* of the probabilities of decisions; logarithms take long */
        for (d.depth = 0; d.depth < depth; d.depth++) {
            int bit = m->bits[first + d.depth];
            d.node = m->nodes[first + d.depth];
            if (d.depth % GROUP == 0) enter(m, known, d.node, teach, d.slots), d.at = 1;
            predict(m, known, others, &d);
            product *= bit ? (double)d.prob : 1 - (double)d.prob;
            if (d.depth % 32 == 31) sum += log(product), product = 1; /* None is below SMALLEST. */
            if (teach) learn(m, known, &d, bit);
            d.at = 2 * d.at + bit;
            others += m->models;
        }
        log_probs[t - begin] = sum + log(product);
        if (teach) *m->learned += 1;
        for (int i = 0; teach && i < MATCHES; i++) /* Remember where these symbols stood. */
            if (known->keys[i] >= 0) m->places[known->keys[i]] = (int32_t)t;
        low = next_low;
    }
    return 0;
}

/* The log-odds of bit 1 at a node, by the sums of a model's probabilities up to each rank. */
static float log_odds_at(const double *sums, const int32_t *range) {
    double one = sums[range[2]] - sums[range[1]], all = sums[range[2]] - sums[range[0]];
    double p = all > 0 ? one / all : 0.5;
    p = p < SMALLEST ? SMALLEST : p > 1 - SMALLEST ? 1 - SMALLEST : p;
    return (float)log(p / (1 - p));
}

/* Give the symbols below a node their log-probabilities, log_prob being that of the node. */
static void walk(const Mixing *m, const Position *known, Decision *d, const double *sums,
                 double log_prob, double *log_probs) {
    int32_t node = d->node, depth = d->depth, at = d->at;
    uint8_t *slots[CONTEXTS];
    const int32_t *range = m->ranges + 3 * node;
    float others[MODELS];
    if (depth % GROUP == 0) enter(m, known, node, 0, d->slots), d->at = at = 1;
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
    look(m, text, 0, size, &known);
    match(m, text, 0, size, history, history_size, &known);
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

/* Context mixing: declarations shared by mixing.c and mixing_contexts.c. models/language/context_mixing.py has
   the equations and the sources, and there is a twin in NumPy (context_mixing_twin.py) with the same names.

   A model is one struct of arrays that Python owns. The contexts of a symbol depend on the last WINDOW symbols
   only, so incremental reading and a new query give the same result. */

#ifndef THENCE_MIXING_H
#define THENCE_MIXING_H

#include "core.h"

/* With AVX2 reading takes a fifth less time, so it is compiled twice, with everything that it calls inlined; the
   sums are the same. */
#define INLINE inline __attribute__((always_inline))

enum {
    ORDERS = 9,      /* contexts of the last 0 to 8 symbols */
    CONTEXTS = 19,   /* all contexts: those, words, gaps, lines */
    MATCHES = 2,     /* places where the last few symbols stood before */
    MODELS = 16,     /* other models at most, whose distributions are inputs */
    INPUTS = CONTEXTS + MATCHES + 1 + MODELS + 7,
    WORDS = 3,       /* words before a symbol that contexts are made of */
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
    GROUPS = (MAX_DEPTH + GROUP - 1) / GROUP,
};

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
    float *match_probs, *match_counts; /* (MATCHES, LENGTHS): that a match continues */
    float *weights, *final_weights;    /* (rows of all sets, inputs), (ROWS, LANES) */
    float *maps;                       /* (MAPS, 2^map_bits, CELLS) */
    int64_t *learned;                  /* symbols */
} Mixing;

typedef struct { /* The contexts of a symbol. */
    uint64_t contexts[CONTEXTS];
    int64_t keys[MATCHES]; /* where matches are remembered, -1 for none */
    int64_t places[MATCHES]; /* where the longest matches continue */
    int32_t expected[MATCHES], lengths[MATCHES]; /* the symbol after a match, -1 for none */
    int32_t last, before, word_length;           /* the last two symbols */
    uint64_t words[WORDS]; /* the last words, from their last symbol back, */
    int64_t ends[WORDS];   /* and the separator before each, -1 for none in reach */
    int64_t line, above;   /* where this line and the one above begin, or what is in reach of them */
    uint64_t slots[GROUPS][CONTEXTS]; /* hashes of the slots on the path of the symbol that comes */
} Position;

static INLINE uint64_t hash(uint64_t a, uint64_t b) {
    uint64_t h = (a + 0x9E3779B97F4A7C15u) * 0xBF58476D1CE4E5B9u + b * 0x94D049BB133111EBu;
    h ^= h >> 29;
    h *= 0xD6E8FEB86659FD93u;
    return h ^ h >> 32;
}

/* Compute the contexts of text[t] from text[low] on; before is the Position of the symbol before, or NULL. */
void look(const Mixing *m, const int32_t *text, int64_t low, int64_t t, const Position *before,
          Position *found);

/* The match model: find the last occurrence in history of the symbols before text[t], and the symbol that
   followed there. */
void match(const Mixing *m, const int32_t *text, int64_t low, int64_t t, const int32_t *history,
           int64_t size, const Position *before, Position *found);

#endif

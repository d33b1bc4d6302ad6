/* Declarations shared by the files of the beam search; see ctc.c. */

#ifndef THENCE_CTC_H
#define THENCE_CTC_H

#include "core.h"

enum { BLANK, SPACE, START, CLOSED, INSIDE }; /* Kinds of labels, as in ctc/search.py. */
enum { NONE = -1, ASKED = -2, IMPOSSIBLE = -1, NO_MEMORY = -1, WRONG = -2 };

/* A growing open-addressing hash table from a number to a non-negative number or ASKED. */
typedef struct {
    uint64_t *keys;
    int32_t *values;
    int32_t bits;
    int64_t size;
} Map;

typedef struct { /* A node of a trie: a word or the beginning of one. */
    int32_t parent;
    uint32_t point;  /* its last code point */
    int32_t length;  /* in code points */
} Piece;

typedef struct { /* The ids of a word. */
    int32_t first, count; /* count IMPOSSIBLE: the model cannot read it */
    int32_t unknown;      /* whether it is penalised */
} Ids;

typedef struct { Piece *at; int64_t size, room; } Pieces;
typedef struct { Ids *at; int64_t size, room; } IdsList;
typedef struct { int64_t *at; int64_t size, room; } Numbers;

typedef struct { /* The known words. */
    Pieces pieces; /* the first is the empty one */
    Map children;  /* by piece and code point */
    Map words;     /* the place in ids, by piece */
    IdsList ids;
    Numbers numbers;
    int64_t V;     /* ids are below it */
} Words;

typedef struct { /* Settings of a search. */
    const Order *orders;     /* of the language model; NULL: there is none */
    int64_t V;
    const Words *words;      /* NULL: no words are known */
    const int32_t *kinds;    /* of each label */
    const uint32_t *points;  /* what labels spell: label l points[starts[l] .. starts[l + 1]) */
    const int64_t *starts;
    int64_t labels;
    double alpha, beta, offset, hot_weight;
    double prune, min_log_prob;
    int64_t width;
    int64_t most;            /* entries of a list before unreachable ones are removed (forget) */
    int64_t other;           /* the id of all unknown words; -1: their ids are requested from Python */
    int32_t N;
    int32_t history;         /* last words in which beams must differ to be kept apart; 0: no pruning by history */
    int32_t average;         /* average word length; longer unknown words get a larger penalty */
    int32_t boundary;        /* whether the end of a text is scored */
    int32_t spelled;         /* whether the n-grams are of characters or bytes, not of words: */
    int32_t begins;          /* then whether the first word has no space before it; */
    const uint32_t *letters; /* and code point l has the ids numbers[firsts[l] .. firsts[l + 1]), */
    const int64_t *firsts, *numbers;
    int64_t num_letters, unknown; /* of which this one is unknown */
} Settings;

typedef struct { /* Finished words. */
    int32_t parent, piece; /* the text before the last word, and that */
    int32_t words;         /* how many */
    int32_t scored;
    double score, hot;
    uint64_t recent;       /* a hash of the last words */
} Text;

typedef struct { int32_t before, start, end; } Span; /* The frames of a word, and those before it. */

typedef struct {
    int32_t text, piece, last, spans, start, end; /* as in ctc/search.py */
    double logit, score;
} Beam;

typedef struct { double partial; int32_t is_word; } Hot;

typedef struct { /* The score of the beginning of a word after a text, by n-grams of characters. */
    double log_prob;
    int32_t unknown;
} Spelled;

typedef struct { Spelled *at; int64_t size, room; } SpelledList;
typedef struct { Text *at; int64_t size, room; } Texts;
typedef struct { Span *at; int64_t size, room; } Spans;
typedef struct { Beam *at; int64_t size, room; } Beams;
typedef struct { Hot *at; int64_t size, room; } Hots;
typedef struct { int32_t *at; int64_t size, room; } Places;

typedef struct {
    Settings with;
    int64_t known, frame; /* pieces of known words; frames read */
    int64_t most;         /* as in with, or twice as many as were kept the last time */
    int32_t again;        /* whether this frame is repeated, after ids of words were requested */
    Pieces pieces;        /* all others, numbered after the known ones */
    Map children, hot, asked, longer;
    Map letters, spelled;    /* of code points, the place of their ids; by text and piece */
    SpelledList spellings;
    Numbers spelled_states;  /* N - 1 numbers for each spelling */
    int64_t fixed_ids, fixed_numbers; /* that are never forgotten */
    int32_t failed;          /* no memory while scoring */
    Hots hots;
    IdsList ids;
    Numbers numbers, states; /* ids of words that were asked for; N - 1 numbers for each text */
    Texts texts;
    Spans spans;
    Beams beams, next, found;
    Places chain;
    Places slots, pending; /* a hash table of the next beams; words that are asked for */
} Search;

/* map_get returns a value, or NONE for a missing key; map_put sets one, and returns 0 or NO_MEMORY. */
int32_t map_get(const Map *map, uint64_t key);
int map_put(Map *map, uint64_t key, int32_t value);
uint64_t pair_key(int32_t first, uint32_t second);
void free_map(Map *map);

/* Grow a list to at least `wanted` entries: 0 or NO_MEMORY. Indices have 32 bits. */
#define RESERVE(list, wanted) reserve(&(list).at, &(list).room, wanted, sizeof *(list).at)
int reserve(void *address, int64_t *room, int64_t wanted, size_t entry);

/* Return the child of a piece for a code point, or NONE. */
int32_t child_of(const Map *children, int32_t piece, uint32_t point);

/* Append a piece to a trie whose first `before` pieces are in another list. Returns its number or NO_MEMORY. */
int32_t add_piece(Pieces *pieces, Map *children, int64_t before, int32_t parent, uint32_t point,
                  int32_t length);

const Piece *piece_at(const Search *s, int32_t piece);

/* Score the beginning of a word after a text that was scored. Returns its index in spellings or NO_MEMORY. */
int32_t spelled_after(Search *s, int32_t text, int32_t piece);

/* Store the ids of code points. Returns 0, NO_MEMORY, or WRONG if one is out of range. */
int add_letters(Search *s);

/* Remove texts, pieces and spans that no beam can reach, and renumber the others. Returns 0, or NO_MEMORY, after
   which the search cannot continue. */
int forget(Search *s);

#endif

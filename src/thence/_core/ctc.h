/* What the files of the beam search share; ctc.c says what it is. */

#ifndef THENCE_CTC_H
#define THENCE_CTC_H

#include "core.h"

enum { BLANK, SPACE, START, CLOSED, INSIDE }; /* Kinds of labels, as in ctc/search.py. */
enum { NONE = -1, ASKED = -2, IMPOSSIBLE = -1, NO_MEMORY = -1, WRONG = -2 };

/* An open hash table from a number to one that is not negative, or ASKED; it grows. */
typedef struct {
    uint64_t *keys;
    int32_t *values;
    int32_t bits;
    int64_t size;
} Map;

typedef struct { /* A word or the beginning of one. */
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

typedef struct { /* What a search is told. */
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
    int64_t most;            /* entries of a list before it is looked for some to forget */
    int64_t other;           /* the id of all words that are not known; -1: they are asked for */
    int32_t N;
    int32_t history;         /* words that beams must share to be one; 0: beams are not compared */
    int32_t average;         /* length of a word; an unknown one that is longer costs more */
    int32_t boundary;        /* whether the end of a text is scored */
    int32_t spelled;         /* whether the n-grams are of what spells a word, not of words: */
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

typedef struct { /* What n-grams that spell say of the beginning of a word after a text. */
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
    int32_t again;        /* whether this frame was read before, and words were asked for */
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

/* Look up a number, NONE if it is not there, and set one: 0, or NO_MEMORY. */
int32_t map_get(const Map *map, uint64_t key);
int map_put(Map *map, uint64_t key, int32_t value);
uint64_t pair_key(int32_t first, uint32_t second);
void free_map(Map *map);

/* Make room for so many entries of a list: 0, or NO_MEMORY. Places are numbered in 32 bits. */
#define RESERVE(list, wanted) reserve(&(list).at, &(list).room, wanted, sizeof *(list).at)
int reserve(void *address, int64_t *room, int64_t wanted, size_t entry);

/* The piece that is longer by a code point, NONE if there is none. */
int32_t child_of(const Map *children, int32_t piece, uint32_t point);

/* Add a piece to a trie of which the first pieces, `before` of them, are in another. NO_MEMORY if that
   fails. */
int32_t add_piece(Pieces *pieces, Map *children, int64_t before, int32_t parent, uint32_t point,
                  int32_t length);

const Piece *piece_at(const Search *s, int32_t piece);

/* What the n-grams say of the beginning of a word after a text, whose state is known: its place among
   the spellings, or NO_MEMORY. */
int32_t spelled_after(Search *s, int32_t text, int32_t piece);

/* Number the ids of code points. 0, NO_MEMORY, or WRONG if they do not fit. */
int add_letters(Search *s);

/* Forget texts, pieces and frames that no beam has; numbers change. 0, or NO_MEMORY, after which the
   search cannot go on. */
int forget(Search *s);

#endif

/* Context mixing: the contexts of a symbol (mixing.h). When reading continues, most of them follow from those of
   the symbol before. */

#include <string.h>

#include "mixing.h"

static const int MATCH_ORDERS[MATCHES] = {5, 12};

static inline int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }

/* The hashes of the last words. */
static void find_words(const Mixing *m, const int32_t *text, int64_t low, int64_t t,
                       const Position *before, Position *found) {
    uint64_t *words = found->words;
    int64_t *ends = found->ends;
    if (before && before->ends[WORDS - 1] >= low) {
        int ended = m->separators[text[t - 1]]; /* Then all words move back by one. */
        for (int i = 1; i < WORDS; i++) words[i] = before->words[i - ended];
        for (int i = ended; i < WORDS; i++) ends[i] = before->ends[i - ended];
        if (ended) ends[0] = t - 1;
        words[0] = 0;
        for (int64_t i = t - 1; i > ends[0]; i--) words[0] = hash(words[0], (uint64_t)text[i] + 1);
        found->word_length = (int32_t)(t - 1 - ends[0]);
        return;
    }
    for (int i = 0; i < WORDS; i++) words[i] = 0, ends[i] = -1;
    found->word_length = 0;
    int word = 0;
    for (int64_t i = t - 1; i >= low && word < WORDS; i--) {
        if (m->separators[text[i]]) ends[word++] = i;
        else words[word] = hash(words[word], (uint64_t)text[i] + 1), found->word_length += !word;
    }
}

/* Where this line and the one above begin. */
static void find_lines(const Mixing *m, const int32_t *text, int64_t low, int64_t t,
                       const Position *before, Position *found) {
    int32_t boundary = m->symbols - 1;
    if (before) {
        int ended = text[t - 1] == boundary;
        found->line = ended ? t : before->line;
        found->above = ended ? before->line : before->above;
        return;
    }
    int64_t line = t, above = low;
    while (line > low && text[line - 1] != boundary) line--;
    if (line > low) for (above = line - 1; above > low && text[above - 1] != boundary;) above--;
    found->line = line, found->above = above;
}

void look(const Mixing *m, const int32_t *text, int64_t low, int64_t t, const Position *before,
          Position *found) {
    low = later(low, t - WINDOW);
#define BACK(k) (t - (k) >= low ? (uint64_t)text[t - (k)] + 1 : 0)
    uint64_t *context = found->contexts, h = 0;
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
    find_words(m, text, low, t, before, found);
    const uint64_t *words = found->words;
    uint64_t pair = hash(words[0], words[1]);
    context[n++] = words[0];
    context[n++] = pair;
    context[n++] = hash(pair, words[2]);
    context[n++] = hash(words[0], words[2]);
    context[n++] = hash(BACK(1), words[1]);
    context[n++] = hash(hash(BACK(1), BACK(2)), words[1]);
    context[n++] = hash(BACK(2), BACK(3));
    context[n++] = hash(BACK(1), BACK(3));
    find_lines(m, text, low, t, before, found);
    int64_t line = later(found->line, low), column = t - line, over = -1;
    if (line > low) {
        over = later(found->above, low) + column;
        if (over >= line) over = low;
    }
    context[n++] = hash(column > 31 ? 31 : (uint64_t)column, BACK(1));
    context[n++] = hash(over < 0 ? 0 : (uint64_t)text[over] + 1, BACK(1));
    for (int i = 0; i < n; i++) context[i] = hash(context[i], (uint64_t)i << 32);
    found->last = t > low ? text[t - 1] : m->symbols - 1;
    found->before = t - 1 > low ? text[t - 2] : m->symbols - 1;
#undef BACK
}

void match(const Mixing *m, const int32_t *text, int64_t low, int64_t t, const int32_t *history,
           int64_t size, const Position *before, Position *found) {
    low = later(low, t - WINDOW);
    for (int i = 0; i < MATCHES; i++) {
        found->expected[i] = -1;
        found->lengths[i] = 0;
        if (found->keys[i] < 0) continue;
        int64_t place = found->places[i] = m->places[found->keys[i]];
        if (place <= 0 || place >= size) continue;
        if (history[place] < 0 || history[place] >= m->symbols) continue; /* A damaged file. */
        int length = 0, most = (int)(t - low < LENGTHS - 1 ? t - low : LENGTHS - 1);
        if (before && before->expected[i] == text[t - 1] && place == before->places[i] + 1)
            length = before->lengths[i] < most ? before->lengths[i] + 1 : most; /* The match continued. */
        else
            while (length < most && place - 1 - length >= 0 &&
                   history[place - 1 - length] == text[t - 1 - length]) length++;
        if (length < MATCH_ORDERS[i]) continue;
        found->lengths[i] = length;
        found->expected[i] = history[place];
    }
}

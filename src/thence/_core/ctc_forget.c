/* Garbage collection of a beam search, so that an endless stream needs bounded memory; see ctc.c. */

#include <stdlib.h>
#include <string.h>

#include "ctc.h"

/* Replace marks by new consecutive numbers, and unmarked entries by NONE; return how many are marked. */
static int32_t number(int32_t *marks, int64_t size) {
    int32_t count = 0;
    for (int64_t i = 0; i < size; i++) marks[i] = marks[i] ? count++ : NONE;
    return count;
}

static int32_t renumbered(const Search *s, const int32_t *pieces, int32_t piece) {
    return piece < s->known ? piece : (int32_t)s->known + pieces[piece - s->known];
}

/* Keep the marked pieces and their ancestors in the trie. Returns 0 or NO_MEMORY. */
static int keep_pieces(Search *s, int32_t *marks) {
    Map children = {0}, hot = {0};
    for (int64_t i = 0; s->hot.bits && i < (int64_t)1 << s->hot.bits; i++)
        if (s->hot.values[i] != NONE && (int64_t)s->hot.keys[i] >= s->known)
            marks[(int64_t)s->hot.keys[i] - s->known] = 1;
    for (int64_t i = s->pieces.size - 1; i >= 0; i--) { /* Parents have lower numbers. */
        int32_t parent = s->pieces.at[i].parent;
        if (marks[i] && parent >= s->known) marks[parent - s->known] = 1;
    }
    if (!s->known) marks[0] = 1; /* The empty piece. */
    int64_t size = s->pieces.size;
    s->pieces.size = number(marks, size);
    for (int64_t i = 0; i < size; i++) {
        if (marks[i] == NONE) continue;
        Piece piece = s->pieces.at[i];
        if (piece.parent >= 0) piece.parent = renumbered(s, marks, piece.parent);
        s->pieces.at[marks[i]] = piece;
        if (piece.parent >= 0 &&
            map_put(&children, pair_key(piece.parent, piece.point), (int32_t)s->known + marks[i]))
            return free_map(&children), NO_MEMORY;
    }
    for (int64_t i = 0; s->hot.bits && i < (int64_t)1 << s->hot.bits; i++)
        if (s->hot.values[i] != NONE &&
            map_put(&hot, (uint64_t)renumbered(s, marks, (int32_t)s->hot.keys[i]), s->hot.values[i]))
            return free_map(&children), free_map(&hot), NO_MEMORY;
    free_map(&s->children);
    free_map(&s->hot);
    s->children = children;
    s->hot = hot;
    return 0;
}

/* Keep the marked texts, given the new numbers of pieces. Returns 0 or NO_MEMORY. */
static int keep_texts(Search *s, int32_t *marks, const int32_t *pieces) {
    Map longer = {0};
    int64_t numbers = s->with.orders ? s->with.N - 1 : 0, size = s->texts.size;
    s->texts.size = number(marks, size);
    for (int64_t i = 0; i < size; i++) {
        if (marks[i] == NONE) continue;
        Text text = s->texts.at[i];
        text.piece = renumbered(s, pieces, text.piece);
        if (i) text.parent = marks[text.parent];
        s->texts.at[marks[i]] = text;
        if (numbers) memmove(s->states.at + marks[i] * numbers, s->states.at + i * numbers,
                (size_t)numbers * sizeof *s->states.at);
        if (i && map_put(&longer, pair_key(text.parent, (uint32_t)text.piece), marks[i]))
            return free_map(&longer), NO_MEMORY;
    }
    s->states.size = s->texts.size * numbers;
    free_map(&s->longer);
    s->longer = longer;
    return 0;
}

static void keep_spans(Search *s, int32_t *marks) {
    int64_t size = s->spans.size;
    s->spans.size = number(marks, size);
    for (int64_t i = 0; i < size; i++) {
        if (marks[i] == NONE) continue;
        Span span = s->spans.at[i];
        if (span.before >= 0) span.before = marks[span.before];
        s->spans.at[marks[i]] = span;
    }
}

int forget(Search *s) {
    int64_t sizes[3] = {s->texts.size, s->pieces.size, s->spans.size};
    int32_t *marks[3] = {NULL, NULL, NULL};
    int failed = 0;
    for (int i = 0; i < 3; i++) {
        marks[i] = calloc((size_t)sizes[i] + 1, sizeof **marks);
        failed |= !marks[i];
    }
    for (int64_t b = 0; !failed && b < s->beams.size; b++) {
        const Beam *beam = &s->beams.at[b];
        for (int32_t i = beam->text; i >= 0 && !marks[0][i]; i = s->texts.at[i].parent) marks[0][i] = 1;
        for (int32_t i = beam->spans; i >= 0 && !marks[2][i]; i = s->spans.at[i].before) marks[2][i] = 1;
        if (beam->piece >= s->known) marks[1][beam->piece - s->known] = 1;
    }
    for (int64_t i = 0; !failed && i < sizes[0]; i++)
        if (marks[0][i] && s->texts.at[i].piece >= s->known) marks[1][s->texts.at[i].piece - s->known] = 1;
    failed = failed || keep_pieces(s, marks[1]) || keep_texts(s, marks[0], marks[1]);
    if (!failed) {
        keep_spans(s, marks[2]);
        for (int64_t b = 0; b < s->beams.size; b++) {
            Beam *beam = &s->beams.at[b];
            beam->text = marks[0][beam->text];
            beam->piece = renumbered(s, marks[1], beam->piece);
            if (beam->spans >= 0) beam->spans = marks[2][beam->spans];
        }
        free_map(&s->asked); /* Ids of unknown words are requested again when needed. */
        s->asked = (Map){0};
        s->ids.size = s->fixed_ids;
        s->numbers.size = s->fixed_numbers;
        free_map(&s->spelled); /* Spellings are computed again when needed. */
        s->spelled = (Map){0};
        s->spellings.size = s->spelled_states.size = 0;
        s->found.size = 0;
    }
    for (int i = 0; i < 3; i++) free(marks[i]);
    return failed ? NO_MEMORY : 0;
}

/* Language models of characters or bytes in a beam search; see ctc.c.

   They also score the beginning of a word, given the text before. The log-probability of a beginning is that of
   the beginning without its last code point, plus that of the ids of this code point. */

#include <string.h>

#include "ctc.h"

int add_letters(Search *s) {
    for (int64_t l = 0; l < s->with.num_letters; l++) {
        int64_t first = s->with.firsts[l], last = s->with.firsts[l + 1], size = s->numbers.size;
        if (last < first) return WRONG;
        Ids ids = {(int32_t)size, (int32_t)(last - first), 0};
        if (RESERVE(s->numbers, size + last - first) || RESERVE(s->ids, s->ids.size + 1) ||
            map_put(&s->letters, s->with.letters[l], (int32_t)s->ids.size))
            return NO_MEMORY;
        for (int64_t i = first; i < last; i++) {
            int64_t id = s->with.numbers[i];
            if (id < 0 || id >= s->with.V) return WRONG;
            ids.unknown |= id == s->with.unknown;
            s->numbers.at[s->numbers.size++] = id;
        }
        s->ids.at[s->ids.size++] = ids;
    }
    return 0;
}

/* Read a code point from a state. */
static void read_point(Search *s, uint32_t point, int64_t *state, Spelled *spelled) {
    int64_t none[1] = {-1};
    int32_t place = map_get(&s->letters, point);
    if (place < 0) { /* A code point that no label spells. */
        s->failed = 1;
        return;
    }
    Ids ids = s->ids.at[place];
    for (int32_t i = 0; i < ids.count; i++)
        spelled->log_prob += read_word(s->with.orders, s->with.N, s->numbers.at[ids.first + i],
                                       s->with.N > 1 ? state : none);
    spelled->unknown |= ids.unknown;
}

int32_t spelled_after(Search *s, int32_t text, int32_t piece) {
    const int64_t numbers = s->with.N - 1;
    int32_t at = NONE;
    s->chain.size = 0;
    for (int32_t longer = piece; longer; longer = piece_at(s, longer)->parent) {
        at = map_get(&s->spelled, pair_key(text, (uint32_t)longer));
        if (at >= 0) break;
        if (RESERVE(s->chain, s->chain.size + 1)) return NO_MEMORY;
        s->chain.at[s->chain.size++] = longer;
    }
    while (s->chain.size) {
        int32_t next = s->chain.at[--s->chain.size];
        int64_t size = s->spellings.size;
        if (RESERVE(s->spellings, size + 1) ||
            RESERVE(s->spelled_states, s->spelled_states.size + numbers + 1) ||
            map_put(&s->spelled, pair_key(text, (uint32_t)next), (int32_t)size))
            return NO_MEMORY;
        int64_t *state = s->spelled_states.at + size * numbers;
        const int64_t *before = at < 0 ? s->states.at + text * numbers
                                       : s->spelled_states.at + at * numbers;
        if (numbers) memcpy(state, before, (size_t)numbers * sizeof *state);
        Spelled made = at < 0 ? (Spelled){0, 0} : s->spellings.at[at];
        if (at < 0 && (text || !s->with.begins)) read_point(s, ' ', state, &made);
        read_point(s, piece_at(s, next)->point, state, &made);
        at = (int32_t)size;
        s->spellings.at[s->spellings.size++] = made;
        s->spelled_states.size += numbers;
    }
    return at;
}

/* Requests and results of a beam search; see ctc.c. */

#include <string.h>

#include "ctc.h"

const Piece *piece_at(const Search *s, int32_t piece) {
    return piece < s->known ? &s->with.words->pieces.at[piece] : &s->pieces.at[piece - s->known];
}

/* Write the code points of a piece so that they end before an index. */
static void spell(const Search *s, int32_t piece, uint32_t *end) {
    for (; piece; piece = piece_at(s, piece)->parent) *--end = piece_at(s, piece)->point;
}

/* Return the length of the first word whose ids are requested (0: none), and write its code points if `points`
   has room for them. */
CORE_EXPORT int64_t ctc_asked(const Search *s, uint32_t *points, int64_t room) {
    if (!s->pending.size) return 0;
    int32_t piece = s->pending.at[s->pending.size - 1], length = piece_at(s, piece)->length;
    if (length <= room) spell(s, piece, points + length);
    return length;
}

/* Set the ids of that word; count is IMPOSSIBLE if the model cannot read it. Returns 0, NO_MEMORY or WRONG. */
CORE_EXPORT int32_t ctc_answer(Search *s, const int64_t *numbers, int64_t count, int32_t unknown) {
    if (!s->pending.size || count < IMPOSSIBLE || count > INT32_MAX) return WRONG;
    int64_t size = s->numbers.size, many = count > 0 ? count : 0;
    for (int64_t i = 0; i < many; i++)
        if (numbers[i] < 0 || numbers[i] >= s->with.V) return WRONG;
    int32_t piece = s->pending.at[s->pending.size - 1];
    if (RESERVE(s->numbers, size + many) || RESERVE(s->ids, s->ids.size + 1) ||
        map_put(&s->asked, (uint64_t)piece, (int32_t)s->ids.size))
        return NO_MEMORY;
    if (many) memcpy(s->numbers.at + size, numbers, (size_t)many * sizeof *numbers);
    s->ids.at[s->ids.size++] = (Ids){(int32_t)size, (int32_t)count, unknown};
    s->numbers.size += many;
    s->pending.size--;
    return 0;
}

/* Return the number of beams: those of ctc_finish, or those after the last frame. */
CORE_EXPORT int64_t ctc_count(const Search *s, int32_t finished) {
    return finished ? s->found.size : s->beams.size;
}

/* The sizes of the text of a beam: code points, with a 0 after each word, and words. */
CORE_EXPORT int32_t ctc_sizes(const Search *s, int32_t finished, int64_t beam, int64_t *sizes) {
    const Beams *beams = finished ? &s->found : &s->beams;
    if (beam < 0 || beam >= beams->size) return WRONG;
    int32_t text = beams->at[beam].text;
    sizes[0] = piece_at(s, beams->at[beam].piece)->length;
    sizes[1] = s->texts.at[text].words;
    for (; text; text = s->texts.at[text].parent) sizes[0] += piece_at(s, s->texts.at[text].piece)->length + 1;
    return 0;
}

/* Write a beam: its text, of ctc_sizes; the first frame of each word and one past its last; its two
   scores; and the state of the language model, N - 1 numbers. */
CORE_EXPORT int32_t ctc_write(const Search *s, int32_t finished, int64_t beam, uint32_t *points,
                              int32_t *frames, double *scores, int64_t *state) {
    int64_t sizes[2];
    if (ctc_sizes(s, finished, beam, sizes)) return WRONG;
    const Beam *one = &(finished ? &s->found : &s->beams)->at[beam];
    uint32_t *end = points + sizes[0];
    spell(s, one->piece, end);
    end -= piece_at(s, one->piece)->length;
    int64_t word = sizes[1];
    for (int32_t text = one->text, span = one->spans; text; text = s->texts.at[text].parent) {
        int32_t piece = s->texts.at[text].piece;
        *--end = 0;
        spell(s, piece, end);
        end -= piece_at(s, piece)->length;
        word--;
        frames[2 * word] = s->spans.at[span].start;
        frames[2 * word + 1] = s->spans.at[span].end;
        span = s->spans.at[span].before;
    }
    scores[0] = one->logit, scores[1] = one->score;
    int64_t size = s->with.orders ? s->with.N - 1 : 0;
    if (size) memcpy(state, s->states.at + one->text * size, (size_t)size * sizeof *state);
    return 0;
}

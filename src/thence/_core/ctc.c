/* CTC prefix beam search over the frames of an acoustic model (Hannun et al. 2014), with an n-gram language
   model of words, or of the characters or bytes that spell them (ctc_spelled.c).

   A beam is a text with the label of its last frame. Alignments with the same text and last label are merged,
   which adds their probabilities. The result equals that of Search in ctc/search.py: the order of additions is
   the same, so texts and scores are too.

   A word, complete or not, is a node (Piece) of a trie of code points. The nodes of known words are made once
   (Words), all others when a search meets them. A text is a link to the text before and the node of its last
   word. The ids of an unknown word come from Python: the search stops within a frame, and repeats that frame
   once it has them. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ctc.h"

static const double LN_10 = 2.302585092994046;

/* Return the child of a piece for a code point, created if it does not exist. */
static int32_t longer_piece(Search *s, int32_t piece, uint32_t point) {
    int32_t found = piece < s->known ? child_of(&s->with.words->children, piece, point) : NONE;
    if (found < 0) found = child_of(&s->children, piece, point);
    if (found >= 0) return found;
    return add_piece(&s->pieces, &s->children, s->known, piece, point, piece_at(s, piece)->length + 1);
}

CORE_EXPORT void ctc_free(Search *s) {
    if (!s) return;
    Map *maps[] = {&s->children, &s->hot, &s->asked, &s->longer, &s->letters, &s->spelled};
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) free_map(maps[i]);
    void *lists[] = {s->pieces.at, s->hots.at,  s->ids.at,  s->numbers.at, s->states.at, s->texts.at,
                     s->spans.at,  s->beams.at, s->next.at, s->found.at,   s->slots.at,  s->pending.at,
                     s->chain.at,  s->spellings.at, s->spelled_states.at};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) free(lists[i]);
    free(s);
}

/* Add a hotword, given its code points. A word that begins like it gets a part of the bonus, in proportion to
   the length; a beginning that it shares with a shorter hotword keeps that one's. Hotwords come shortest first.
   Returns 0 or NO_MEMORY. */
static int add_hotword(Search *s, const uint32_t *points, int64_t length) {
    int32_t piece = 0;
    for (int64_t i = 0; i < length; i++) {
        piece = longer_piece(s, piece, points[i]);
        if (piece < 0) return NO_MEMORY;
        if (map_get(&s->hot, (uint64_t)piece) >= 0) continue;
        double partial = s->with.hot_weight * (double)(i + 1) / (double)length;
        if (RESERVE(s->hots, s->hots.size + 1) || map_put(&s->hot, (uint64_t)piece, (int32_t)s->hots.size))
            return NO_MEMORY;
        s->hots.at[s->hots.size++] = (Hot){partial, 0};
    }
    s->hots.at[map_get(&s->hot, (uint64_t)piece)].is_word = 1;
    return 0;
}

/* Return a new search, to be freed by ctc_free; NULL without memory, or if an argument is out of range. `state`
   is the state of the language model before the first frame (N - 1 numbers). */
CORE_EXPORT Search *ctc_search(const Settings *with, const int64_t *state, const uint32_t *hot_points,
                               const int64_t *hot_starts, int64_t hotwords) {
    if (with->labels < 1 || with->width < 1 || (with->orders && !model_fits(with->orders, with->N, with->V)))
        return NULL;
    if (with->orders && with->words && with->words->V != with->V) return NULL;
    if (with->orders && with->other >= with->V) return NULL;
    for (int32_t k = 0; with->orders && k < with->N - 1; k++)
        if (state[k] < -1 || state[k] >= with->orders[k].size) return NULL;
    for (int64_t l = 0; l < with->labels; l++)
        if (with->kinds[l] < BLANK || with->kinds[l] > INSIDE || with->starts[l + 1] < with->starts[l])
            return NULL;
    Search *s = calloc(1, sizeof(Search));
    if (!s) return NULL;
    s->with = *with;
    s->most = with->most;
    s->known = with->words ? with->words->pieces.size : 0;
    int64_t numbers = with->orders ? with->N - 1 : 0;
    if ((!s->known && add_piece(&s->pieces, &s->children, 0, NONE, 0, 0) < 0) ||
        RESERVE(s->texts, 1) || RESERVE(s->states, numbers + 1) || RESERVE(s->beams, 1))
        goto failed;
    s->texts.at[s->texts.size++] = (Text){NONE, 0, 0, 1, 0, 0, 0};
    if (numbers) memcpy(s->states.at, state, (size_t)numbers * sizeof *state);
    s->states.size = numbers;
    if (with->orders && with->other >= 0) {
        if (RESERVE(s->ids, 1) || RESERVE(s->numbers, 1)) goto failed;
        s->ids.at[s->ids.size++] = (Ids){0, 1, 1};
        s->numbers.at[s->numbers.size++] = with->other;
    }
    if (with->orders && with->spelled && add_letters(s)) goto failed;
    s->fixed_ids = s->ids.size;
    s->fixed_numbers = s->numbers.size;
    s->beams.at[s->beams.size++] = (Beam){0, 0, NONE, NONE, NONE, NONE, 0, 0};
    for (int64_t h = 0; h < hotwords; h++)
        if (hot_starts[h + 1] <= hot_starts[h] ||
            add_hotword(s, hot_points + hot_starts[h], hot_starts[h + 1] - hot_starts[h]))
            goto failed;
    return s;
failed:
    ctc_free(s);
    return NULL;
}

/* Return the ids of a word, or NULL if they must be requested from Python first. */
static const Ids *ids_of(Search *s, int32_t piece) {
    if (piece < s->known) {
        int32_t place = map_get(&s->with.words->words, (uint64_t)piece);
        if (place >= 0) return &s->with.words->ids.at[place];
    }
    int32_t place = s->with.other >= 0 ? 0 : map_get(&s->asked, (uint64_t)piece);
    if (place >= 0) return &s->ids.at[place];
    if (place == NONE && !RESERVE(s->pending, s->pending.size + 1) &&
        !map_put(&s->asked, (uint64_t)piece, ASKED))
        s->pending.at[s->pending.size++] = piece;
    return NULL;
}

/* Return the text that is longer by one word, created if it does not exist. */
static int32_t longer_text(Search *s, int32_t text, int32_t piece) {
    int32_t found = map_get(&s->longer, pair_key(text, (uint32_t)piece));
    if (found >= 0) return found;
    int64_t numbers = s->with.orders ? s->with.N - 1 : 0, size = s->texts.size;
    if (s->with.orders && !s->with.spelled && !ids_of(s, piece) && !s->pending.size) return NO_MEMORY;
    if (size >= INT32_MAX || RESERVE(s->texts, size + 1) ||
        RESERVE(s->states, s->states.size + numbers) ||
        map_put(&s->longer, pair_key(text, (uint32_t)piece), (int32_t)size))
        return NO_MEMORY;
    int32_t hot = map_get(&s->hot, (uint64_t)piece);
    double more = hot >= 0 && s->hots.at[hot].is_word ? s->with.hot_weight : 0;
    const Text *before = &s->texts.at[text];
    uint64_t recent = (uint64_t)piece + 1; /* A hash of the last words, the newest first. */
    for (int32_t k = 1, at = text; k < s->with.history && at > 0; k++, at = s->texts.at[at].parent)
        recent = (recent ^ ((uint64_t)s->texts.at[at].piece + 1)) * 0x9E3779B97F4A7C15u;
    s->texts.at[s->texts.size++] =
        (Text){text, piece, before->words + 1, !s->with.orders, 0, before->hot + more, recent};
    s->states.size += numbers;
    return (int32_t)size;
}

/* Whether a spelled word gets the penalty of unknown words: it is not in the lexicon, or, without a lexicon,
   has an unknown letter. */
static int is_unknown(const Search *s, int32_t piece, const Spelled *spelled) {
    if (!s->with.words || !s->with.words->ids.size) return spelled->unknown;
    return piece >= s->known || map_get(&s->with.words->words, (uint64_t)piece) < 0;
}

/* Score a text, and the texts before it, by the language model. */
static void score_text(Search *s, int32_t place) {
    Text *text = &s->texts.at[place];
    if (text->scored) return;
    score_text(s, text->parent);
    if (s->with.spelled) {
        int32_t at = spelled_after(s, text->parent, text->piece);
        if (at < 0) {
            s->failed = 1;
            return;
        }
        int64_t numbers = s->with.N - 1;
        double log_prob = s->spellings.at[at].log_prob;
        if (is_unknown(s, text->piece, &s->spellings.at[at])) log_prob += s->with.offset * LN_10;
        if (numbers)
            memcpy(s->states.at + place * numbers, s->spelled_states.at + at * numbers,
                   (size_t)numbers * sizeof *s->states.at);
        text->score = s->texts.at[text->parent].score + (s->with.alpha * log_prob + s->with.beta);
        text->scored = 1;
        return;
    }
    const Ids *ids = ids_of(s, text->piece);
    const int64_t *numbers = ids >= s->ids.at && ids < s->ids.at + s->ids.size
                                 ? s->numbers.at : s->with.words->numbers.at;
    int64_t size = s->with.N - 1, *state = s->states.at + place * size, none[1] = {-1};
    memcpy(state, s->states.at + text->parent * size, (size_t)size * sizeof *state);
    double log_prob = ids->count == IMPOSSIBLE ? -100 * LN_10 : 0;
    for (int32_t i = 0; i < ids->count; i++)
        log_prob += read_word(s->with.orders, s->with.N, numbers[ids->first + i], size ? state : none);
    if (ids->unknown) log_prob += s->with.offset * LN_10;
    text->score = s->texts.at[text->parent].score + (s->with.alpha * log_prob + s->with.beta);
    text->scored = 1;
}

static void score_beam(Search *s, Beam *beam) {
    score_text(s, beam->text);
    const Text *text = &s->texts.at[beam->text];
    beam->score = beam->logit + text->score + text->hot;
    if (!beam->piece) return;
    int32_t hot = map_get(&s->hot, (uint64_t)beam->piece);
    if (hot >= 0) beam->score += s->hots.at[hot].partial;
    if (!s->with.orders || (hot >= 0 && !s->with.spelled)) return;
    double more = 0;
    if (beam->piece >= s->known && (s->with.words || !s->with.spelled)) {
        double share = (double)piece_at(s, beam->piece)->length / s->with.average;
        more = s->with.offset * (share > 1 ? share : 1);
    }
    if (s->with.spelled) {
        int32_t at = spelled_after(s, beam->text, beam->piece);
        if (at < 0) s->failed = 1;
        else more += s->with.alpha * s->spellings.at[at].log_prob;
    }
    beam->score += more;
}

static uint64_t slot_of(const Search *s, const Beam *beam) {
    uint64_t key = pair_key(beam->text, (uint32_t)beam->piece) * 0x9E3779B97F4A7C15u;
    key = (key ^ key >> 29 ^ (uint64_t)(beam->last + 1)) * 0xBF58476D1CE4E5B9u;
    return (key ^ key >> 31) & (uint64_t)(s->slots.size - 1);
}

/* Prepare the hash table for merging up to `most` beams. Returns 0 or NO_MEMORY. */
static int begin_merge(Search *s, int64_t most) {
    int64_t size = 64;
    while (size < 2 * most) size *= 2;
    if (RESERVE(s->slots, size) || RESERVE(s->next, most)) return NO_MEMORY;
    memset(s->slots.at, 0xFF, (size_t)size * sizeof *s->slots.at);
    s->slots.size = size;
    s->next.size = 0;
    return 0;
}

/* Merge a beam with the one of the same text and last label, if there is one: log(e^a + e^b) of their scores,
   and the frames of the likelier of the two. */
static void merge(Search *s, Beam beam) {
    uint64_t slot = slot_of(s, &beam);
    for (; s->slots.at[slot] >= 0; slot = (slot + 1) & (uint64_t)(s->slots.size - 1)) {
        Beam *same = &s->next.at[s->slots.at[slot]];
        if (same->text != beam.text || same->piece != beam.piece || same->last != beam.last) continue;
        double high = same->logit, low = beam.logit;
        if (low > high) {
            high = beam.logit, low = same->logit;
            same->spans = beam.spans, same->start = beam.start, same->end = beam.end;
        }
        same->logit = high + log1p(exp(low - high));
        return;
    }
    s->slots.at[slot] = (int32_t)s->next.size;
    s->next.at[s->next.size++] = beam;
}

/* End the word of a beam, which becomes part of its text. Returns 0 or NO_MEMORY. */
static int end_word(Search *s, Beam *beam) {
    int32_t text = longer_text(s, beam->text, beam->piece);
    if (text < 0 || RESERVE(s->spans, s->spans.size + 1)) return NO_MEMORY;
    s->spans.at[s->spans.size] = (Span){beam->spans, beam->start, beam->end};
    beam->spans = (int32_t)s->spans.size++;
    beam->text = text;
    return 0;
}

/* Extend a beam by a label; a repeated label and a blank add no text. Returns 0 or NO_MEMORY. */
static int extend(Search *s, Beam *beam, int32_t label) {
    int32_t frame = (int32_t)s->frame, kind = s->with.kinds[label];
    if (kind == BLANK) return beam->last = label, 0;
    if (label == beam->last) return beam->end = frame + 1, 0;
    beam->last = label;
    if (kind == INSIDE) {
        beam->start = beam->start < 0 ? frame : beam->start;
    } else {
        if (beam->piece && end_word(s, beam)) return NO_MEMORY;
        beam->piece = 0;
        beam->start = frame;
    }
    beam->end = frame + 1;
    for (int64_t i = s->with.starts[label]; i < s->with.starts[label + 1]; i++) {
        beam->piece = longer_piece(s, beam->piece, s->with.points[i]);
        if (beam->piece < 0) return NO_MEMORY;
    }
    if (kind == CLOSED && end_word(s, beam)) return NO_MEMORY;
    if (kind == CLOSED) beam->piece = 0;
    if (kind == CLOSED || kind == SPACE) beam->start = beam->end = NONE;
    return 0;
}

typedef struct { double score; int64_t place; } Ranked;

static int by_score(const void *first, const void *second) {
    const Ranked *a = first, *b = second;
    if (a->score != b->score) return a->score < b->score ? 1 : -1;
    return a->place < b->place ? -1 : 1;
}

/* Whether two beams have the same last label, word and history, so that they will get the same scores. */
static int same_history(const Search *s, const Beam *a, const Beam *b) {
    if (a->piece != b->piece || a->last != b->last) return 0;
    int32_t first = a->text, second = b->text;
    for (int32_t k = 0; k < s->with.history && first != second; k++) {
        if (!first || !second || s->texts.at[first].piece != s->texts.at[second].piece) return 0;
        first = s->texts.at[first].parent, second = s->texts.at[second].parent;
    }
    return 1;
}

/* Copy the best of the next beams to another list, best first. Returns 0 or NO_MEMORY. */
static int keep_best(Search *s, Beams *kept, int history) {
    int64_t size = 0;
    double best = -INFINITY;
    Ranked *ranked = malloc((size_t)(s->next.size + 1) * sizeof *ranked);
    if (!ranked || RESERVE(*kept, s->next.size)) return free(ranked), NO_MEMORY;
    for (int64_t i = 0; i < s->next.size; i++)
        best = s->next.at[i].score > best ? s->next.at[i].score : best;
    for (int64_t i = 0; i < s->next.size; i++)
        if (s->next.at[i].score >= best + s->with.prune) ranked[size++] = (Ranked){s->next.at[i].score, i};
    qsort(ranked, (size_t)size, sizeof *ranked, by_score);
    size = size < s->with.width ? size : s->with.width;
    if (history) memset(s->slots.at, 0xFF, (size_t)s->slots.size * sizeof *s->slots.at);
    kept->size = 0;
    for (int64_t i = 0; i < size; i++) {
        const Beam *beam = &s->next.at[ranked[i].place];
        if (history) {
            Beam key = {(int32_t)(s->texts.at[beam->text].recent >> 33), beam->piece, beam->last, 0, 0, 0, 0, 0};
            uint64_t slot = slot_of(s, &key), mask = (uint64_t)(s->slots.size - 1);
            while (s->slots.at[slot] >= 0 && !same_history(s, beam, &kept->at[s->slots.at[slot]]))
                slot = (slot + 1) & mask;
            if (s->slots.at[slot] >= 0) continue;
            s->slots.at[slot] = (int32_t)kept->size;
        }
        kept->at[kept->size++] = *beam;
    }
    free(ranked);
    return 0;
}

/* Read frames of log-probabilities (frames, labels) without NaN. Returns how many frames were read (fewer than
   all if ids of words are requested, see ctc_asked), or NO_MEMORY. */
CORE_EXPORT int64_t ctc_read(Search *s, const double *log_probs, int64_t frames) {
    const int64_t labels = s->with.labels;
    for (int64_t f = 0; f < frames; f++, log_probs += labels) {
        if (!s->again && (s->texts.size > s->most || s->pieces.size > s->most ||
                          s->spellings.size > s->most)) {
            if (forget(s)) return NO_MEMORY;
            int64_t kept = s->texts.size > s->pieces.size ? s->texts.size : s->pieces.size;
            s->most = 2 * kept > s->with.most ? 2 * kept : s->with.most;
        }
        int64_t best = 0;
        for (int64_t l = 1; l < labels; l++) best = log_probs[l] > log_probs[best] ? l : best;
        int64_t tried = 0;
        for (int64_t l = 0; l < labels; l++) tried += l == best || log_probs[l] >= s->with.min_log_prob;
        if (s->frame >= INT32_MAX || begin_merge(s, tried * s->beams.size)) return NO_MEMORY;
        for (int64_t l = 0; l < labels; l++) {
            if (l != best && !(log_probs[l] >= s->with.min_log_prob)) continue;
            for (int64_t b = 0; b < s->beams.size; b++) {
                Beam beam = s->beams.at[b];
                if (extend(s, &beam, (int32_t)l)) return NO_MEMORY;
                beam.logit += log_probs[l];
                merge(s, beam);
            }
        }
        s->again = s->pending.size > 0;
        if (s->again) return f;
        for (int64_t i = 0; i < s->next.size; i++) score_beam(s, &s->next.at[i]);
        if (s->failed || keep_best(s, &s->beams, s->with.history > 0)) return NO_MEMORY;
        s->frame++;
    }
    return frames;
}

/* End the last word of every beam, on copies. Returns 0, 1 if ids of words are requested first, or NO_MEMORY. */
CORE_EXPORT int32_t ctc_finish(Search *s) {
    if (begin_merge(s, s->beams.size)) return NO_MEMORY;
    for (int64_t b = 0; b < s->beams.size; b++) {
        Beam beam = s->beams.at[b];
        if (beam.piece && end_word(s, &beam)) return NO_MEMORY;
        beam.piece = 0, beam.last = beam.start = beam.end = NONE;
        merge(s, beam);
    }
    if (s->pending.size) return 1;
    for (int64_t i = 0; i < s->next.size; i++) {
        Beam *beam = &s->next.at[i];
        score_beam(s, beam);
        if (!s->with.orders || !s->with.boundary) continue;
        int64_t size = s->with.N - 1, state[MAX_ORDER] = {-1};
        if (size) memcpy(state, s->states.at + beam->text * size, (size_t)size * sizeof *state);
        beam->score += s->with.alpha * read_word(s->with.orders, s->with.N, s->with.V - 1, state);
    }
    return s->failed ? NO_MEMORY : keep_best(s, &s->found, 0);
}

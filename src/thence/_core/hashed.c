/* N-gram models in KenLM's hash tables (Heafield 2011, "KenLM: faster and smaller language model queries",
   sections 3.1 and 4).

   The key of a word is MurmurHash64A of its bytes; that of an n-gram is a hash of its word ids, from the last
   word to the first:  h(w) = w,  h(w1 .. wk) = h(w2 .. wk) A ^ (1 + w1) B.  A query looks up longer and longer
   n-grams that end with the word, until one is missing, and adds the back-off weights of the longer contexts.
   The sign bit of a log-probability, which is never above 0, says whether the n-gram is the end of a longer
   one: it is + if so.

   A state is the shortest context that gives the same scores from then on: its words, the last one
   first, and the back-off weight of each of its ends. A context whose weight is -0.0 is never needed.

   Python: HashedNGrams._walk of models/ngram/hashed.py, to the bit. */

#include <string.h>

#include "slots.h"

typedef struct {
    Slots words;             /* Hashes of words, and their ids. */
    const uint8_t *unigrams; /* log10 probability and back-off weight of each id, in floats. */
    const Slots *longer;     /* The n-grams of orders 2 .. N, likewise; those of order N have no weight. */
    int64_t V, unigram_stride;
    int32_t N;
    uint32_t end;            /* The id of </s>. */
} Hashed;

typedef struct { /* What is known of a word after its context. */
    float log_prob;
    int32_t order; /* of the longest n-gram that ends there */
    uint32_t id;   /* 0: unknown */
} Found;

typedef struct {
    int32_t length;
    uint32_t words[MAX_ORDER];
    float backoffs[MAX_ORDER];
} State;

enum { END = 1 }; /* Flag: score </s> after the words of a text. */
enum { ASKED = 3 }; /* Context words up to which n-grams are prefetched; longer ones rarely exist. */

static inline float read_float(const uint8_t *at) {
    float value;
    memcpy(&value, at, 4);
    return value;
}

static inline uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

/* Hash words that stand one after another in `bytes`, word i from offsets[i] to offsets[i + 1]; 0, or -1
   if the offsets do not fit. */
CORE_EXPORT int32_t hashed_words(const uint8_t *bytes, int64_t size, const int64_t *offsets,
                                 int64_t words, uint64_t *hashes) {
    for (int64_t i = 0; i < words; i++) {
        int64_t first = offsets[i], last = offsets[i + 1];
        if (first < 0 || last < first || last > size) return -1;
        hashes[i] = murmur(bytes + first, last - first);
    }
    return 0;
}

static uint64_t hash_of(const uint8_t *word, int64_t size) {
    const uint8_t *nul = memchr(word, 0, (size_t)size); /* Where KenLM takes a word to end. */
    return murmur(word, nul ? nul - word : size);
}

static uint32_t id_of(const Hashed *model, uint64_t hash, uint64_t slot) {
    const uint8_t *at = look_up(&model->words, hash, slot);
    uint32_t id = 0;
    if (at) memcpy(&id, at + 8, 4);
    return id < model->V ? id : 0;
}

static inline uint64_t longer_hash(uint64_t hash, uint32_t word) {
    return hash * 8978948897894561157u ^ (1 + (uint64_t)word) * 17894857484156487943u;
}

/* Score a word after a state, and write the state after it. */
static Found read_one(const Hashed *model, const State *before, uint32_t word, State *after) {
    const uint8_t *at = model->unigrams + word * model->unigram_stride;
    float weight = read_float(at + 4);
    Found found = {-fabsf(read_float(at)), 1, word};
    int extends = !(bits_of(read_float(at)) >> 31);
    uint64_t hash = word;
    after->words[0] = word;
    after->backoffs[0] = weight;
    after->length = model->N > 1 && bits_of(weight) != bits_of(-0.0f);
    for (int32_t k = 1; k <= before->length && extends; k++) { /* n-grams of order k + 1 */
        const Slots *table = &model->longer[k - 1];
        hash = longer_hash(hash, before->words[k - 1]);
        at = look_up(table, hash, slot_of(table, hash));
        if (!at) break;
        found.log_prob = -fabsf(read_float(at + 8));
        found.order = k + 1;
        if (k == model->N - 1) break;
        extends = !(bits_of(read_float(at + 8)) >> 31);
        after->backoffs[k] = weight = read_float(at + 12);
        if (bits_of(weight) != bits_of(-0.0f)) after->length = k + 1;
    }
    for (int32_t k = 1; k < after->length; k++) after->words[k] = before->words[k - 1];
    for (int32_t k = found.order; k <= before->length; k++) found.log_prob += before->backoffs[k - 1];
    return found;
}

static int is_space(uint8_t byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static int hashed_fits(const Hashed *model) {
    if (model->N < 1 || model->N > MAX_ORDER || model->V < 1 || model->end >= model->V) return 0;
    if (!table_fits(&model->words, 12) || model->unigram_stride < 8) return 0;
    for (int32_t k = 1; k < model->N; k++)
        if (!table_fits(&model->longer[k - 1], k == model->N - 1 ? 12 : 16)) return 0;
    return 1;
}

/* Look up the next words of a text, at most BLOCK; return how many. All are hashed and prefetched first, then
   looked up, so that their memory accesses overlap. Their n-grams are prefetched in the same way. */
static int32_t read_words(const Hashed *model, const uint8_t **text, const uint8_t *stop,
                          uint32_t *ids) {
    uint64_t hashes[BLOCK], slots[BLOCK];
    const uint8_t *at = *text;
    int32_t count = 0;
    for (; count < BLOCK; count++) {
        while (at < stop && is_space(*at)) at++;
        const uint8_t *first = at;
        while (at < stop && !is_space(*at)) at++;
        if (first == at) break;
        hashes[count] = hash_of(first, at - first);
        slots[count] = slot_of(&model->words, hashes[count]);
        PREFETCH(model->words.slots + slots[count] * (uint64_t)model->words.stride);
    }
    *text = at;
    for (int32_t i = 0; i < count; i++) {
        ids[i] = id_of(model, hashes[i], slots[i]);
        PREFETCH(model->unigrams + ids[i] * model->unigram_stride);
        uint64_t hash = ids[i];
        for (int32_t k = 1; k < model->N && k <= i && k <= ASKED; k++) {
            const Slots *table = &model->longer[k - 1];
            hash = longer_hash(hash, ids[i - k]);
            PREFETCH(table->slots + slot_of(table, hash) * (uint64_t)table->stride);
        }
    }
    return count;
}

typedef struct { /* A text that is being scored. */
    const Hashed *model;
    State states[2];
    int which; /* of the states is the one after the words so far */
    float total;
    Found *founds; /* output for the words to come, with this room; or NULL */
    int64_t room;
} Walk;

static void copy_state(State *to, const State *from) {
    to->length = from->length;
    memcpy(to->words, from->words, 4 * (size_t)from->length);
    memcpy(to->backoffs, from->backoffs, 4 * (size_t)from->length);
}

static int begin(Walk *walk, const Hashed *model, const State *context, Found *founds, int64_t room) {
    if (!context || !hashed_fits(model) || context->length < 0 || context->length >= model->N) return 0;
    walk->model = model, walk->which = 0, walk->total = 0, walk->founds = founds, walk->room = room;
    copy_state(&walk->states[0], context);
    for (int32_t k = 0; k < context->length; k++)
        if (context->words[k] >= model->V) return 0;
    return 1;
}

static int step(Walk *walk, uint32_t word) {
    State *before = &walk->states[walk->which], *after = &walk->states[walk->which ^= 1];
    Found found = read_one(walk->model, before, word, after);
    walk->total += found.log_prob;
    if (!walk->founds) return 1;
    if (walk->room-- <= 0) return 0;
    *walk->founds++ = found;
    return 1;
}

/* Score the words of a text, separated by white space. */
static int go_through(Walk *walk, const uint8_t *text, int64_t size, int32_t flags) {
    uint32_t ids[BLOCK];
    const uint8_t *stop = text + size;
    for (int32_t count = BLOCK; count == BLOCK;) {
        count = read_words(walk->model, &text, stop, ids);
        for (int32_t i = 0; i < count; i++)
            if (!step(walk, ids[i])) return 0;
    }
    return !(flags & END) || step(walk, walk->model->end);
}

/* Return the log10 probability of a text after a context; NaN if an argument is out of range. */
CORE_EXPORT float hashed_score(const Hashed *model, const State *context, const uint8_t *text,
                               int64_t size, int32_t flags) {
    Walk walk;
    if (!begin(&walk, model, context, NULL, 0)) return NAN;
    return go_through(&walk, text, size, flags) ? walk.total : NAN;
}

/* Write a Found for each of the `room` words of a text. Returns 0, or -1 if an argument is out of range. */
CORE_EXPORT int32_t hashed_words_of(const Hashed *model, const State *context, const uint8_t *text,
                                    int64_t size, int32_t flags, Found *founds, int64_t room) {
    Walk walk;
    if (!begin(&walk, model, context, founds, room)) return -1;
    return go_through(&walk, text, size, flags) && !walk.room ? 0 : -1;
}

/* Return the log10 probability of one word, which ends with a zero byte, after a context; NaN if an argument is
   out of range. Write the context after it, which may be the same struct, and, unless NULL, a Found. */
CORE_EXPORT float hashed_step(const Hashed *model, const State *context, const uint8_t *word,
                              State *after, Found *found) {
    Walk walk;
    Found known;
    if (!word || !after || !begin(&walk, model, context, &known, 1)) return NAN;
    uint64_t hash = murmur(word, (int64_t)strlen((const char *)word));
    step(&walk, id_of(model, hash, slot_of(&model->words, hash)));
    copy_state(after, &walk.states[walk.which]);
    if (found) *found = known;
    return known.log_prob;
}

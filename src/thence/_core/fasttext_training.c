/* fastText's training: stochastic gradient descent, one example at a time, with a linearly falling rate.

   An example has the rows r_1 ... r_n of the input E (words, character n-grams, word n-grams) and targets among
   the rows of the output W (Joulin et al. 2016; Bojanowski et al. 2017):

       h = mean of E[r_i],   s = W h,   a step of  rate d(log p)/ds  on W, and back to each E[r_i].

   p is a softmax; or a logistic regression for each row of W (one-vs-all), for the target and a few sampled rows
   (negative sampling), or for each branch on the path to the target (hierarchical softmax). Sums are made in the
   order of the text, in one thread, so results are reproducible. The same in Python: fasttext/steps.py. */

#include <string.h>

#include "core.h"

/* Reading: the words of a text as numbers, in the order in which they first occur. */

typedef struct {
    const uint8_t *text;
    int64_t length, at;   /* how far it is read */
    int32_t *slots;       /* numbers of words by hash, -1 where free: 2^bits of them, */
    int32_t bits;         /* which is room for half as many words */
    int64_t *starts;      /* where each distinct word is in the text; -1: it is the end of a line */
    int64_t *ends;
    uint32_t *hashes;     /* FNV-1a as fastText computes it, with signed bytes */
    int64_t words, placed; /* how many there are, and how many of them are in slots */
    int32_t *tokens;      /* the number of each word of the text; room for length + 1 */
    int64_t num_tokens;
} Reading;

static const uint8_t END_OF_LINE[] = {'<', '/', 's', '>'};

static int is_space(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r') || c == 0; }

static uint32_t hash_of(const uint8_t *word, int64_t length) {
    uint32_t hash = 2166136261u;
    for (int64_t i = 0; i < length; i++) hash = (hash ^ (uint32_t)(int32_t)(int8_t)word[i]) * 16777619u;
    return hash;
}

/* The slot of a word, or the free one where it belongs. */
static int64_t slot_of(const Reading *r, const uint8_t *word, int64_t length, uint32_t hash) {
    int64_t mask = ((int64_t)1 << r->bits) - 1;
    for (int64_t slot = (int64_t)(hash * 0x9E3779B1u) & mask;; slot = (slot + 1) & mask) {
        int32_t number = r->slots[slot];
        if (number < 0) return slot;
        if (r->hashes[number] != hash) continue;
        const uint8_t *other = r->starts[number] < 0 ? END_OF_LINE : r->text + r->starts[number];
        int64_t size = r->starts[number] < 0 ? 4 : r->ends[number] - r->starts[number];
        if (size == length && !memcmp(other, word, (size_t)length)) return slot;
    }
}

/* Continue reading. Returns 0 at the end of the text, or 1 if a larger table is needed; the caller gives an empty
   one, and the words so far are inserted again. */
CORE_EXPORT int32_t fasttext_read(Reading *r) {
    for (; r->placed < r->words; r->placed++) {
        int64_t n = r->placed;
        const uint8_t *word = r->starts[n] < 0 ? END_OF_LINE : r->text + r->starts[n];
        int64_t size = r->starts[n] < 0 ? 4 : r->ends[n] - r->starts[n];
        r->slots[slot_of(r, word, size, r->hashes[n])] = (int32_t)n;
    }
    int64_t room = (int64_t)1 << (r->bits - 1);
    while (r->at < r->length) {
        int64_t start = r->at, end = start;
        while (end < r->length && !is_space(r->text[end])) end++;
        int ends_line = end == start && r->text[end] == '\n';
        if (end == start && !ends_line) {
            r->at++;
            continue;
        }
        const uint8_t *word = ends_line ? END_OF_LINE : r->text + start;
        int64_t size = ends_line ? 4 : end - start;
        uint32_t hash = hash_of(word, size);
        int64_t slot = slot_of(r, word, size, hash);
        if (r->slots[slot] < 0) {
            if (r->words >= room) return 1;
            r->starts[r->words] = ends_line ? -1 : start;
            r->ends[r->words] = end;
            r->hashes[r->words] = hash;
            r->slots[slot] = (int32_t)r->words;
            r->placed = ++r->words;
        }
        r->tokens[r->num_tokens++] = r->slots[slot];
        r->at = ends_line ? end + 1 : end;
    }
    return 0;
}

/* Training. */

enum { SOFTMAX = 3, ONE_VS_ALL = 4 }; /* fastText's numbers of losses; 1 and 2 have paths or draws. */
enum { TRIES = 100 }; /* Attempts to sample a row other than the target; there may be none. */

typedef struct {
    float *input, *output; /* E (rows, size), W (outputs, size) */
    int64_t rows, outputs, size;
    const int32_t *tokens;     /* of all documents, as numbers of distinct words */
    const int64_t *offsets;    /* where each document's begin; documents + 1 */
    const int32_t *targets;    /* rows of W: the labels of each document; or of each word, or -1 */
    const int64_t *target_offsets; /* documents + 1; NULL where words are the targets */
    int64_t documents, words;
    const uint32_t *hashes;    /* of each distinct word */
    const int32_t *word_rows;  /* rows of E: each distinct word's and those of its parts */
    const int64_t *word_bounds; /* words + 1 */
    int64_t first_bucket, buckets; /* the rows of E for runs of words, */
    const int32_t *bucket_rows; /* counted from the first; -1: it has none. NULL: all have theirs */
    int32_t run;               /* words in the longest run */
    int32_t loss;
    const int32_t *draws;      /* rows of W to draw from; NULL: none are drawn */
    int64_t num_draws;
    int32_t negatives;         /* how many per target */
    const int32_t *path;       /* of each target: rows of W */
    const uint8_t *turns;      /* and the answers, from the end of its path to the root; or NULL */
    const int64_t *path_bounds; /* targets + 1 */
    int32_t *line;             /* room for the rows of an example */
    int64_t room;
    float *work;               /* for 2 size + outputs numbers */
    uint64_t random;           /* the state of the generator */
} Training;

/* A random number below n; splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t below(Training *t, uint64_t n) {
    uint64_t z = t->random += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return ((z ^ (z >> 31)) >> 32) * n >> 32;
}

static inline float dot(const float *restrict a, const float *restrict b, int64_t size) {
    float part[8] = {0}, rest = 0;
    int64_t k = 0;
    for (; k + 8 <= size; k += 8)
        for (int j = 0; j < 8; j++) part[j] += a[k + j] * b[k + j];
    for (; k < size; k++) rest += a[k] * b[k];
    return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7])) +
           rest;
}

static inline void add(float *restrict to, const float *restrict from, float by, int64_t size) {
    for (int64_t k = 0; k < size; k++) to[k] += by * from[k];
}

/* A step of logistic regression: is this row a target? Returns its loss; 1e-5 bounds it, as in fastText. */
static double ask(Training *t, int64_t row, int is_true, float rate) {
    float *hidden = t->work, *back = hidden + t->size, *w = t->output + row * t->size;
    float p = 1 / (1 + expf(-dot(w, hidden, t->size))), by = rate * ((float)is_true - p);
    add(back, w, by, t->size);
    add(w, hidden, by, t->size);
    return -log((is_true ? p : 1 - p) + 1e-5);
}

/* Make a step on an example with n rows in t->line; returns its loss in nats. Each row gets this share of the
   gradient: 1 / n for a document, the true gradient of the mean; 1 for word vectors, as in fastText. */
static double learn(Training *t, int64_t n, const int32_t *targets, int64_t num_targets, float rate,
                    float share) {
    float *hidden = t->work, *back = hidden + t->size, *scores = back + t->size;
    const int64_t size = t->size;
    memset(hidden, 0, 2 * (size_t)size * sizeof(float));
    for (int64_t i = 0; i < n; i++) {
        if (i + AHEAD < n) PREFETCH(t->input + t->line[i + AHEAD] * size);
        add(hidden, t->input + t->line[i] * size, 1, size);
    }
    for (int64_t k = 0; k < size; k++) hidden[k] /= (float)n;
    int32_t target = targets[num_targets > 1 && t->loss != ONE_VS_ALL ? below(t, num_targets) : 0];
    double loss = 0;
    if (t->loss == SOFTMAX) {
        float top = -INFINITY, sum = 0;
        for (int64_t c = 0; c < t->outputs; c++) {
            scores[c] = dot(t->output + c * size, hidden, size);
            top = scores[c] > top ? scores[c] : top;
        }
        for (int64_t c = 0; c < t->outputs; c++) sum += scores[c] = expf(scores[c] - top);
        for (int64_t c = 0; c < t->outputs; c++) {
            float by = rate * ((float)(c == target) - scores[c] / sum);
            add(back, t->output + c * size, by, size);
            add(t->output + c * size, hidden, by, size);
        }
        loss = -log(scores[target] / sum + 1e-5);
    } else if (t->loss == ONE_VS_ALL) {
        for (int64_t c = 0; c < t->outputs; c++) {
            int is_true = 0;
            for (int64_t i = 0; i < num_targets; i++) is_true |= targets[i] == c;
            loss += ask(t, c, is_true, rate);
        }
    } else if (t->path) {
        for (int64_t i = t->path_bounds[target]; i < t->path_bounds[target + 1]; i++)
            loss += ask(t, t->path[i], t->turns[i], rate);
    } else {
        loss = ask(t, target, 1, rate);
        for (int32_t i = 0; i < t->negatives; i++) {
            int32_t drawn = target;
            for (int tries = 0; tries < TRIES && drawn == target; tries++)
                drawn = t->draws[below(t, (uint64_t)t->num_draws)];
            if (drawn != target) loss += ask(t, drawn, 0, rate);
        }
    }
    for (int64_t k = 0; k < size; k++) back[k] *= share;
    for (int64_t i = 0; i < n; i++) {
        if (i + AHEAD < n) PREFETCH(t->input + t->line[i + AHEAD] * size);
        add(t->input + t->line[i] * size, back, 1, size);
    }
    return loss;
}

/* Append the rows of a word to t->line, which has n; return the new number, or -1 if there is no room. */
static int64_t put_word(Training *t, int32_t word, int64_t n) {
    int64_t first = t->word_bounds[word], more = t->word_bounds[word + 1] - first;
    if (n + more > t->room) return -1;
    memcpy(t->line + n, t->word_rows + first, (size_t)more * sizeof(int32_t));
    return n + more;
}

/* Write the rows of a document: words with their character n-grams, then word n-grams; -1 if there is no room. */
static int64_t put_document(Training *t, int64_t document) {
    int64_t first = t->offsets[document], last = t->offsets[document + 1], n = 0;
    for (int64_t i = first; i < last; i++)
        if ((n = put_word(t, t->tokens[i], n)) < 0) return -1;
    for (int64_t i = first; i < last && t->run > 1 && t->buckets > 0; i++) {
        uint64_t hash = (uint64_t)(int64_t)(int32_t)t->hashes[t->tokens[i]];
        for (int64_t j = i + 1; j < last && j < i + t->run; j++) {
            if (n >= t->room) return -1;
            hash = hash * 116049371u + (uint64_t)(int64_t)(int32_t)t->hashes[t->tokens[j]];
            int64_t row = (int64_t)(hash % (uint64_t)t->buckets);
            if (t->bucket_rows) row = t->bucket_rows[row];
            if (row >= 0) t->line[n++] = (int32_t)(t->first_bucket + row);
        }
    }
    return n;
}

/* Set used to 1 for each row of E that a document has. Returns 1 if there is no room for one. */
CORE_EXPORT int32_t fasttext_rows(Training *t, uint8_t *used) {
    for (int64_t d = 0; d < t->documents; d++) {
        int64_t n = put_document(t, d);
        if (n < 0) return 1;
        for (int64_t i = 0; i < n; i++) used[t->line[i]] = 1;
    }
    return 0;
}

/* Whether all numbers are in range. */
CORE_EXPORT int32_t fasttext_fits(const Training *t) {
    if (t->size < 1 || t->outputs < 1 || t->words < 0 || t->documents < 0) return 0;
    int64_t bucket_rows = t->rows - t->first_bucket;
    if (t->first_bucket < 0 || t->buckets < 0 || bucket_rows < 0) return 0;
    if (!t->bucket_rows && t->buckets > bucket_rows) return 0;
    for (int64_t i = 0; t->bucket_rows && i < t->buckets; i++)
        if (t->bucket_rows[i] >= bucket_rows) return 0;
    if (t->offsets[0] < 0 || t->word_bounds[0] < 0) return 0;
    for (int64_t d = 0; d < t->documents; d++)
        if (t->offsets[d] > t->offsets[d + 1]) return 0;
    for (int64_t w = 0; w < t->words; w++)
        if (t->word_bounds[w] > t->word_bounds[w + 1]) return 0;
    for (int64_t i = t->offsets[0]; i < t->offsets[t->documents]; i++)
        if ((uint64_t)t->tokens[i] >= (uint64_t)t->words) return 0;
    for (int64_t i = t->word_bounds[0]; i < t->word_bounds[t->words]; i++)
        if ((uint64_t)t->word_rows[i] >= (uint64_t)t->rows) return 0;
    int64_t targets = t->words;
    if (t->target_offsets) {
        if (t->target_offsets[0] < 0) return 0;
        for (int64_t d = 0; d < t->documents; d++)
            if (t->target_offsets[d] > t->target_offsets[d + 1]) return 0;
        targets = t->target_offsets[t->documents];
    }
    int64_t choices = t->outputs;
    for (int64_t i = 0; i < targets; i++)
        if (t->targets[i] >= choices || t->targets[i] < (t->target_offsets ? 0 : -1)) return 0;
    for (int64_t i = 0; i < t->num_draws; i++)
        if ((uint64_t)t->draws[i] >= (uint64_t)t->outputs) return 0;
    if (!t->path) return t->loss >= SOFTMAX || t->num_draws > 0;
    for (int64_t c = 0; c < choices; c++)
        if (t->path_bounds[0] < 0 || t->path_bounds[c] > t->path_bounds[c + 1]) return 0;
    for (int64_t i = t->path_bounds[0]; i < t->path_bounds[choices]; i++)
        if ((uint64_t)t->path[i] >= (uint64_t)t->outputs) return 0;
    return 1;
}

/* Make a step on each of the chosen documents, whose labels are the targets. The rate is first (1 - *seen /
   total), where *seen counts tokens and labels so far. Adds to loss and examples. Returns 1 if a document is out
   of range. */
CORE_EXPORT int32_t fasttext_documents(Training *t, const int64_t *chosen, int64_t size, double first,
                                       double total, double *seen, double *loss, int64_t *examples) {
    for (int64_t i = 0; i < size; i++) {
        int64_t d = chosen[i];
        if ((uint64_t)d >= (uint64_t)t->documents || !t->target_offsets) return 1;
        int64_t labels = t->target_offsets[d + 1] - t->target_offsets[d];
        int64_t n = labels ? put_document(t, d) : 0;
        if (n < 0) return 1;
        if (n) {
            float rate = (float)(first * (1 - *seen / total));
            *loss += learn(t, n, t->targets + t->target_offsets[d], labels, rate, 1 / (float)n);
            *examples += 1;
        }
        *seen += (double)(t->offsets[d + 1] - t->offsets[d] + labels);
    }
    return 0;
}

/* Make the steps of skipgram or CBOW on the words of documents from .. to - 1, with contexts of up to window words
   on each side (the reach is random, as in word2vec). kept[w] / 2^32 is the probability that an occurrence of
   word w is kept, which subsamples frequent words. Skipgram predicts each context word from the word in the
   middle; CBOW predicts the word in the middle from all of them. */
CORE_EXPORT int32_t fasttext_words(Training *t, int64_t from, int64_t to, const uint32_t *kept,
                                   int32_t *sample, int64_t sample_room, int32_t window, int32_t cbow,
                                   double first, double total, double *seen, double *loss,
                                   int64_t *examples) {
    if (from < 0 || to > t->documents || t->target_offsets || window < 1) return 1;
    for (int64_t d = from; d < to; d++) {
        int64_t n = 0;
        if (t->offsets[d + 1] - t->offsets[d] > sample_room) return 1;
        for (int64_t i = t->offsets[d]; i < t->offsets[d + 1]; i++) {
            int32_t word = t->tokens[i];
            if (t->targets[word] >= 0 && below(t, (uint64_t)1 << 32) <= kept[word]) sample[n++] = word;
        }
        float rate = (float)(first * (1 - *seen / total));
        for (int64_t w = 0; w < n; w++) {
            int64_t reach = 1 + (int64_t)below(t, (uint64_t)window), rows = 0;
            int64_t begin = w > reach ? w - reach : 0, end = w + reach < n ? w + reach + 1 : n;
            if (!cbow) rows = put_word(t, sample[w], 0);
            for (int64_t c = begin; c < end && rows >= 0; c++) {
                if (c == w) continue;
                if (cbow) {
                    rows = put_word(t, sample[c], rows);
                } else if (rows) {
                    *loss += learn(t, rows, t->targets + sample[c], 1, rate, 1);
                    *examples += 1;
                }
            }
            if (rows < 0) return 1;
            if (cbow && rows) {
                *loss += learn(t, rows, t->targets + sample[w], 1, rate, 1);
                *examples += 1;
            }
        }
        *seen += (double)(t->offsets[d + 1] - t->offsets[d]);
    }
    return 0;
}

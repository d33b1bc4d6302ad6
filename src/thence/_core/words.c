/* Words of a text: where they begin and end, their hashes, and their numbers in a table of hashes.

   The rules are those of tokens/word_splitting.py, which says them in NumPy over a whole chunk; here
   they are followed from left to right. The hash is the same polynomial,
   hash(a, b) = sum of r[c_i] M^(i - a) modulo 2^64. */

#include <string.h>

#include "core.h"

enum { LETTER = 1, SPACE = 2, COMBINING = 4, APOSTROPHE = 8, ASCII_SPACE = 16 };
enum { BY_SPACE = 0, BY_ASCII_SPACE = 1, APART = 2, APART_WITH_SYMBOLS = 3 };

/* One code point of UTF-8, and how many bytes it takes. What is no UTF-8 counts byte by byte and is
   never read beyond the end: texts were decoded before, this is for safety alone. */
uint32_t code_point(const uint8_t *at, const uint8_t *end, int *bytes) {
    uint32_t first = at[0];
    int more = first < 0xC0 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
    if (first < 0x80 || more == 0 || end - at <= more) {
        *bytes = 1;
        return first;
    }
    uint32_t point = first & (0x3Fu >> more);
    for (int i = 1; i <= more; i++) point = point << 6 | (at[i] & 0x3Fu);
    *bytes = more + 1;
    return point;
}

static inline uint8_t class_at(const Rules *rules, const uint8_t *at, const uint8_t *end,
                               uint32_t *point, int *bytes) {
    *point = code_point(at, end, bytes);
    return (int64_t)*point < rules->points ? rules->classes[*point] : 0;
}

/* How many bytes at a place are a special symbol such as </s> between white space; 0: none. */
static int symbol_at(const Rules *rules, const uint8_t *at, const uint8_t *end) {
    static const char *const SYMBOLS[] = {"[UNK]", "</s>", "</eos>", "[PAD]"};
    for (size_t i = 0; i < sizeof SYMBOLS / sizeof *SYMBOLS; i++) {
        int size = (int)strlen(SYMBOLS[i]), bytes;
        uint32_t point;
        if (end - at < size || memcmp(at, SYMBOLS[i], (size_t)size)) continue;
        if (end - at == size || class_at(rules, at + size, end, &point, &bytes) & SPACE) return size;
    }
    return 0;
}

/* The end of the word that begins at a place which is no white space. */
static const uint8_t *word_end(const Rules *rules, const uint8_t *at, const uint8_t *end,
                               int after_space) {
    uint32_t point;
    int bytes;
    uint8_t class = class_at(rules, at, end, &point, &bytes);
    if (rules->rule < APART) {
        uint8_t space = rules->rule == BY_SPACE ? SPACE : ASCII_SPACE;
        for (at += bytes; at < end; at += bytes)
            if (class_at(rules, at, end, &point, &bytes) & space) break;
        return at;
    }
    if (!(class & (LETTER | COMBINING))) { /* A mark of its own, unless it opens a symbol or a tag. */
        const uint8_t *inner = at + bytes;
        if (rules->rule == APART_WITH_SYMBOLS && after_space &&
            (point == '[' || (point == '<' && inner < end && *inner == '/'))) {
            int size = symbol_at(rules, at, end);
            if (size) return at + size;
        }
        if (point == '<') {
            const uint8_t *last = inner;
            while (last < end && class_at(rules, last, end, &point, &bytes) & LETTER) last += bytes;
            if (last > inner && last < end && *last == '>') return last + 1;
        }
        return inner;
    }
    for (at += bytes; at < end; at += bytes) {
        class = class_at(rules, at, end, &point, &bytes);
        if (class & (LETTER | COMBINING)) continue;
        int more;
        if (!(class & APOSTROPHE) || at + bytes >= end) break;
        if (!(class_at(rules, at + bytes, end, &point, &more) & (LETTER | COMBINING))) break;
    }
    return at;
}

int skip_space(const Rules *rules, const uint8_t **at, const uint8_t *end, int64_t *place,
               int *after_space) {
    uint8_t space = rules->rule == BY_ASCII_SPACE ? ASCII_SPACE : SPACE;
    for (; *at < end; ++*place, *after_space = 1) {
        uint32_t point;
        int bytes;
        if (!(class_at(rules, *at, end, &point, &bytes) & space)) return 1;
        *at += bytes;
    }
    return 0;
}

/* Pass a word of ASCII characters that ends where an ASCII character surely ends it, as nearly all
   words do, in one go; return 0, and pass nothing, where it takes more to tell. */
static inline int pass_ascii(const Rules *rules, const uint8_t **at, const uint8_t *end,
                             int64_t *place, uint64_t *hash) {
    const uint8_t space = rules->rule == BY_ASCII_SPACE ? ASCII_SPACE : SPACE;
    const int by_space = rules->rule < APART;
    const uint8_t *p = *at;
    uint64_t found = 0, power = 1;
    if (rules->points < 128) return 0;
    for (; p < end && *p < 128; p++, power *= rules->multiplier) {
        uint8_t class = rules->classes[*p];
        if (by_space ? class & space : !(class & LETTER)) break;
        found += rules->scramble[*p] * power;
    }
    if (p == *at || (p < end && *p >= 128)) return 0;
    if (!by_space && p < end && rules->classes[*p] & (COMBINING | APOSTROPHE)) return 0;
    *place += p - *at, *at = p, *hash = found;
    return 1;
}

uint64_t next_word(const Rules *rules, const uint8_t **at, const uint8_t *end, int64_t *place,
                   int after_space) {
    uint64_t hash = 0, power = 1;
    if (pass_ascii(rules, at, end, place, &hash)) return hash;
    const uint8_t *stop = word_end(rules, *at, end, after_space);
    int bytes;
    for (; *at < stop; *at += bytes, ++*place, power *= rules->multiplier) {
        uint32_t point = code_point(*at, stop, &bytes);
        if ((int64_t)point < rules->points) hash += rules->scramble[point] * power;
    }
    return hash;
}

/* Find the words of documents that stand one after another, document d ending at byte ends[d].

   Writes the first character of each word, one past its last, its hash, and how many words each
   document has; there is room for `room` words. Returns how many there are, or -1 if something does
   not fit. NumPy: find_words. */
CORE_EXPORT int64_t words_find(const Rules *rules, const uint8_t *text, int64_t size,
                               const int64_t *ends, int64_t documents, int64_t room, int64_t *starts,
                               int64_t *stops, uint64_t *hashes, int64_t *lengths) {
    int64_t found = 0, place = 0, begin = 0;
    for (int64_t d = 0; d < documents; d++) {
        if (ends[d] < begin || ends[d] > size) return -1;
        const uint8_t *at = text + begin, *end = text + ends[d];
        int64_t before = found;
        int after_space = 1;
        while (skip_space(rules, &at, end, &place, &after_space)) {
            if (found == room) return -1;
            starts[found] = place;
            hashes[found] = next_word(rules, &at, end, &place, after_space);
            stops[found++] = place;
            after_space = 0;
        }
        lengths[d] = found - before;
        begin = ends[d];
    }
    return found;
}

void find_numbers(const Table *table, const uint64_t *hashes, int64_t size, int32_t *numbers) {
    const uint64_t mask = ((uint64_t)1 << table->bits) - 1;
    for (int64_t i = 0; i < size + AHEAD; i++) {
        if (i < size) {
            uint64_t slot = hashes[i] >> (64 - table->bits);
            PREFETCH(&table->hashes[slot]);
            PREFETCH(&table->numbers[slot]);
        }
        if (i < AHEAD) continue;
        uint64_t hash = hashes[i - AHEAD], slot = hash >> (64 - table->bits), tried = 0;
        while (table->numbers[slot] >= 0 && table->hashes[slot] != hash && tried++ <= mask)
            slot = (slot + 1) & mask;
        numbers[i - AHEAD] = tried > mask ? -1 : table->numbers[slot];
    }
}

/* Write the number of each hash, -1 where it has none; NumPy: HashTable.find. Returns 0, or -1 if
   the table does not fit. */
CORE_EXPORT int32_t words_numbers(const Table *table, const uint64_t *hashes, int64_t size,
                                  int32_t *numbers) {
    if (table->bits < 1 || table->bits > 32) return -1;
    find_numbers(table, hashes, size, numbers);
    return 0;
}

/* Copy documents next to each other, document d being the bytes from starts[d] to ends[d] of a text;
   returns 0, or -1 if they do not fit, or take more than `room` bytes. NumPy: Documents.compact. */
CORE_EXPORT int32_t documents_copy(const uint8_t *text, int64_t size, const int64_t *starts,
                                   const int64_t *ends, int64_t documents, uint8_t *copy,
                                   int64_t room) {
    int64_t at = 0;
    for (int64_t d = 0; d < documents; d++) {
        if (starts[d] < 0 || ends[d] < starts[d] || ends[d] > size) return -1;
        int64_t length = ends[d] - starts[d];
        if (length > room - at) return -1;
        memcpy(copy + at, text + starts[d], (size_t)length);
        at += length;
    }
    return 0;
}

/* Count words by their hashes, and give numbers to those that have none yet, in order of appearance;
   of each new one write in `firsts` where it stands among the hashes. `size` is how many numbers are
   given. Stops where half of the slots are taken, for there are 2^(bits - 1) counts; returns how many
   hashes are done, or -1 if the table does not fit. NumPy: WordCounter.count_in_numpy. */
CORE_EXPORT int64_t words_count(uint64_t *slot_hashes, int32_t *slot_numbers, int32_t bits,
                                int64_t *size, const uint64_t *hashes, int64_t n, int32_t *numbers,
                                int64_t *counts, int64_t *firsts) {
    if (bits < 2 || bits > 31) return -1;
    const uint64_t mask = ((uint64_t)1 << bits) - 1;
    const int64_t room = (int64_t)1 << (bits - 1), before = *size;
    int64_t i = 0;
    for (; i < n; i++) {
        if (i + AHEAD < n) {
            uint64_t ahead = hashes[i + AHEAD] >> (64 - bits);
            PREFETCH(&slot_hashes[ahead]);
            PREFETCH(&slot_numbers[ahead]);
        }
        uint64_t slot = hashes[i] >> (64 - bits), tried = 0;
        while (slot_numbers[slot] >= 0 && slot_hashes[slot] != hashes[i] && tried++ <= mask)
            slot = (slot + 1) & mask;
        int32_t number = slot_numbers[slot];
        if (number < 0) {
            if (*size >= room) break;
            slot_hashes[slot] = hashes[i];
            slot_numbers[slot] = number = (int32_t)*size;
            firsts[*size - before] = i;
            counts[(*size)++] = 0;
        }
        if (tried > mask || number >= *size) return -1;
        counts[number]++;
        numbers[i] = number;
    }
    return i;
}

typedef struct { /* Words one after another, word w ending at byte ends[w]. */
    const uint8_t *text;
    const int64_t *ends, *counts; /* counts may be NULL */
} Words;

/* Whether one word comes before another: it is more frequent, or its bytes come first. */
static int comes_first(const Words *words, int32_t one, int32_t other) {
    if (words->counts && words->counts[one] != words->counts[other])
        return words->counts[one] > words->counts[other];
    int64_t begin = one ? words->ends[one - 1] : 0, begin_other = other ? words->ends[other - 1] : 0;
    int64_t size = words->ends[one] - begin, size_other = words->ends[other] - begin_other;
    size_t both = (size_t)(size < size_other ? size : size_other);
    int order = memcmp(words->text + begin, words->text + begin_other, both);
    return order ? order < 0 : size < size_other;
}

/* Sort numbers of words, of which there are `known`, by merging ever longer runs; returns 0, or -1
   if something does not fit. `room` has as many numbers. NumPy: WordCounter.ordered. */
CORE_EXPORT int32_t words_sort(const uint8_t *text, int64_t size, const int64_t *ends,
                               const int64_t *counts, int64_t known, int32_t *numbers, int64_t n,
                               int32_t *room) {
    for (int64_t w = 0; w < known; w++)
        if (ends[w] < (w ? ends[w - 1] : 0) || ends[w] > size) return -1;
    for (int64_t i = 0; i < n; i++)
        if ((uint32_t)numbers[i] >= (uint64_t)known) return -1;
    const Words words = {text, ends, counts};
    for (int64_t run = 1; run < n; run *= 2) {
        for (int64_t first = 0; first < n; first += 2 * run) {
            int64_t a = first, half = first + run < n ? first + run : n;
            int64_t b = half, end = first + 2 * run < n ? first + 2 * run : n;
            for (int64_t at = first; at < end; at++) {
                int takes_b = a == half || (b < end && comes_first(&words, numbers[b], numbers[a]));
                room[at] = numbers[takes_b ? b++ : a++];
            }
        }
        memcpy(numbers, room, (size_t)n * sizeof *numbers);
    }
    return 0;
}

/* Write how many characters each document has, document d ending at byte ends[d]: all bytes but
   those that continue a character, 10xxxxxx. Returns 0, or -1 if the documents do not fit. NumPy:
   np.diff of character_places. */
CORE_EXPORT int32_t characters_count(const uint8_t *text, int64_t size, const int64_t *ends,
                                     int64_t documents, int64_t *counts) {
    int64_t begin = 0;
    for (int64_t d = 0; d < documents; d++) {
        if (ends[d] < begin || ends[d] > size) return -1;
        int64_t count = 0;
        for (int64_t i = begin; i < ends[d]; i++) count += (text[i] & 0xC0) != 0x80;
        counts[d] = count;
        begin = ends[d];
    }
    return 0;
}

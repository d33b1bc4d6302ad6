/* The lines of an ARPA file: a log10 probability, the words of an n-gram, perhaps a back-off weight.

   Only what nearly all lines look like is read here, and what is read is what Python reads: the loop in
   _read_section of exchange/arpa_reader.py. It stops at the first other line, and Python continues. */

#include <string.h>

#include "slots.h"

enum { DIGITS = 19, POWERS = 23 }; /* of a number of 64 bits; powers of ten that a double holds exactly */

static const double powers[POWERS] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                      1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static int is_separator(uint8_t byte) {
    return byte == ' ' || byte == '\t';
}

/* Read a decimal number that is all of a field, if one division or multiplication of two exact doubles
   gives it, so that it is rounded once (Clinger 1990, "How to read floating point numbers accurately"). */
static int read_number(const uint8_t *at, const uint8_t *end, double *value) {
    int negative = 0, digits = 0, exponent = 0;
    uint64_t number = 0;
    if (at < end && (*at == '-' || *at == '+')) negative = *at++ == '-';
    const uint8_t *first = at, *point = NULL;
    for (; at < end && (*at == '.' || (*at >= '0' && *at <= '9')); at++) {
        if (*at == '.') {
            if (point) return 0;
            point = at;
            continue;
        }
        if (++digits > DIGITS) return 0;
        number = 10 * number + (uint64_t)(*at - '0');
    }
    if (!digits || at - first > 2 * DIGITS) return 0;
    if (point) exponent = -(int)(at - point - 1);
    if (at < end && (*at == 'e' || *at == 'E')) {
        int sign = 1, power = 0, any = 0;
        if (++at < end && (*at == '-' || *at == '+')) sign = *at++ == '-' ? -1 : 1;
        for (; at < end && *at >= '0' && *at <= '9' && power < 1000; at++, any = 1) power = 10 * power + (*at - '0');
        if (!any) return 0;
        exponent += sign * power;
    }
    if (at != end || number >> 53 || exponent <= -POWERS || exponent >= POWERS) return 0;
    double found = exponent < 0 ? (double)number / powers[-exponent] : (double)number * powers[exponent];
    *value = negative ? -found : found;
    return 1;
}

/* Read up to `most` lines of n-grams of an order from a text whose last line is whole. For each write the
   probability, the places of its words by the table of words, and its weight, 0 if it has none. `used`
   becomes the bytes of the lines that were read. Returns how many these are, or -1 if the arguments do
   not fit. */
CORE_EXPORT int64_t arpa_lines(const uint8_t *text, int64_t size, int32_t order, int64_t most,
                               const Slots *words, double *log_probs, int32_t *places,
                               double *backoffs, int64_t *used) {
    if (order < 1 || order > MAX_ORDER || !table_fits(words, 12)) return -1;
    const uint8_t *at = text, *stop = text + size, *starts[MAX_ORDER + 2], *ends[MAX_ORDER + 2];
    int64_t count = 0;
    *used = 0;
    for (; count < most; count++) {
        const uint8_t *end = at < stop ? memchr(at, '\n', (size_t)(stop - at)) : NULL;
        if (!end) break;
        const uint8_t *last = end > at && end[-1] == '\r' ? end - 1 : end;
        int32_t fields = 0;
        for (const uint8_t *byte = at; byte < last;) {
            if (is_separator(*byte)) {
                byte++;
                continue;
            }
            if (fields == order + 2) return count;
            starts[fields] = byte;
            for (; byte < last && !is_separator(*byte); byte++)
                if (*byte == '\v' || *byte == '\f' || *byte == '\r') return count;
            ends[fields++] = byte;
        }
        if (fields < order + 1 || !read_number(starts[0], ends[0], &log_probs[count])) break;
        backoffs[count] = 0;
        if (fields == order + 2 && !read_number(starts[order + 1], ends[order + 1], &backoffs[count])) break;
        for (int32_t k = 0; k < order; k++) {
            uint64_t hash = murmur(starts[k + 1], ends[k + 1] - starts[k + 1]);
            const uint8_t *found = look_up(words, hash, slot_of(words, hash));
            if (!found) return count;
            memcpy(&places[count * order + k], found + 8, 4);
        }
        at = end + 1;
        *used = at - text;
    }
    return count;
}

/* Hash tables as KenLM has them: for hashed.c, which asks them, and arpa.c, which looks for words. */

#ifndef THENCE_SLOTS_H
#define THENCE_SLOTS_H

#include <string.h>

#include "core.h"

typedef struct { /* An open hash table with linear probing: a key of 8 bytes, then what it stands for. */
    const uint8_t *slots;
    uint64_t buckets; /* A key is looked for from slot key mod buckets on; */
    uint64_t size;    /* number of slots, at least that of buckets. A key of 0 marks a free slot. */
    int64_t stride;   /* Bytes from one slot to the next. */
} Slots;

static inline uint64_t read_64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, 8);
    return value;
}

/* MurmurHash64A by Austin Appleby, with the seed 0, of bytes in little-endian order. */
static inline uint64_t murmur(const uint8_t *at, int64_t size) {
    const uint64_t m = 0xC6A4A7935BD1E995u;
    uint64_t hash = (uint64_t)size * m;
    for (; size >= 8; size -= 8, at += 8) {
        uint64_t k = read_64(at) * m;
        hash = (hash ^ (k ^ k >> 47) * m) * m;
    }
    if (size) {
        uint64_t rest = 0;
        for (int64_t i = 0; i < size; i++) rest |= (uint64_t)at[i] << 8 * i;
        hash = (hash ^ rest) * m;
    }
    hash = (hash ^ hash >> 47) * m;
    return hash ^ hash >> 47;
}

static inline uint64_t slot_of(const Slots *table, uint64_t key) {
    return key % table->buckets;
}

/* Where a key stands that is looked for from a slot on; NULL if it is not there. A table of a stranger
   may have no free slot. */
static inline const uint8_t *look_up(const Slots *table, uint64_t key, uint64_t slot) {
    for (uint64_t tried = 0; tried < table->size; tried++) {
        const uint8_t *at = table->slots + slot * (uint64_t)table->stride;
        uint64_t found = read_64(at);
        if (found == key) return at;
        if (!found) return NULL;
        if (++slot == table->size) slot = 0;
    }
    return NULL;
}

static inline int table_fits(const Slots *table, int64_t stride) {
    return table->slots && table->buckets >= 1 && table->size >= table->buckets && table->stride >= stride;
}

#endif

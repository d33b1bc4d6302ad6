/* The lexicon of a beam search, and the lists and hash tables that it uses; see ctc.c. */

#include <stdlib.h>
#include <string.h>

#include "ctc.h"

static uint64_t slot_in(const Map *map, uint64_t key) {
    const uint64_t mask = ((uint64_t)1 << map->bits) - 1;
    uint64_t slot = key * 0x9E3779B97F4A7C15u >> (64 - map->bits);
    while (map->values[slot] != NONE && map->keys[slot] != key) slot = (slot + 1) & mask;
    return slot;
}

int32_t map_get(const Map *map, uint64_t key) {
    return map->bits ? map->values[slot_in(map, key)] : NONE;
}

void free_map(Map *map) {
    free(map->keys);
    free(map->values);
}

static int resize(Map *map, int32_t bits) {
    Map larger = {malloc(sizeof(uint64_t) << bits), malloc(sizeof(int32_t) << bits), bits, map->size};
    if (!larger.keys || !larger.values) {
        free_map(&larger);
        return NO_MEMORY;
    }
    memset(larger.values, 0xFF, sizeof(int32_t) << bits);
    for (int64_t i = 0; map->bits && i < (int64_t)1 << map->bits; i++) {
        if (map->values[i] == NONE) continue;
        uint64_t slot = slot_in(&larger, map->keys[i]);
        larger.keys[slot] = map->keys[i];
        larger.values[slot] = map->values[i];
    }
    free_map(map);
    *map = larger;
    return 0;
}

int map_put(Map *map, uint64_t key, int32_t value) {
    if (2 * map->size >= (map->bits ? (int64_t)1 << map->bits : 0) &&
        resize(map, map->bits ? map->bits + 1 : 8))
        return NO_MEMORY;
    uint64_t slot = slot_in(map, key);
    map->size += map->values[slot] == NONE;
    map->keys[slot] = key;
    map->values[slot] = value;
    return 0;
}

uint64_t pair_key(int32_t first, uint32_t second) {
    return (uint64_t)(uint32_t)first << 32 | second;
}

/* Grow an array, given the address of its pointer. */
int reserve(void *address, int64_t *room, int64_t wanted, size_t entry) {
    if (wanted <= *room) return 0;
    int64_t more = *room ? *room : 64;
    while (more < wanted) more *= 2;
    if (more > INT32_MAX) return NO_MEMORY;
    void *array;
    memcpy(&array, address, sizeof array);
    array = realloc(array, (size_t)more * entry);
    if (!array) return NO_MEMORY;
    memcpy(address, &array, sizeof array);
    *room = more;
    return 0;
}

int32_t child_of(const Map *children, int32_t piece, uint32_t point) {
    return map_get(children, pair_key(piece, point));
}

int32_t add_piece(Pieces *pieces, Map *children, int64_t before, int32_t parent, uint32_t point,
                         int32_t length) {
    if (RESERVE(*pieces, pieces->size + 1) || before + pieces->size >= INT32_MAX) return NO_MEMORY;
    int32_t made = (int32_t)(before + pieces->size);
    if (parent >= 0 && map_put(children, pair_key(parent, point), made)) return NO_MEMORY;
    pieces->at[pieces->size++] = (Piece){parent, point, length};
    return made;
}

CORE_EXPORT void ctc_words_free(Words *words) {
    if (!words) return;
    free(words->pieces.at);
    free_map(&words->children);
    free_map(&words->words);
    free(words->ids.at);
    free(words->numbers.at);
    free(words);
}

/* Return a lexicon, to be freed by ctc_words_free: word w has the code points points[starts[w] .. starts[w + 1])
   and the ids numbers[firsts[w] .. firsts[w + 1]), below V. NULL without memory, or if an argument is out of
   range. */
CORE_EXPORT Words *ctc_words(const uint32_t *points, const int64_t *starts, const int64_t *numbers,
                             const int64_t *firsts, int64_t count, int64_t V) {
    Words *words = calloc(1, sizeof(Words));
    if (words) words->V = V;
    if (!words || add_piece(&words->pieces, &words->children, 0, NONE, 0, 0) < 0) goto failed;
    for (int64_t w = 0; w < count; w++) {
        if (starts[w + 1] < starts[w] || firsts[w + 1] < firsts[w]) goto failed;
        for (int64_t i = firsts[w]; i < firsts[w + 1]; i++)
            if (numbers[i] < 0 || numbers[i] >= V) goto failed;
        int32_t piece = 0;
        for (int64_t i = starts[w]; i < starts[w + 1]; i++) {
            int32_t next = child_of(&words->children, piece, points[i]);
            int32_t length = words->pieces.at[piece].length + 1;
            if (next < 0) next = add_piece(&words->pieces, &words->children, 0, piece, points[i], length);
            if (next < 0) goto failed;
            piece = next;
        }
        int64_t many = firsts[w + 1] - firsts[w], size = words->numbers.size;
        if (RESERVE(words->numbers, size + many) || RESERVE(words->ids, words->ids.size + 1) ||
            map_put(&words->words, (uint64_t)piece, (int32_t)words->ids.size))
            goto failed;
        if (many) memcpy(words->numbers.at + size, numbers + firsts[w], (size_t)many * sizeof *numbers);
        words->ids.at[words->ids.size++] = (Ids){(int32_t)size, (int32_t)many, 0};
        words->numbers.size += many;
    }
    return words;
failed:
    ctc_words_free(words);
    return NULL;
}

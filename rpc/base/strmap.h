/* Map from strings to pointers: open addressing, keys borrowed, insert-only. Built once (methods of
 * a server), then read by any thread. */
#ifndef TERN__BASE_STRMAP_H
#define TERN__BASE_STRMAP_H

#include <stddef.h>
#include <stdint.h>

typedef struct tern__strmap_slot {
    const char *key;
    size_t key_len;
    void *value;
    uint32_t hash;
} tern__strmap_slot;

typedef struct tern__strmap {
    tern__strmap_slot *slots;
    uint32_t n, cap; /* cap is a power of two, or 0 */
} tern__strmap;

/* A zeroed map is empty and valid. */
void tern__strmap_deinit(tern__strmap *m);
/* 0, -EEXIST (unchanged) or -ENOMEM (unchanged). `key` is borrowed for the life of the map. */
int tern__strmap_put(tern__strmap *m, const char *key, size_t key_len, void *value);
/* NULL when absent. */
void *tern__strmap_get(const tern__strmap *m, const char *key, size_t key_len);

#endif

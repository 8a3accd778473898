/* See metadata.h and tern/metadata.h. Each pair is one block: a header that says how much text it
 * can hold, the key, a NUL, the value, a NUL; the entry points into it. Blocks come from the arena
 * when there is one, else from malloc. The slots behind the last pair keep the blocks of pairs that
 * were removed, so that a list that is cleared and filled again for every call needs no memory. */
#include "wire/metadata.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#include "wire/base64.h"

#define ENTRIES_CAP_MIN ((size_t)8)
/* What SETTINGS_MAX_HEADER_LIST_SIZE counts beside the text of a field (RFC 9113, 6.5.2). */
#define FIELD_OVERHEAD ((size_t)32)

typedef struct pair {
    size_t cap; /* bytes of text */
    char text[];
} pair;

static pair *pair_of(const tern_metadata_entry *e)
{
    return e->key ? (pair *)(void *)((char *)(uintptr_t)e->key - offsetof(pair, text)) : NULL;
}

/* --- names and values ------------------------------------------------------------------------ */

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Whether key[0..len) is `name` but for case. */
static bool equals(const char *key, size_t len, const char *name)
{
    for (size_t i = 0; i < len; i++) {
        if (fold(key[i]) != name[i])
            return false; /* the NUL of a shorter name included: no key contains one */
    }
    return name[len] == '\0';
}

/* Fields of HTTP/2 or of the runtime: sending them would break the message or be a lie. */
static bool is_reserved(const char *key, size_t len)
{
    static const char *const names[] = {
        "te",
        "content-type",
        "content-length",
        "user-agent",
        "host",
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
    };
    if (len >= 5 && equals(key, 5, "grpc-"))
        return true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (equals(key, len, names[i]))
            return true;
    }
    return false;
}

static bool is_key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

bool tern__metadata_key_ok(const char *key, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!is_key_char(key[i]))
            return false;
    }
    return len > 0 && !is_reserved(key, len);
}

bool tern__metadata_key_is_bin(const char *key, size_t len)
{
    return len >= 4 && equals(key + len - 4, 4, "-bin");
}

bool tern__metadata_value_ok(const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (value[i] < 0x20 || value[i] > 0x7E)
            return false;
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Narrows [*s, *s + *len) to what is between blanks at its ends. */
static void strip(const char **s, size_t *len)
{
    while (*len && is_blank(**s)) {
        ++*s;
        --*len;
    }
    while (*len && is_blank((*s)[*len - 1]))
        --*len;
}

/* --- the list -------------------------------------------------------------------------------- */

void tern__metadata_init(tern_metadata *md, tern__arena *arena)
{
    *md = (tern_metadata){.arena = arena};
}

void tern__metadata_deinit(tern_metadata *md)
{
    if (!md->arena) {
        for (size_t i = 0; i < md->cap; i++)
            free(pair_of(&md->entries[i]));
        free(md->entries);
    }
    *md = (tern_metadata){.arena = md->arena};
}

static int grow(tern_metadata *md)
{
    size_t cap = md->cap ? md->cap * 2 : ENTRIES_CAP_MIN;
    if (cap > SIZE_MAX / 2 / sizeof *md->entries)
        return -ENOMEM;
    tern_metadata_entry *entries;
    if (md->arena) {
        entries = tern__arena_alloc(md->arena, cap * sizeof *entries);
        if (entries && md->n)
            memcpy(entries, md->entries, md->n * sizeof *entries);
    } else {
        entries = realloc(md->entries, cap * sizeof *entries);
    }
    if (!entries)
        return -ENOMEM;
    memset(entries + md->cap, 0, (cap - md->cap) * sizeof *entries);
    md->entries = entries;
    md->cap = cap;
    return 0;
}

/* Makes the slot behind the last pair hold the key and room for a value of value_room bytes and a
 * NUL. Returns where the value goes, or NULL: out of memory, and the list is unchanged. The pair
 * counts only once the caller calls commit(). */
static char *prepare(tern_metadata *md, const char *key, size_t key_len, size_t value_room)
{
    size_t need;
    if (__builtin_add_overflow(key_len, value_room, &need) ||
        need > SIZE_MAX / 2 - sizeof(pair) - 2)
        return NULL;
    need += 2;
    if (md->n == md->cap && grow(md) < 0)
        return NULL;
    tern_metadata_entry *e = &md->entries[md->n];
    pair *p = pair_of(e);
    if (!p || p->cap < need) {
        pair *bigger = md->arena ? tern__arena_alloc(md->arena, sizeof *bigger + need)
                                 : malloc(sizeof *bigger + need);
        if (!bigger)
            return NULL;
        if (!md->arena)
            free(p);
        p = bigger;
        p->cap = need;
        e->key = p->text;
    }
    for (size_t i = 0; i < key_len; i++)
        p->text[i] = fold(key[i]);
    p->text[key_len] = '\0';
    return p->text + key_len + 1;
}

static void commit(tern_metadata *md, char *value, size_t value_len)
{
    value[value_len] = '\0';
    tern_metadata_entry *e = &md->entries[md->n++];
    e->value = value;
    e->value_len = value_len;
}

static int append(tern_metadata *md, const char *key, size_t key_len, const void *value,
                  size_t value_len)
{
    char *to = prepare(md, key, key_len, value_len);
    if (!to)
        return -ENOMEM;
    if (value_len)
        memcpy(to, value, value_len);
    commit(md, to, value_len);
    return 0;
}

/* --- the wire -------------------------------------------------------------------------------- */

/* A "-bin" field: one or several base64 texts, joined with commas by whoever folded equal fields
 * into one (RFC 9110, 5.3). All of them are added or none. */
static int add_received_bin(tern_metadata *md, const char *key, size_t key_len, const char *value,
                            size_t value_len)
{
    size_t parts = 1;
    for (size_t i = 0; i < value_len; i++)
        parts += value[i] == ',';
    /* Each part repeats the key: without the limits of fields that come one by one, a field of
     * 16 KiB could blow up to many times its size. */
    if (parts > TERN_LIMIT_HEADER_FIELDS - md->n ||
        (parts > 1 && parts * (key_len + FIELD_OVERHEAD) > TERN_LIMIT_HEADER_LIST_BYTES))
        return -ENOMEM;
    size_t n_before = md->n;
    const char *end = value + value_len;
    int rv = 0;
    for (size_t i = 0; i < parts && rv == 0; i++) {
        const char *part = value;
        const char *comma = part < end ? memchr(part, ',', (size_t)(end - part)) : NULL;
        size_t len = (size_t)((comma ? comma : end) - part);
        value = comma ? comma + 1 : end;
        strip(&part, &len);
        char *to = prepare(md, key, key_len, tern__base64_decoded_max(len));
        size_t decoded = 0;
        if (!to)
            rv = -ENOMEM;
        else if (tern__base64_decode(part, len, (uint8_t *)to, &decoded) < 0)
            rv = -EINVAL;
        else
            commit(md, to, decoded);
    }
    if (rv < 0)
        md->n = n_before; /* the blocks stay in their slots */
    return rv;
}

int tern__metadata_add_received(tern_metadata *md, const char *key, size_t key_len,
                                const char *value, size_t value_len)
{
    if (!tern__metadata_key_ok(key, key_len))
        return 0;
    if (md->n >= TERN_LIMIT_HEADER_FIELDS)
        return -ENOMEM;
    if (tern__metadata_key_is_bin(key, key_len))
        return add_received_bin(md, key, key_len, value, value_len);
    return append(md, key, key_len, value, value_len);
}

int tern__metadata_add_received_details(tern_metadata *md, const char *value, size_t value_len)
{
    int rv = add_received_bin(md, TERN__STATUS_DETAILS, sizeof TERN__STATUS_DETAILS - 1, value,
                              value_len);
    return rv == -EINVAL ? 0 : rv;
}

int tern__metadata_add_details(tern_metadata *md, const void *details, size_t len)
{
    return append(md, TERN__STATUS_DETAILS, sizeof TERN__STATUS_DETAILS - 1, details, len);
}

int tern__metadata_add_pushback(tern_metadata *md, int64_t ms)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%lld", (long long)(ms < 0 ? -1 : ms));
    return append(md, "grpc-retry-pushback-ms", 22, text, (size_t)len);
}

int tern__metadata_append_all(tern_metadata *md, const tern_metadata *src)
{
    size_t n = tern_metadata_count(src);
    for (size_t i = 0; i < n; i++) {
        /* By value: md may be src, whose array moves when it grows. */
        tern_metadata_entry e = src->entries[i];
        if (append(md, e.key, strlen(e.key), e.value, e.value_len) < 0)
            return -ENOMEM;
    }
    return 0;
}

int tern__metadata_wire_value(const tern_metadata_entry *e, tern__arena *arena, const char **ret,
                              size_t *ret_len)
{
    const char *value = e->value;
    size_t len = e->value_len;
    if (tern__metadata_key_is_bin(e->key, strlen(e->key))) {
        size_t coded_len = tern__base64_encoded_len(len);
        char *coded = tern__arena_alloc(arena, coded_len + 1);
        if (!coded)
            return -ENOMEM;
        tern__base64_encode((const uint8_t *)value, len, coded);
        coded[coded_len] = '\0';
        value = coded;
        len = coded_len;
    } else {
        /* A field value must not begin or end with a blank (RFC 9113, 8.2.1): peers reset the
         * stream for it. */
        strip(&value, &len);
    }
    *ret = value;
    *ret_len = len;
    return 0;
}

size_t tern__metadata_wire_size(const tern_metadata *md)
{
    size_t size = 0;
    size_t n = tern_metadata_count(md);
    for (size_t i = 0; i < n; i++) {
        const tern_metadata_entry *e = &md->entries[i];
        size_t key_len = strlen(e->key);
        const char *value = e->value;
        size_t len = e->value_len;
        if (tern__metadata_key_is_bin(e->key, key_len))
            len = tern__base64_encoded_len(len);
        else
            strip(&value, &len);
        if (key_len > TERN_LIMIT_METADATA_VALUE_BYTES || len > TERN_LIMIT_METADATA_VALUE_BYTES)
            return SIZE_MAX / 4;
        size += key_len + len + FIELD_OVERHEAD;
    }
    return size;
}

/* --- the public face ------------------------------------------------------------------------- */

tern_metadata *tern_metadata_new(void)
{
    tern_metadata *md = malloc(sizeof *md);
    if (md)
        tern__metadata_init(md, NULL);
    return md;
}

void tern_metadata_free(tern_metadata *md)
{
    if (!md)
        return;
    tern__metadata_deinit(md);
    free(md);
}

/* Whether a key of the program's, once folded, may be sent with this kind of value. */
static bool may_be_sent(const char *key, size_t len, bool bin)
{
    for (size_t i = 0; i < len; i++) {
        if (!is_key_char(fold(key[i])))
            return false;
    }
    return len > 0 && !is_reserved(key, len) && tern__metadata_key_is_bin(key, len) == bin;
}

int tern_metadata_add(tern_metadata *md, const char *key, const char *value)
{
    size_t key_len = strlen(key), value_len = strlen(value);
    if (!may_be_sent(key, key_len, false) || !tern__metadata_value_ok(value, value_len))
        return -EINVAL;
    return append(md, key, key_len, value, value_len);
}

int tern_metadata_add_bin(tern_metadata *md, const char *key, const void *value, size_t value_len)
{
    size_t key_len = strlen(key);
    if (!may_be_sent(key, key_len, true))
        return -EINVAL;
    return append(md, key, key_len, value, value_len);
}

size_t tern_metadata_count(const tern_metadata *md)
{
    return md ? md->n : 0;
}

const tern_metadata_entry *tern_metadata_at(const tern_metadata *md, size_t index)
{
    return index < tern_metadata_count(md) ? &md->entries[index] : NULL;
}

const char *tern_metadata_get(const tern_metadata *md, const char *key)
{
    for (size_t i = tern_metadata_count(md); i-- > 0;) {
        const char *have = md->entries[i].key, *want = key;
        while (*want && *have == fold(*want)) {
            have++;
            want++;
        }
        if (!*want && !*have)
            return md->entries[i].value;
    }
    return NULL;
}

const void *tern_metadata_status_details(const tern_metadata *md, size_t *ret_len)
{
    for (size_t i = 0; i < tern_metadata_count(md); i++) {
        if (strcmp(md->entries[i].key, TERN__STATUS_DETAILS) != 0)
            continue;
        *ret_len = md->entries[i].value_len;
        return md->entries[i].value;
    }
    return NULL;
}

void tern_metadata_clear(tern_metadata *md)
{
    md->n = 0;
}

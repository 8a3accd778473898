/* See dns_records.h. */
#include "io/dns_records.h"

#include <arpa/nameser.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#define PREFIX "grpc_config="
#define HEADER_BYTES 12u
#define TTL_MAX 0x7fffffffu /* RFC 2181, 8: one with the highest bit set is zero */

/* --- SRV -------------------------------------------------------------------------------------- */

static int by_priority(const void *a, const void *b)
{
    const tern__dns_srv *left = a, *right = b;
    if (left->priority != right->priority)
        return left->priority < right->priority ? -1 : 1;
    /* RFC 2782: those of weight 0 come first, for a draw of 0 to find one. */
    return (left->weight != 0) - (right->weight != 0);
}

/* Draws the next of at[0..n), which are of one priority, and puts it first. */
static void draw(tern__dns_srv *at, uint32_t n, tern__rng *rng)
{
    uint32_t sum = 0, so_far = 0, i = 0;
    for (uint32_t k = 0; k < n; k++)
        sum += at[k].weight;
    uint32_t limit = tern__rng_below(rng, sum + 1);
    for (; i + 1 < n; i++) {
        so_far += at[i].weight;
        if (so_far >= limit)
            break;
    }
    const tern__dns_srv chosen = at[i];
    memmove(&at[1], &at[0], i * sizeof at[0]);
    at[0] = chosen;
}

void tern__dns_srv_order(tern__dns_srv *at, uint32_t n, tern__rng *rng)
{
    if (n == 0)
        return;
    qsort(at, n, sizeof at[0], by_priority);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t same = 1;
        while (i + same < n && at[i + same].priority == at[i].priority)
            same++;
        draw(&at[i], same, rng);
    }
}

/* --- TTL -------------------------------------------------------------------------------------- */

static uint32_t be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }
static uint32_t be32(const uint8_t *p) { return be16(p) << 16 | be16(p + 2); }

/* Where a name ends; 0: outside of the message. */
static size_t skip_name(const uint8_t *m, size_t len, size_t at)
{
    while (at < len && m[at] && m[at] < 0xc0)
        at += 1u + m[at];
    at += at < len && m[at] ? 2 : 1;
    return at <= len ? at : 0;
}

int64_t tern__dns_ttl(const uint8_t *m, size_t len, uint16_t type)
{
    int64_t shortest = -1;
    size_t at = HEADER_BYTES;
    if (len < HEADER_BYTES)
        return -1;
    for (uint32_t n = be16(m + 4); n; n--) {
        at = skip_name(m, len, at);
        if (at == 0 || len - at < 4)
            return -1;
        at += 4;
    }
    for (uint32_t n = be16(m + 6); n; n--) {
        at = skip_name(m, len, at);
        if (at == 0 || len - at < 10 || len - at - 10 < be16(m + at + 8))
            return -1;
        uint32_t here = be16(m + at), ttl = be32(m + at + 4);
        if (ttl > TTL_MAX)
            ttl = 0;
        if ((here == type || here == ns_t_cname) && (shortest < 0 || ttl < shortest))
            shortest = ttl;
        at += 10 + be16(m + at + 8);
    }
    return shortest;
}

/* --- TXT -------------------------------------------------------------------------------------- */

void tern__dns_text_init(tern__dns_text *t)
{
    memset(t, 0, sizeof *t);
}

static bool has_prefix(const tern__buf *b)
{
    return b->len >= sizeof PREFIX - 1 && memcmp(tern__buf_head(b), PREFIX, sizeof PREFIX - 1) == 0;
}

/* The record that was being joined is complete. */
static void end_record(tern__dns_text *t)
{
    t->found = !t->bad && has_prefix(&t->record);
    t->over = t->found || t->bad;
    if (!t->over)
        tern__buf_deinit(&t->record);
}

void tern__dns_text_add(tern__dns_text *t, const uint8_t *bytes, size_t len, bool first)
{
    if (first && !t->over && t->record.len)
        end_record(t);
    if (t->over)
        return;
    if (t->record.len + len > TERN_LIMIT_SERVICE_CONFIG_BYTES + sizeof PREFIX - 1) {
        t->bad = true;
        return;
    }
    if (len && tern__buf_append(&t->record, bytes, len))
        t->bad = true;
}

char *tern__dns_text_take(tern__dns_text *t, bool *ret_bad)
{
    char *text = NULL;
    if (!t->over)
        end_record(t);
    if (t->found) {
        size_t len = t->record.len - (sizeof PREFIX - 1);
        const uint8_t *from = tern__buf_head(&t->record) + (sizeof PREFIX - 1);
        t->bad = memchr(from, '\0', len) != NULL;
        text = t->bad ? NULL : strndup((const char *)from, len);
        t->bad = !text;
    }
    *ret_bad = t->bad;
    tern__buf_deinit(&t->record);
    return text;
}

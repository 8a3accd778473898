/* See message.h. The reader is a small state: the prefix so far, then the message so far. A message
 * that fits into the borrowed scratch costs no malloc; a larger one gets memory in step with the
 * bytes that have come, because its length is only what a peer says it is going to send. */
#include "wire/message.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/sanitize.h"

/* First allocation of a message that arrives in pieces, bytes; then doubling. */
#define MESSAGE_CAP_MIN ((size_t)16 * 1024)

void tern__message_prefix_write(uint8_t *out, uint32_t len, bool compressed)
{
    out[0] = compressed;
    out[1] = (uint8_t)(len >> 24);
    out[2] = (uint8_t)(len >> 16);
    out[3] = (uint8_t)(len >> 8);
    out[4] = (uint8_t)len;
}

void tern__message_reader_init(tern__message_reader *r, size_t len_max, uint8_t *scratch,
                               size_t scratch_cap)
{
    *r = (tern__message_reader){
        .len_max = len_max, .scratch = scratch, .scratch_cap = scratch ? scratch_cap : 0};
}

static void next_message(tern__message_reader *r)
{
    r->prefix_len = 0;
    r->owned = false;
    r->data = NULL;
    r->len = r->got = 0;
    r->cap = 0;
}

static void drop_spare(tern__message_reader *r)
{
    if (r->spare)
        TERN__UNPOISON(r->spare, r->spare_cap);
    free(r->spare);
    r->spare = NULL;
    r->spare_cap = 0;
}

void tern__message_reader_deinit(tern__message_reader *r)
{
    if (r->owned)
        free(r->data);
    next_message(r);
    drop_spare(r);
}

/* Takes what is missing of the prefix. The flag is judged as soon as it is there. */
static int feed_prefix(tern__message_reader *r, const uint8_t **p, size_t *n)
{
    while (r->prefix_len < TERN__MESSAGE_PREFIX_LEN) {
        if (r->prefix_len > 0 && r->prefix[0] > 1)
            return -EPROTO;
        if (*n == 0)
            return TERN__MESSAGE_MORE;
        r->prefix[r->prefix_len++] = **p;
        ++*p;
        --*n;
    }
    r->compressed = r->prefix[0] == 1;
    r->len = (uint32_t)r->prefix[1] << 24 | (uint32_t)r->prefix[2] << 16 |
             (uint32_t)r->prefix[3] << 8 | r->prefix[4];
    return r->len > r->len_max ? -EMSGSIZE : TERN__MESSAGE_DONE;
}

/* Begins a message in the memory of an earlier one, unless that is out of proportion. */
static void use_spare(tern__message_reader *r)
{
    if (r->spare_cap / 4 > r->len) {
        drop_spare(r);
        return;
    }
    TERN__UNPOISON(r->spare, r->spare_cap);
    r->data = r->spare;
    r->cap = r->spare_cap;
    r->owned = true;
    r->spare = NULL;
    r->spare_cap = 0;
}

/* Makes room for `more` bytes behind those that are here. */
static int make_room(tern__message_reader *r, size_t more)
{
    size_t need = r->got + more;
    if (need <= r->cap)
        return 0;
    if (r->len <= r->scratch_cap) {
        r->data = r->scratch;
        r->cap = r->scratch_cap;
        return 0;
    }
    if (!r->data && r->spare) {
        use_spare(r);
        if (need <= r->cap)
            return 0;
    }
    size_t cap = r->cap ? r->cap * 2 : MESSAGE_CAP_MIN;
    if (cap < need)
        cap = need;
    if (cap > r->len)
        cap = r->len;
    uint8_t *data = realloc(r->data, cap);
    if (!data)
        return -ENOMEM;
    r->data = data;
    r->cap = cap;
    r->owned = true;
    return 0;
}

__attribute__((hot)) int tern__message_reader_feed(tern__message_reader *r, const uint8_t **p,
                                                   size_t *n)
{
    int rv = feed_prefix(r, p, n);
    if (rv != TERN__MESSAGE_DONE)
        return rv;
    size_t take = r->len - r->got;
    if (take > *n)
        take = *n;
    if (take > 0) {
        if (make_room(r, take) < 0)
            return -ENOMEM;
        memcpy(r->data + r->got, *p, take);
        r->got += (uint32_t)take;
        *p += take;
        *n -= take;
    }
    return r->got == r->len ? TERN__MESSAGE_DONE : TERN__MESSAGE_MORE;
}

uint8_t *tern__message_reader_take(tern__message_reader *r, size_t *ret_len, bool *ret_owned)
{
    assert(r->prefix_len == TERN__MESSAGE_PREFIX_LEN && r->got == r->len);
    uint8_t *data = r->data;
    *ret_len = r->len;
    *ret_owned = r->owned;
    r->taken_cap = r->owned ? r->cap : 0;
    next_message(r);
    return data;
}

void tern__message_reader_give_back(tern__message_reader *r, uint8_t *data, size_t cap)
{
    if (!data || cap == 0 || cap > TERN__MESSAGE_SPARE_BYTES || r->spare) {
        free(data);
        return;
    }
    r->spare = data;
    r->spare_cap = cap;
    TERN__POISON(data, cap); /* a message that is used after its time is still found */
}

bool tern__message_reader_partial(const tern__message_reader *r)
{
    return r->prefix_len > 0 && (r->prefix_len < TERN__MESSAGE_PREFIX_LEN || r->got < r->len);
}

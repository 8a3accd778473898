/* See head.h. */
#include "client/head.h"

#include <stdio.h>
#include <string.h>

#include <tern/limits.h>

#include "base/sanitize.h"
#include "base/time.h"
#include "client/credentials.h"
#include "client/compress.h"
#include "wire/encoding.h"
#include "wire/metadata.h"

static const tern__h2_field accept_encoding =
    TERN__H2_FIXED("grpc-accept-encoding", TERN__ACCEPT_ENCODING);
/* Named even if no message of the call gets smaller by it: whether a server supports an encoding
 * must not depend on what is sent to it. */
static const tern__h2_field encodings[] = {
    [TERN_COMPRESSION_GZIP] = TERN__H2_FIXED("grpc-encoding", "gzip"),
    [TERN_COMPRESSION_DEFLATE] = TERN__H2_FIXED("grpc-encoding", "deflate"),
    [TERN_COMPRESSION_ZSTD] = TERN__H2_FIXED("grpc-encoding", "zstd"),
};

static tern_code add_metadata(tern__head *h, const tern_metadata *md, uint32_t bytes_max,
                              tern_status *reterr)
{
    size_t n = tern_metadata_count(md);
    if (n > TERN_LIMIT_HEADER_FIELDS || (n && tern__metadata_wire_size(md) > bytes_max))
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                               "the request's metadata is larger than the limit of %u bytes "
                               "(metadata_bytes_max) or %u pairs, or has a value of more than %u",
                               bytes_max, TERN_LIMIT_HEADER_FIELDS,
                               TERN_LIMIT_METADATA_VALUE_BYTES);
    for (size_t i = 0; i < n; i++) {
        const tern_metadata_entry *e = tern_metadata_at(md, i);
        const char *value;
        size_t len;
        if (tern__metadata_wire_value(e, &h->arena, &value, &len))
            return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED,
                                   "out of memory for the request's metadata");
        h->fields[h->n_fields++] = (tern__h2_field){ e->key, value, (uint32_t)strlen(e->key),
                                                     (uint32_t)len, false };
    }
    return TERN_OK;
}

tern_code tern__head_init(tern__head *h, const tern_channel *ch, const tern_method *method,
                          const tern_call_options *opts, int64_t deadline, tern_status *reterr)
{
    uint32_t n = 0;
    tern__h2_field *f = h->fields;
    tern__arena_init(&h->arena, h->first_block, sizeof h->first_block, 0);
    h->timeout_at = h->attempts_at = 0;
    f[n++] = ch->method;
    f[n++] = ch->scheme;
    f[n++] = (tern__h2_field){ ":path", method->path, 5, (uint32_t)strlen(method->path), true };
    f[n++] = ch->authority_field;
    if (deadline != TERN__TIME_NEVER) {
        h->timeout_at = n;
        f[n++] = (tern__h2_field){ "grpc-timeout", h->timeout_text, 12, 0, TERN__H2_RECURRING };
    }
    f[n++] = ch->te;
    f[n++] = ch->content_type;
    f[n++] = ch->user_agent_field;
    f[n++] = accept_encoding;
    tern_compression c = tern__call_compression(ch, opts);
    if (c != TERN_COMPRESSION_IDENTITY)
        f[n++] = encodings[c];
    h->n_fields = n;
    tern__h2_field token;
    tern_code code = tern__credentials_field(ch, method, opts, &h->arena, &token, reterr);
    if (code == TERN_OK && token.name)
        h->fields[h->n_fields++] = token;
    return code == TERN_OK ? add_metadata(h, opts->metadata, ch->opt.metadata_bytes_max, reterr)
                           : code;
}

void tern__head_deinit(tern__head *h)
{
    tern__arena_deinit(&h->arena);
    TERN__UNPOISON(h->first_block, sizeof h->first_block); /* the stack goes on to other uses */
}

void tern__head_update(tern__head *h, int64_t now, int64_t deadline, uint32_t former_attempts)
{
    if (h->timeout_at) {
        int64_t left = deadline > now ? deadline - now : 1;
        h->fields[h->timeout_at].value_len =
            (uint32_t)tern__timeout_encode(left, h->timeout_text);
    }
    if (h->attempts_at) /* the last field, if it is there */
        h->n_fields = h->attempts_at;
    if (former_attempts) {
        h->attempts_at = h->n_fields++;
        int len = snprintf(h->attempts_text, sizeof h->attempts_text, "%u", former_attempts & 0xff);
        h->fields[h->attempts_at] = (tern__h2_field){ "grpc-previous-rpc-attempts",
                                                      h->attempts_text, 26, (uint32_t)len, false };
    }
}

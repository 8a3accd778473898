/* See credentials.h. A token never appears in a message or in a log. */
#include "client/credentials.h"

#include <string.h>

#define SCHEME "Bearer "

/* RFC 6750, 2.1: letters, digits, "-._~+/" and "=". */
static bool is_token(const char *s, size_t len)
{
    static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-._~+/=";
    return len > 0 && strspn(s, chars) == len;
}

static tern_code make_field(const char *token, tern__arena *arena, tern__h2_field *ret,
                            tern_status *reterr)
{
    size_t len = strnlen(token, TERN_LIMIT_TOKEN_BYTES);
    if (len >= TERN_LIMIT_TOKEN_BYTES || !is_token(token, len))
        return tern_status_set(reterr, TERN_UNAUTHENTICATED,
                               "the bearer token has a character that may not be sent, is empty, "
                               "or longer than TERN_LIMIT_TOKEN_BYTES");
    char *value = tern__arena_alloc(arena, sizeof SCHEME + len);
    if (!value)
        return tern_status_set(reterr, TERN_RESOURCE_EXHAUSTED, "out of memory for a token");
    memcpy(value, SCHEME, sizeof SCHEME - 1);
    memcpy(value + sizeof SCHEME - 1, token, len + 1);
    *ret = (tern__h2_field){ "authorization", value, 13, (uint32_t)(sizeof SCHEME - 1 + len),
                             false };
    return TERN_OK;
}

static tern_code ask(const tern_channel *ch, const tern_method *method, tern__arena *arena,
                     tern__h2_field *ret, tern_status *reterr)
{
    char token[TERN_LIMIT_TOKEN_BYTES];
    const tern_call_credentials *c = &ch->opt.credentials;
    token[0] = '\0';
    if (reterr)
        reterr->message[0] = '\0';
    tern_code code = c->token(c->self, method, token, sizeof token, reterr);
    if (code == TERN_OK)
        return make_field(token, arena, ret, reterr);
    if ((unsigned)code > TERN_UNAUTHENTICATED)
        code = TERN_UNAUTHENTICATED;
    if (reterr && !reterr->message[0])
        tern_status_set(reterr, code, "the channel's credentials gave no token");
    return code;
}

tern_code tern__credentials_field(const tern_channel *ch, const tern_method *method,
                                  const tern_call_options *opts, tern__arena *arena,
                                  tern__h2_field *ret, tern_status *reterr)
{
    ret->name = NULL;
    if (!opts->bearer_token && !ch->opt.credentials.token)
        return TERN_OK;
    if (!ch->opt.tls)
        return tern_status_set(reterr, TERN_UNAUTHENTICATED,
                               "call credentials are sent over TLS only, and this channel to "
                               "%.200s has none (tern_channel_options.tls)",
                               ch->target_text);
    return opts->bearer_token ? make_field(opts->bearer_token, arena, ret, reterr)
                              : ask(ch, method, arena, ret, reterr);
}

/* Fuzz target for everything in rpc/wire that reads what a peer sent. The first byte of the input
 * picks the parser, the second is a parameter for it (a size to cut at, a capacity), the rest is
 * its input.
 *
 * A parser must not only survive: each is held to what is true of any input. Two ways of feeding
 * must agree, what was decoded must encode to an equivalent, what was accepted must obey the rules
 * that it was accepted under. A breach is an abort.
 *
 * Built for libFuzzer (clang -fsanitize=fuzzer,address), and included by tests/unit/wire/
 * test_fuzz_wire.c, which feeds it seeded random and mutated inputs. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/limits.h>

#include "base/arena.h"
#include "wire/base64.h"
#include "wire/message.h"
#include "wire/metadata.h"
#include "wire/path.h"
#include "wire/percent.h"
#include "wire/status.h"
#include "wire/timeout.h"

#define FUZZ_INPUT_MAX 65536u
#define FUZZ_PARSERS 8u

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);              \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of exactly the size, so that AddressSanitizer sees one byte too many. */
static void *exact_copy(const void *data, size_t size)
{
    void *copy = malloc(size ? size : 1);
    MUST(copy);
    if (size)
        memcpy(copy, data, size);
    return copy;
}

/* --- messages -------------------------------------------------------------------------------- */

typedef struct digest {
    uint64_t hash;
    uint32_t n_messages;
    int rv; /* of the last feed */
    bool partial;
} digest;

static void mix(digest *d, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        d->hash = (d->hash ^ p[i]) * UINT64_C(1099511628211);
    d->hash = (d->hash ^ n) * UINT64_C(1099511628211);
}

static digest read_messages(const uint8_t *p, size_t n, size_t portion, size_t scratch_cap)
{
    uint8_t scratch[64];
    tern__message_reader r;
    digest d = {.hash = UINT64_C(14695981039346656037)};
    tern__message_reader_init(&r, 4096, scratch_cap ? scratch : NULL, scratch_cap);
    while (n > 0 && d.rv >= 0) {
        size_t len = n < portion ? n : portion;
        uint8_t *copy = exact_copy(p, len);
        const uint8_t *at = copy;
        size_t left = len;
        while ((d.rv = tern__message_reader_feed(&r, &at, &left)) == TERN__MESSAGE_DONE) {
            size_t got;
            bool owned, compressed = r.compressed;
            uint8_t *message = tern__message_reader_take(&r, &got, &owned);
            MUST(got <= 4096 && owned == (got > scratch_cap) && (message || got == 0));
            mix(&d, message, got);
            mix(&d, (const uint8_t *)&compressed, 1);
            d.n_messages++;
            if (owned)
                free(message);
            if (left == 0)
                break;
        }
        MUST(d.rv == -EPROTO || d.rv == -EMSGSIZE || (d.rv >= 0 && left == 0));
        free(copy);
        p += len;
        n -= len;
    }
    d.partial = tern__message_reader_partial(&r);
    if (d.rv == TERN__MESSAGE_DONE)
        d.rv = TERN__MESSAGE_MORE; /* where portions end decides which of the two is last */
    tern__message_reader_deinit(&r);
    return d;
}

static void fuzz_message(uint8_t param, const uint8_t *p, size_t n)
{
    digest whole = read_messages(p, n, n ? n : 1, 64);
    const struct {
        size_t portion, scratch_cap;
    } other[] = {{1, 64}, {(size_t)param + 1, 0}, {(size_t)param + 1, 16}};
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        digest d = read_messages(p, n, other[i].portion, other[i].scratch_cap);
        MUST(d.hash == whole.hash && d.n_messages == whole.n_messages && d.rv == whole.rv);
        MUST(d.rv < 0 || d.partial == whole.partial);
    }
}

/* --- short texts ------------------------------------------------------------------------------ */

static void fuzz_timeout(uint8_t param, const uint8_t *p, size_t n)
{
    (void)param;
    int64_t ns;
    if (tern__timeout_decode((const char *)p, n, &ns) < 0)
        return;
    MUST(n >= 2 && n <= 9 && ns >= 0);
    char text[TERN__TIMEOUT_TEXT_MAX];
    size_t len = tern__timeout_encode(ns, text);
    int64_t again;
    MUST(len == strlen(text) && len < sizeof text);
    MUST(tern__timeout_decode(text, len, &again) == 0);
    MUST(again >= ns && (again == INT64_MAX || again - ns <= ns / 100 + 1 || ns == 0));
}

static void fuzz_percent(uint8_t param, const uint8_t *p, size_t n)
{
    size_t cap = (size_t)param + 1;
    char *out = malloc(cap);
    MUST(out);
    size_t len = tern__percent_decode((const char *)p, n, out, cap);
    MUST(len < cap && out[len] == '\0' && strlen(out) == len);
    free(out);

    /* Any bytes come back the same, but for NUL. */
    size_t need = tern__percent_encode((const char *)p, n, NULL, 0);
    char *coded = malloc(need + 1), *back = malloc(n + 1);
    MUST(coded && back && need >= n && need <= 3 * n);
    MUST(tern__percent_encode((const char *)p, n, coded, need) == need);
    MUST(tern__metadata_value_ok(coded, need));
    MUST(tern__percent_decode(coded, need, back, n + 1) == n);
    for (size_t i = 0; i < n; i++)
        MUST((uint8_t)back[i] == (p[i] ? p[i] : '?'));
    free(coded);
    free(back);

    tern_status st;
    tern__status_set_message(&st, (const char *)p, n);
    MUST(strlen(st.message) <= n && strlen(st.message) < sizeof st.message);
}

static void fuzz_base64(uint8_t param, const uint8_t *p, size_t n)
{
    (void)param;
    uint8_t *out = malloc(tern__base64_decoded_max(n));
    char *coded = malloc(tern__base64_encoded_len(n) + 1);
    size_t len;
    MUST(out && coded);
    if (tern__base64_decode((const char *)p, n, out, &len) == 0) {
        /* Decoding is strict: without its padding the text is the only one for its bytes. */
        size_t coded_len = tern__base64_encoded_len(len);
        MUST(coded_len <= n && n - coded_len <= 2);
        char *again = malloc(coded_len + 1);
        MUST(again);
        tern__base64_encode(out, len, again);
        MUST(memcmp(again, p, coded_len) == 0);
        for (size_t i = coded_len; i < n; i++)
            MUST(p[i] == '=');
        free(again);
    }
    free(out);
    out = malloc(tern__base64_decoded_max(tern__base64_encoded_len(n)));
    MUST(out);
    tern__base64_encode(p, n, coded);
    MUST(tern__base64_decode(coded, tern__base64_encoded_len(n), out, &len) == 0);
    MUST(len == n && (n == 0 || memcmp(out, p, n) == 0));
    free(out);
    free(coded);
}

static void fuzz_status(uint8_t param, const uint8_t *p, size_t n)
{
    tern_code code = tern__status_parse((const char *)p, n);
    MUST(code >= TERN_OK && code <= TERN_UNAUTHENTICATED);
    MUST(tern_code_name(code)[0] && tern__h2_error_name(param)[0]);
    char *name = malloc(n + 1);
    MUST(name);
    if (n)
        memcpy(name, p, n);
    name[n] = '\0';
    if (tern_code_from_name(name, &code) == 0)
        MUST(strcmp(tern_code_name(code), name) == 0);
    free(name);
}

static void fuzz_path(uint8_t param, const uint8_t *p, size_t n)
{
    (void)param;
    const char *s = (const char *)p;
    tern__path path;
    if (tern__path_parse(s, n, &path) == 0) {
        MUST(path.service == s + 1 && path.service_len > 0 && path.method_len > 0);
        MUST(path.method == path.service + path.service_len + 1);
        MUST(path.method + path.method_len == s + n);
        MUST(!memchr(path.service, '/', path.service_len));
        MUST(!memchr(path.method, '/', path.method_len));
    }
    if (tern__content_type_ok(s, n))
        MUST(n == 16 || s[16] == '+' || s[16] == ';');
}

/* --- metadata --------------------------------------------------------------------------------- */

static void check_equal(const tern_metadata *a, const tern_metadata *b)
{
    MUST(tern_metadata_count(a) == tern_metadata_count(b));
    for (size_t i = 0; i < tern_metadata_count(a); i++) {
        const tern_metadata_entry *x = tern_metadata_at(a, i), *y = tern_metadata_at(b, i);
        MUST(strcmp(x->key, y->key) == 0 && x->value_len == y->value_len);
        MUST(memcmp(x->value, y->value, x->value_len + 1) == 0); /* the NUL behind it as well */
    }
}

/* Lines "key: value\n" as fields off the wire. */
static void fuzz_metadata_received(uint8_t param, const uint8_t *p, size_t n)
{
    tern__arena arena;
    tern__arena_init(&arena, NULL, 0, 0);
    tern_metadata in_arena, in_heap, again;
    tern__metadata_init(&in_arena, &arena);
    tern__metadata_init(&in_heap, NULL);
    tern__metadata_init(&again, NULL);
    const uint8_t *end = p + n;
    for (uint32_t line = 0; p < end; line++) {
        const uint8_t *eol = memchr(p, '\n', (size_t)(end - p));
        if (!eol)
            eol = end;
        const uint8_t *colon = memchr(p, ':', (size_t)(eol - p));
        if (!colon)
            colon = eol;
        size_t key_len = (size_t)(colon - p);
        const uint8_t *value = colon < eol ? colon + 1 : eol;
        size_t value_len = (size_t)(eol - value);
        char *key_copy = exact_copy(p, key_len), *value_copy = exact_copy(value, value_len);
        size_t before = in_heap.n;
        int rv = tern__metadata_add_received(&in_arena, key_copy, key_len, value_copy, value_len);
        MUST(rv == 0 || rv == -EINVAL || rv == -ENOMEM);
        MUST(tern__metadata_add_received(&in_heap, key_copy, key_len, value_copy, value_len) == rv);
        MUST(rv == 0 || in_heap.n == before);
        free(key_copy);
        free(value_copy);
        p = eol < end ? eol + 1 : end;
        if (param && line % param == param - 1u) { /* now and then it starts over */
            tern_metadata_clear(&in_arena);
            tern_metadata_clear(&in_heap);
        }
    }
    check_equal(&in_arena, &in_heap);
    MUST(in_heap.n <= TERN_LIMIT_HEADER_FIELDS);

    /* What was received can be sent on, and comes out as it went in. */
    size_t wire_size = 0;
    bool blank = false;
    for (size_t i = 0; i < in_heap.n; i++) {
        const tern_metadata_entry *e = &in_heap.entries[i];
        const char *value;
        size_t len;
        MUST(tern__metadata_key_ok(e->key, strlen(e->key)));
        MUST(tern__metadata_wire_value(e, &arena, &value, &len) == 0);
        wire_size += strlen(e->key) + len + 32;
        bool bin = tern__metadata_key_is_bin(e->key, strlen(e->key));
        blank = blank || (!bin && len != e->value_len);
        MUST(tern__metadata_add_received(&again, e->key, strlen(e->key), value, len) == 0);
    }
    MUST(tern__metadata_wire_size(&in_heap) == wire_size);
    if (!blank)
        check_equal(&in_heap, &again);
    tern__metadata_deinit(&again);
    tern__metadata_deinit(&in_heap);
    tern__metadata_deinit(&in_arena);
    tern__arena_deinit(&arena);
}

/* The program's own pairs: what is accepted may be sent. */
static void fuzz_metadata_add(uint8_t param, const uint8_t *p, size_t n)
{
    size_t key_len = n < param ? n : param;
    char *key = malloc(key_len + 1), *value = malloc(n - key_len + 1);
    tern_metadata *md = tern_metadata_new();
    MUST(key && value && md);
    if (key_len)
        memcpy(key, p, key_len);
    if (n - key_len)
        memcpy(value, p + key_len, n - key_len);
    key[key_len] = value[n - key_len] = '\0';
    bool text = tern_metadata_add(md, key, value) == 0;
    bool bin = tern_metadata_add_bin(md, key, value, n - key_len) == 0;
    MUST(!(text && bin) && tern_metadata_count(md) == (size_t)(text || bin));
    for (size_t i = 0; i < tern_metadata_count(md); i++) {
        const tern_metadata_entry *e = tern_metadata_at(md, i);
        size_t len = strlen(e->key);
        MUST(tern__metadata_key_ok(e->key, len) && tern__metadata_key_is_bin(e->key, len) == bin);
        MUST(bin || tern__metadata_value_ok(e->value, e->value_len));
        MUST(tern_metadata_get(md, key) == e->value);
    }
    tern_metadata_free(md);
    free(key);
    free(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const parsers[FUZZ_PARSERS])(uint8_t, const uint8_t *, size_t) = {
        fuzz_message, fuzz_timeout, fuzz_percent,           fuzz_base64,
        fuzz_status,  fuzz_path,    fuzz_metadata_received, fuzz_metadata_add,
    };
    if (size < 2 || size > FUZZ_INPUT_MAX)
        return 0;
    uint8_t *input = exact_copy(data + 2, size - 2);
    parsers[data[0] % FUZZ_PARSERS](data[1], input, size - 2);
    free(input);
    return 0;
}

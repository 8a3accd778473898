/* Assertions for tests that use cmocka and libtern-testing: on status, metadata and attempts. When
 * one fails it says what was seen. Inline functions only; who uses another framework leaves this
 * header out. It includes cmocka.h, with what that wants before it. */
#ifndef TERN_TESTING_CMOCKA_H
#define TERN_TESTING_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <tern/metadata.h>
#include <tern/status.h>
#include <tern/testing.h>

/* Most of what was seen that a message shows, bytes. */
#define TERN_TESTING_SEEN_BYTES 4096u

/* `call` (an expression that gives a tern_code) is TERN_OK; `st` (tern_status *) is what it fills
 * if not. */
#define tern_assert_ok(call, st) tern_assert_status((call), (st), TERN_OK, NULL)

/* It is `want`, and the message in `st` contains `says` (NULL: whatever it is). */
#define tern_assert_status(call, st, want, says) \
    tern_testing_check_status((call), (st), (want), (says), __FILE__, __LINE__)

/* The list (const tern_metadata *) has a pair of this key and this value, among others of the key
 * perhaps; it has none of this key. */
#define tern_assert_metadata(md, key, value) \
    tern_testing_check_metadata((md), (key), (value), __FILE__, __LINE__)
#define tern_assert_no_metadata(md, key) \
    tern_testing_check_metadata((md), (key), NULL, __FILE__, __LINE__)

/* So many attempts at `path` (NULL: any) have come to the scripted server. */
#define tern_assert_attempts(ts, path, n) \
    tern_testing_check_attempts((ts), (path), (n), __FILE__, __LINE__)

/* The attempt number `index` (0: the first) at `path` said grpc-previous-rpc-attempts `n` (0: did
 * not). */
#define tern_assert_previous_attempts(ts, path, index, n) \
    tern_testing_check_previous((ts), (path), (index), (n), __FILE__, __LINE__)

/* All that was scripted has been asked for. */
#define tern_assert_script_used(ts) tern_testing_check_used((ts), __FILE__, __LINE__)

static inline void tern_testing_check_status(tern_code code, const tern_status *st, tern_code want,
                                             const char *says, const char *file, int line)
{
    const char *message = code != TERN_OK && st ? st->message : "";
    if (code == want && (!says || strstr(message, says)))
        return;
    print_error("status is %s: \"%s\"\nexpected %s", tern_code_name(code), message,
                   tern_code_name(want));
    if (says)
        print_error(" with \"%s\" in its message", says);
    print_error("\n");
    _fail(file, line);
}

static inline void tern_testing_check_metadata(const tern_metadata *md, const char *key,
                                               const char *value, const char *file, int line)
{
    size_t n = 0;
    for (size_t i = 0; i < tern_metadata_count(md); i++) {
        const tern_metadata_entry *e = tern_metadata_at(md, i);
        if (strcmp(e->key, key) != 0)
            continue;
        n++;
        if (value && e->value_len == strlen(value) && memcmp(e->value, value, e->value_len) == 0)
            return;
    }
    if (!value && n == 0)
        return;
    print_error("metadata has %lu value(s) of \"%s\", expected %s%s; it is:\n",
                   (unsigned long)n, key, value ? "one that is " : "none", value ? value : "");
    for (size_t i = 0; i < tern_metadata_count(md); i++)
        print_error("  %s: %s\n", tern_metadata_at(md, i)->key, tern_metadata_at(md, i)->value);
    _fail(file, line);
}

/* Fails the test with all that the server saw. */
static inline void tern_testing_fail_seen(tern_testing_server *ts, const char *file, int line)
{
    char seen[TERN_TESTING_SEEN_BYTES];
    tern_testing_server_describe(ts, seen, sizeof seen);
    /* in pieces: cmocka cuts a message that is longer than 1,024 bytes */
    for (const char *at = seen; *at;) {
        const char *end = strchr(at, '\n');
        int len = end ? (int)(end - at) : (int)strlen(at);
        print_error("%.*s\n", len, at);
        at += len + (end != NULL);
    }
    _fail(file, line);
}

static inline void tern_testing_check_attempts(tern_testing_server *ts, const char *path, size_t n,
                                               const char *file, int line)
{
    size_t seen = tern_testing_server_count(ts, path);
    if (seen == n)
        return;
    print_error("%lu attempt(s) at %s, expected %lu; all that came:\n", (unsigned long)seen,
                   path ? path : "any path", (unsigned long)n);
    tern_testing_fail_seen(ts, file, line);
}

static inline void tern_testing_check_previous(tern_testing_server *ts, const char *path,
                                               size_t index, int n, const char *file, int line)
{
    const tern_testing_call *call = tern_testing_server_call(ts, path, index);
    if (call && call->previous_attempts == n)
        return;
    if (call)
        print_error("attempt %lu at %s said %d previous ones, expected %d; all that came:\n",
                       (unsigned long)index, path ? path : "any path", call->previous_attempts, n);
    else
        print_error("no attempt %lu at %s; all that came:\n", (unsigned long)index,
                       path ? path : "any path");
    tern_testing_fail_seen(ts, file, line);
}

static inline void tern_testing_check_used(tern_testing_server *ts, const char *file, int line)
{
    size_t left = tern_testing_server_unused(ts, NULL);
    if (!left)
        return;
    print_error("%lu scripted answer(s) were not asked for; all that came:\n",
                   (unsigned long)left);
    tern_testing_fail_seen(ts, file, line);
}

#endif

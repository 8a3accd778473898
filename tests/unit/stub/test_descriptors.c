/* The index over embedded descriptors: every kind of symbol, imports, extensions, what is
 * malformed, and memory that runs out at every allocation. */
#include "stub/descriptors.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/failmalloc.h"
#include "support/reflected.h"

static tern__descriptors build(const tern_file *files, size_t n)
{
    tern__descriptors d;
    tern__descriptors_init(&d);
    assert_int_equal(tern__descriptors_add(&d, files, n), 0);
    assert_int_equal(tern__descriptors_link(&d), 0);
    return d;
}

static void declares(const tern__descriptors *d, const char *symbol, const char *file)
{
    const tern__descriptor_file *f = tern__descriptors_symbol(d, symbol);
    if (!f != !file || (f && strcmp(f->file->name, file) != 0))
        fail_msg("%s is declared in %s", symbol, f ? f->file->name : "nothing");
}

static void symbols_of_every_kind_are_found(void **state)
{
    (void)state;
    reflected r;
    reflected_make(&r);
    tern__descriptors d = build(r.files, REFLECTED_FILES);
    declares(&d, "t.Outer", "t/outer.proto");
    declares(&d, "t.Outer.field", "t/outer.proto");
    declares(&d, "t.Outer.choice", "t/outer.proto");
    declares(&d, "t.Outer.Inner", "t/outer.proto");
    declares(&d, "t.Outer.Inner.deep", "t/outer.proto");
    declares(&d, "t.Colour", "t/outer.proto");
    declares(&d, "t.RED", "t/outer.proto"); /* a value lies in the scope around its enum */
    declares(&d, "t.Colour.RED", NULL);
    declares(&d, "t.Svc", "t/svc.proto");
    declares(&d, "t.Svc.Get", "t/svc.proto");
    declares(&d, "t.extra", "t/svc.proto");
    declares(&d, "Bare", "bare.proto"); /* no package */
    declares(&d, "t", NULL);
    declares(&d, "", NULL);
    declares(&d, "t.Oute", NULL);
    assert_true(tern__descriptors_is_message(&d, "t.Outer.Inner"));
    assert_false(tern__descriptors_is_message(&d, "t.Svc"));
    assert_false(tern__descriptors_is_message(&d, "t.Outer.field"));
    tern__descriptors_deinit(&d);
    reflected_free(&r);
}

static void imports_and_extensions_are_linked(void **state)
{
    (void)state;
    reflected r;
    reflected_make(&r);
    tern__descriptors d = build(r.files, REFLECTED_FILES);
    const tern__descriptor_file *svc = tern__descriptors_file(&d, "t/svc.proto");
    assert_non_null(svc);
    assert_int_equal(svc->n_imports, 2); /* "gone.proto" is not there */
    assert_string_equal(svc->imports[0]->file->name, "t/outer.proto");
    assert_string_equal(svc->imports[1]->file->name, "bare.proto");
    assert_int_equal(d.n_extensions, 1);
    assert_int_equal(d.extensions->number, 100);
    assert_int_equal(d.extensions->extendee_len, strlen("t.Outer"));
    assert_memory_equal(d.extensions->extendee, "t.Outer", 7);
    assert_ptr_equal(d.extensions->file, svc);
    assert_null(tern__descriptors_file(&d, "gone.proto"));
    assert_int_equal(d.n_files, REFLECTED_FILES);
    tern__descriptors_deinit(&d);
    /* Twice the same files are once the same. */
    tern__descriptors_init(&d);
    assert_int_equal(tern__descriptors_add(&d, r.files, REFLECTED_FILES), 0);
    assert_int_equal(tern__descriptors_add(&d, r.files, REFLECTED_FILES), 0);
    assert_int_equal(tern__descriptors_link(&d), 0);
    assert_int_equal(d.n_files, REFLECTED_FILES);
    tern__descriptors_deinit(&d);
    reflected_free(&r);
}

/* Each file cut at every byte, and each byte made another: an error, or something that is whole. */
static void what_is_malformed_is_refused_or_harmless(void **state)
{
    (void)state;
    reflected r;
    size_t n_refused = 0;
    reflected_make(&r);
    for (size_t i = 0; i < REFLECTED_FILES; i++) {
        for (size_t len = 0; len < 2 * r.files[i].len; len++) {
            size_t at = len / 2;
            bool cut = len % 2;
            uint8_t *copy = malloc(r.files[i].len + 1); /* the exact size, for sanitizers */
            assert_non_null(copy);
            memcpy(copy, r.files[i].descriptor, r.files[i].len);
            copy[at] ^= cut ? 0 : 0xff;
            uint8_t *exact = malloc(cut ? at + (at == 0) : r.files[i].len);
            assert_non_null(exact);
            memcpy(exact, copy, cut ? at : r.files[i].len);
            tern_file f = { "x", exact, cut ? at : r.files[i].len };
            tern__descriptors d;
            tern__descriptors_init(&d);
            int rv = tern__descriptors_add(&d, &f, 1);
            if (rv == 0)
                rv = tern__descriptors_link(&d);
            assert_true(rv == 0 || rv == -EBADMSG);
            n_refused += rv != 0;
            tern__descriptors_deinit(&d);
            free(exact);
            free(copy);
        }
    }
    assert_true(n_refused > 100);
    reflected_free(&r);
}

static void messages_in_each_other_have_a_limit(void **state)
{
    (void)state;
    uint8_t bytes[400];
    for (unsigned depth = TERN__DESCRIPTOR_DEPTH_MAX - 1; depth < TERN__DESCRIPTOR_DEPTH_MAX + 2;
         depth++) {
        size_t len = 0;
        for (unsigned i = 0; i < depth; i++) { /* from the inside out: no name, one nested type */
            assert_true(len + 3 < sizeof bytes);
            size_t head = len < 128 ? 2 : 3;
            memmove(bytes + head, bytes, len);
            bytes[0] = (uint8_t)((i + 1 == depth ? 4 : 3) << 3 | 2);
            bytes[1] = (uint8_t)(len < 128 ? len : (len & 0x7f) | 0x80);
            if (head == 3)
                bytes[2] = (uint8_t)(len >> 7);
            len += head;
        }
        tern_file f = { "x", bytes, len };
        tern__descriptors d;
        tern__descriptors_init(&d);
        assert_int_equal(tern__descriptors_add(&d, &f, 1),
                         depth <= TERN__DESCRIPTOR_DEPTH_MAX ? 0 : -EBADMSG);
        tern__descriptors_deinit(&d);
    }
}

static void out_of_memory_is_told(void **state)
{
    (void)state;
    reflected r;
    reflected_make(&r);
    long n = 0;
    for (;; n++) {
        tern__descriptors d;
        tern__descriptors_init(&d);
        failmalloc_after(n);
        int rv = tern__descriptors_add(&d, r.files, REFLECTED_FILES);
        if (rv == 0)
            rv = tern__descriptors_link(&d);
        bool failed = failmalloc_off();
        assert_int_equal(rv, failed ? -ENOMEM : 0);
        tern__descriptors_deinit(&d);
        if (!failed)
            break;
    }
    assert_true(n > 2);
    reflected_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(symbols_of_every_kind_are_found),
        cmocka_unit_test(imports_and_extensions_are_linked),
        cmocka_unit_test(what_is_malformed_is_refused_or_harmless),
        cmocka_unit_test(messages_in_each_other_have_a_limit),
        cmocka_unit_test(out_of_memory_is_told),
    };
    return cmocka_run_group_tests_name("stub/descriptors", tests, NULL, NULL);
}

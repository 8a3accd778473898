/* See hpack.h. */
#include "support/hpack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

void hpack_init(hpack *h)
{
    memset(h, 0, sizeof *h);
    assert_int_equal(nghttp2_hd_inflate_new(&h->inflater), 0);
}

void hpack_deinit(hpack *h)
{
    nghttp2_hd_inflate_del(h->inflater);
    h->inflater = NULL;
}

void hpack_read(hpack *h, const uint8_t *block, size_t len)
{
    h->n = 0;
    for (int flags = 0; !(flags & NGHTTP2_HD_INFLATE_FINAL);) {
        nghttp2_nv nv;
        ssize_t n = nghttp2_hd_inflate_hd2(h->inflater, &nv, &flags, block, len, 1);
        assert_true(n >= 0);
        block += n;
        len -= (size_t)n;
        if (!(flags & NGHTTP2_HD_INFLATE_EMIT))
            continue;
        assert_true(h->n < HPACK_FIELDS);
        snprintf(h->fields[h->n].name, sizeof h->fields[0].name, "%s", (const char *)nv.name);
        snprintf(h->fields[h->n].value, sizeof h->fields[0].value, "%s", (const char *)nv.value);
        h->n++;
    }
    nghttp2_hd_inflate_end_headers(h->inflater);
}

const char *hpack_get(const hpack *h, const char *name)
{
    for (size_t i = 0; i < h->n; i++)
        if (strcmp(h->fields[i].name, name) == 0)
            return h->fields[i].value;
    return NULL;
}

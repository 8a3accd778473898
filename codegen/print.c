/* An output buffer with two ways of writing: printf for lines with one or two variables, where the
 * compiler checks the arguments, and $key$ templates for passages in which a few names return over
 * and over, where a format string would be unreadable. */
#include "codegen/print.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/memory.h"

#define CAPACITY_FIRST 4096

static void reserve(cg_out *o, size_t extra)
{
    size_t need = o->len + extra + 1;
    size_t capacity = o->capacity ? o->capacity : CAPACITY_FIRST;

    if (need <= o->capacity)
        return;
    while (capacity < need)
        capacity *= 2;
    o->data = cg_realloc(o->data, capacity);
    o->capacity = capacity;
}

void cg_putn(cg_out *o, const char *text, size_t len)
{
    reserve(o, len);
    memcpy(o->data + o->len, text, len);
    o->len += len;
    o->data[o->len] = '\0';
}

void cg_put(cg_out *o, const char *text)
{
    cg_putn(o, text, strlen(text));
}

void cg_putf(cg_out *o, const char *fmt, ...)
{
    va_list ap;
    int len;

    va_start(ap, fmt);
    len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    assert(len >= 0);
    reserve(o, (size_t)len);
    va_start(ap, fmt);
    vsnprintf(o->data + o->len, (size_t)len + 1, fmt, ap);
    va_end(ap);
    o->len += (size_t)len;
}

static const char *value_of(const cg_var *vars, const char *key, size_t len)
{
    for (; vars->key; vars++)
        if (strlen(vars->key) == len && memcmp(vars->key, key, len) == 0)
            return vars->value;
    return NULL;
}

void cg_put_template(cg_out *o, const cg_var *vars, const char *text)
{
    for (;;) {
        const char *dollar = strchr(text, '$');
        const char *end, *value;

        if (!dollar) {
            cg_put(o, text);
            return;
        }
        cg_putn(o, text, (size_t)(dollar - text));
        end = strchr(dollar + 1, '$');
        assert(end);
        value = value_of(vars, dollar + 1, (size_t)(end - dollar - 1));
        assert(value);
        cg_put(o, value);
        text = end + 1;
    }
}

void cg_out_free(cg_out *o)
{
    free(o->data);
    memset(o, 0, sizeof(*o));
}

/* The text of one generated file, as it grows. */
#ifndef CODEGEN_PRINT_H
#define CODEGEN_PRINT_H

#include <stddef.h>

/* Zero it before use. `data` is NUL-terminated once anything was written. */
typedef struct cg_out {
    char *data;
    size_t len;
    size_t capacity;
} cg_out;

/* What $key$ in a template stands for. */
typedef struct cg_var {
    const char *key;
    const char *value;
} cg_var;

/* Appends text as it is. */
void cg_put(cg_out *o, const char *text);
void cg_putn(cg_out *o, const char *text, size_t len);

/* Appends a printf-style text. */
void cg_putf(cg_out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Appends a template, in which every $key$ is replaced by the value in `vars`, an array that ends
 * with a NULL key. A key that is not in the array is a mistake in the generator: asserted. */
void cg_put_template(cg_out *o, const cg_var *vars, const char *text);

/* Frees the text. */
void cg_out_free(cg_out *o);

#endif

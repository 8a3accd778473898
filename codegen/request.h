/* One run: a CodeGeneratorRequest in, a CodeGeneratorResponse out. */
#ifndef CODEGEN_REQUEST_H
#define CODEGEN_REQUEST_H

#include <stddef.h>
#include <stdint.h>

/* Answers a serialized request. Returns 0 with a serialized response in a malloc'ed buffer, which
 * is an error for the user when something cannot be generated; or -1 when `request` is no request.
 * */
int cg_answer(const uint8_t *request, size_t len, uint8_t **ret, size_t *ret_len);

#endif

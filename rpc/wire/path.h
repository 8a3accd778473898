/* The :path of a call: exactly "/pkg.Service/Method", read once and by one function (CVE-2026-33186
 * came from two readings of one path). */
#ifndef TERN__WIRE_PATH_H
#define TERN__WIRE_PATH_H

#include <stdbool.h>
#include <stddef.h>

typedef struct tern__path {
    const char *service; /* borrowed from the text */
    size_t service_len;
    const char *method;
    size_t method_len;
} tern__path;

/* 0, or -EINVAL: no leading slash, not exactly two parts, an empty part, or a byte outside
 * 0x21..0x7E. */
int tern__path_parse(const char *s, size_t len, tern__path *ret);

/* Whether a content-type is gRPC's: "application/grpc", alone or followed by '+' or ';'. */
bool tern__content_type_ok(const char *s, size_t len);

#endif

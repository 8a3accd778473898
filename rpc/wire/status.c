/* See status.h: the tables between the codes of gRPC, HTTP and HTTP/2, and the plain struct that
 * carries an outcome. */
#include "wire/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static const char *const code_names[] = {
    [TERN_OK] = "OK",
    [TERN_CANCELLED] = "CANCELLED",
    [TERN_UNKNOWN] = "UNKNOWN",
    [TERN_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
    [TERN_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
    [TERN_NOT_FOUND] = "NOT_FOUND",
    [TERN_ALREADY_EXISTS] = "ALREADY_EXISTS",
    [TERN_PERMISSION_DENIED] = "PERMISSION_DENIED",
    [TERN_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
    [TERN_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
    [TERN_ABORTED] = "ABORTED",
    [TERN_OUT_OF_RANGE] = "OUT_OF_RANGE",
    [TERN_UNIMPLEMENTED] = "UNIMPLEMENTED",
    [TERN_INTERNAL] = "INTERNAL",
    [TERN_UNAVAILABLE] = "UNAVAILABLE",
    [TERN_DATA_LOSS] = "DATA_LOSS",
    [TERN_UNAUTHENTICATED] = "UNAUTHENTICATED",
};
#define N_CODES (sizeof code_names / sizeof code_names[0])

/* RFC 9113, 7. */
static const char *const h2_error_names[] = {
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
};
#define N_H2_ERRORS (sizeof h2_error_names / sizeof h2_error_names[0])

#define H2_REFUSED_STREAM 7u
#define H2_CANCEL 8u
#define H2_ENHANCE_YOUR_CALM 11u
#define H2_INADEQUATE_SECURITY 12u

tern_code tern__status_parse(const char *s, size_t len)
{
    unsigned code = 0;
    if (len == 0)
        return TERN_UNKNOWN;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return TERN_UNKNOWN;
        code = code * 10 + (unsigned)(s[i] - '0');
        if (code >= N_CODES)
            return TERN_UNKNOWN;
    }
    return (tern_code)code;
}

tern_code tern__status_from_http(int http_status)
{
    switch (http_status) {
    case 400:
        return TERN_INTERNAL;
    case 401:
        return TERN_UNAUTHENTICATED;
    case 403:
        return TERN_PERMISSION_DENIED;
    case 404:
        return TERN_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return TERN_UNAVAILABLE;
    default:
        return TERN_UNKNOWN;
    }
}

tern_code tern__status_from_h2_error(uint32_t error_code)
{
    switch (error_code) {
    case H2_REFUSED_STREAM:
        return TERN_UNAVAILABLE;
    case H2_CANCEL:
        return TERN_CANCELLED;
    case H2_ENHANCE_YOUR_CALM:
        return TERN_RESOURCE_EXHAUSTED;
    case H2_INADEQUATE_SECURITY:
        return TERN_PERMISSION_DENIED;
    default:
        return TERN_INTERNAL;
    }
}

const char *tern__h2_error_name(uint32_t error_code)
{
    return error_code < N_H2_ERRORS ? h2_error_names[error_code] : "unknown error";
}

void tern__status_set_message(tern_status *st, const char *msg, size_t len)
{
    size_t n = len;
    if (n > sizeof st->message - 1)
        n = tern__utf8_trim(msg, sizeof st->message - 1);
    /* The message may be a part of the one that is being replaced. */
    if (n)
        memmove(st->message, msg, n);
    for (char *nul; n && (nul = memchr(st->message, '\0', n)) != NULL;)
        *nul = '?'; /* a C string must show all of it */
    st->message[n] = '\0';
}

const char *tern_code_name(tern_code code)
{
    unsigned n = (unsigned)code;
    return n < N_CODES ? code_names[n] : code_names[TERN_UNKNOWN];
}

int tern_code_from_name(const char *name, tern_code *ret)
{
    for (unsigned i = 0; i < N_CODES; i++) {
        if (strcmp(name, code_names[i]) == 0) {
            *ret = (tern_code)i;
            return 0;
        }
    }
    return -1;
}

tern_code tern_status_set(tern_status *st, tern_code code, const char *fmt, ...)
{
    if (!st)
        return code;
    /* Formatted aside: an argument may be the very message that is being replaced. */
    char text[TERN_STATUS_MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t n = len < 0 ? 0 : (size_t)len;
    if (n > sizeof text - 1)
        n = tern__utf8_trim(text, sizeof text - 1);
    st->code = code;
    memcpy(st->message, text, n);
    st->message[n] = '\0';
    return code;
}

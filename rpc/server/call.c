/* What a handler sees of its call (tern/server.h). */
#include "server/call.h"

#include <errno.h>
#include <float.h>
#include <stdio.h>
#include <string.h>

#include <tern/limits.h>

#include "server/compress.h"
#include "server/conn.h"
#include "server/intercept.h"
#include "server/loop.h"
#include "server/stream.h"
#include "wire/orca.h"

const void *tern_server_call_request(const tern_server_call *call, size_t *ret_len)
{
    *ret_len = call->request_len;
    return call->request_len ? (const void *)call->request : (const void *)"";
}

void *tern_server_call_alloc(tern_server_call *call, size_t size)
{
    return tern__arena_zalloc(&call->arena, size);
}

char *tern_server_call_strdup(tern_server_call *call, const char *s)
{
    return tern__arena_strndup(&call->arena, s, strlen(s));
}

char *tern_server_call_printf(tern_server_call *call, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = tern__arena_vprintf(&call->arena, fmt, ap);
    va_end(ap);
    return text;
}

void *tern_server_call_response_buffer(tern_server_call *call, size_t len)
{
    if (len > UINT32_MAX - TERN__MESSAGE_PREFIX_LEN)
        return NULL;
    uint8_t *p = tern__arena_alloc(&call->arena, TERN__MESSAGE_PREFIX_LEN + len);
    if (!p)
        return NULL;
    tern__message_prefix_write(p, (uint32_t)len, false);
    call->response = p;
    call->response_len = TERN__MESSAGE_PREFIX_LEN + len;
    return p + TERN__MESSAGE_PREFIX_LEN;
}

tern_context *tern_server_call_context(tern_server_call *call) { return &call->context; }

const tern_metadata *tern_server_call_metadata(const tern_server_call *call)
{
    return &call->metadata;
}

const char *tern_server_call_peer(const tern_server_call *call)
{
    /* The text is in the arena: the connection may be gone while a handler still runs. */
    return (const char *)call->first_block;
}

const tern_peer_identity *tern_server_call_peer_identity(const tern_server_call *call)
{
    return call->identity;
}

const tern_method *tern_server_call_method(const tern_server_call *call)
{
    return call->method->method;
}

tern_code tern_server_call_fail(tern_server_call *call, tern_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    call->message = tern__arena_vprintf(&call->arena, fmt, ap);
    va_end(ap);
    return code;
}

static tern_metadata *lazy_metadata(tern_server_call *call, tern_metadata **md)
{
    if (!*md) {
        *md = tern__arena_alloc(&call->arena, sizeof **md);
        if (*md)
            tern__metadata_init(*md, &call->arena);
    }
    return *md;
}

tern_metadata *tern_server_call_initial_metadata(tern_server_call *call)
{
    return lazy_metadata(call, &call->initial);
}

tern_metadata *tern_server_call_trailing_metadata(tern_server_call *call)
{
    return lazy_metadata(call, &call->trailing);
}

int tern_server_call_set_details(tern_server_call *call, const void *details, size_t len)
{
    tern_metadata *md = tern_server_call_trailing_metadata(call);
    return md ? tern__metadata_add_details(md, details, len) : -ENOMEM;
}

uint32_t tern_server_call_previous_attempts(const tern_server_call *call)
{
    return call->previous_attempts;
}

int tern_server_call_set_retry_pushback(tern_server_call *call, int64_t ms)
{
    tern_metadata *md = tern_server_call_trailing_metadata(call);
    return md ? tern__metadata_add_pushback(md, ms == TERN_NEVER_MS ? -1 : ms) : -ENOMEM;
}

static bool is_load(double x) { return x >= 0 && x <= DBL_MAX; }

int tern_server_call_report_load(tern_server_call *call, const tern_load_report *load)
{
    const tern__orca_load report = {
        .rps = load->calls_per_second,
        .eps = load->errors_per_second,
        .application_utilization = load->application_utilization,
        .cpu_utilization = load->cpu_utilization,
        .mem_utilization = load->memory_utilization,
    };
    unsigned char bytes[TERN__ORCA_BYTES_MAX];
    if (!is_load(report.rps) || !is_load(report.eps) || !is_load(report.application_utilization) ||
        !is_load(report.cpu_utilization) || !is_load(report.mem_utilization))
        return -EINVAL;
    tern_metadata *md = tern_server_call_trailing_metadata(call);
    size_t len = tern__orca_write(&report, bytes);
    return md ? tern_metadata_add_bin(md, TERN__ORCA_TRAILER, bytes, len) : -ENOMEM;
}

void tern__server_call_set_finisher(tern_server_call *call,
                                    tern_code (*fn)(tern_server_call *, void *), void *ctx)
{
    call->finisher = fn;
    call->finisher_ctx = ctx;
}

void tern__server_call_conclude(tern_server_call *call, tern_code code)
{
    if (code == TERN_OK && call->finisher)
        code = call->finisher(call, call->finisher_ctx);
    bool streamed = call->stream && call->stream->sends;
    if (code == TERN_OK && !call->response && !streamed &&
        !tern_server_call_response_buffer(call, 0))
        code = tern_server_call_fail(call, TERN_RESOURCE_EXHAUSTED,
                                     "out of memory for the response");
    if (code == TERN_OK && !streamed)
        code = tern__server_compress_response(call);
    if ((unsigned)code > TERN_UNAUTHENTICATED)
        code = tern_server_call_fail(call, TERN_UNKNOWN, "the handler returned code %d, which does "
                                     "not exist", (int)code);
    call->code = tern__server_intercept_end(call, code);
}

void tern_server_call_defer(tern_server_call *call) { call->deferred = true; }

void tern_server_call_finish(tern_server_call *call, tern_code code)
{
    tern__server_call_conclude(call, code);
    unsigned before = atomic_fetch_or(&call->deferral, TERN__CALL_FINISHED);
    if (before & TERN__CALL_RETURNED)
        tern__loop_post(call->loop, call);
    /* else the handler has not returned yet: the thread that runs it completes the call */
}

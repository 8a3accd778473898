/* See caller.h. The round trip that is measured is all of a call as a program sees it: the request
 * is packed and the answer unpacked within it; checking and freeing the answer are not. */
#include "tools/bench/caller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/bench/payload.h"
#include "tools/bench/stats.h"

int bench_caller_init(bench_caller *c, const bench_options *o, uint64_t first_number)
{
    *c = (bench_caller){ .request = GRPC__TESTING__SIMPLE_REQUEST__INIT,
                         .payload = GRPC__TESTING__PAYLOAD__INIT,
                         .call_options = TERN_CALL_OPTIONS_INIT,
                         .next_number = first_number };
    c->call_options.timeout_ms = o->timeout_ms;
    c->request.response_size = (int32_t)o->response_bytes;
    c->payload.body.len = o->request_bytes;
    if (o->request_bytes == 0)
        return 0;
    c->payload.body.data = malloc(o->request_bytes);
    if (!c->payload.body.data)
        return -ENOMEM;
    memset(c->payload.body.data, 'x', o->request_bytes);
    return 0;
}

void bench_caller_deinit(bench_caller *c)
{
    free(c->payload.body.data);
    c->payload.body.data = NULL;
}

static tern_code check(const bench_caller *c, const Grpc__Testing__SimpleResponse *response,
                       tern_status *reterr)
{
    const ProtobufCBinaryData *sent = &c->payload.body;
    static const ProtobufCBinaryData none = { 0, NULL };
    const ProtobufCBinaryData *got = response->payload ? &response->payload->body : &none;
    if (got->len != (size_t)c->request.response_size)
        return tern_status_set(reterr, TERN_DATA_LOSS,
                               "a wrong answer: %zu bytes of payload, %d were asked for", got->len,
                               c->request.response_size);
    if (!bench_payload_good(got->data, got->len, sent->data, sent->len))
        return tern_status_set(reterr, TERN_DATA_LOSS,
                               "a wrong answer: its payload is neither the request's nor zeros");
    return TERN_OK;
}

tern_code bench_caller_call(bench_caller *c, tern_channel *ch, uint64_t *ret_ns,
                            tern_status *reterr)
{
    Grpc__Testing__SimpleResponse *response = NULL;
    bench_payload_number(c->payload.body.data, c->payload.body.len, c->next_number++);
    /* Here and not in init: a caller may be moved in between. */
    c->request.payload = &c->payload;
    uint64_t begin = bench_now_ns();
    tern_code code = grpc_testing_benchmark_service_unary_call(ch, &c->call_options, &c->request,
                                                               &response, reterr);
    *ret_ns = bench_now_ns() - begin;
    if (code != TERN_OK)
        return code;
    code = check(c, response, reterr);
    grpc__testing__simple_response__free_unpacked(response, NULL);
    return code;
}

/* Cases of unary calls. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/interop/tern/client/cases.h"

#define STATUS_MESSAGE "test status message"
#define SPECIAL_MESSAGE \
    "\t\ntest with whitespace\r\nand Unicode BMP \xe2\x98\xba and non-BMP \xf0\x9f\x98\x88\t\n"

static void large_request(Grpc__Testing__SimpleRequest *req, Grpc__Testing__Payload *payload)
{
    grpc__testing__simple_request__init(req);
    fill_payload(payload, LARGE_REQUEST);
    req->payload = payload;
    req->response_size = LARGE_RESPONSE;
}

bool large_unary(tern_channel *ch, const tern_call_options *opts, size_t request, size_t response)
{
    Grpc__Testing__SimpleRequest req;
    Grpc__Testing__Payload payload;
    Grpc__Testing__SimpleResponse *res;
    tern_status st;
    large_request(&req, &payload);
    fill_payload(&payload, request);
    req.response_size = (int32_t)response;
    tern_code code = grpc_testing_test_service_unary_call(ch, opts, &req, &res, &st);
    if (!case_status("UnaryCall", code, &st, TERN_OK, NULL))
        return false;
    bool ok = check_payload("UnaryCall", res->payload, response);
    grpc__testing__simple_response__free_unpacked(res, NULL);
    return ok;
}

bool case_empty_unary(tern_channel *ch, const client_options *o)
{
    Grpc__Testing__Empty req = GRPC__TESTING__EMPTY__INIT, *res = NULL;
    tern_status st;
    (void)o;
    tern_code code = grpc_testing_test_service_empty_call(ch, NULL, &req, &res, &st);
    if (!case_status("EmptyCall", code, &st, TERN_OK, NULL))
        return false;
    bool ok = res || case_fail("EmptyCall: no response");
    if (res)
        grpc__testing__empty__free_unpacked(res, NULL);
    return ok;
}

bool case_large_unary(tern_channel *ch, const client_options *o)
{
    (void)o;
    return large_unary(ch, NULL, LARGE_REQUEST, LARGE_RESPONSE);
}

static bool cacheable(tern_channel *ch, const Grpc__Testing__SimpleRequest *req,
                      Grpc__Testing__SimpleResponse **ret)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    tern_metadata *md = tern_metadata_new();
    tern_status st;
    if (!md || tern_metadata_add(md, "x-user-ip", "1.2.3.4")) {
        tern_metadata_free(md);
        return case_fail("out of memory");
    }
    opts.metadata = md;
    tern_code code = grpc_testing_test_service_cacheable_unary_call(ch, &opts, req, ret, &st);
    tern_metadata_free(md);
    return case_status("CacheableUnaryCall", code, &st, TERN_OK, NULL);
}

/* No proxy stands between: only that the method can be called. */
bool case_cacheable_unary(tern_channel *ch, const client_options *o)
{
    Grpc__Testing__SimpleRequest req = GRPC__TESTING__SIMPLE_REQUEST__INIT;
    Grpc__Testing__Payload payload = GRPC__TESTING__PAYLOAD__INIT;
    Grpc__Testing__SimpleResponse *first, *second;
    struct timespec now;
    char text[48];
    (void)o;
    clock_gettime(CLOCK_REALTIME, &now);
    payload.body.len =
        (size_t)snprintf(text, sizeof text, "%lld%09ld", (long long)now.tv_sec, now.tv_nsec);
    payload.body.data = (uint8_t *)text;
    req.payload = &payload;
    if (!cacheable(ch, &req, &first))
        return false;
    bool ok = cacheable(ch, &req, &second);
    if (ok)
        grpc__testing__simple_response__free_unpacked(second, NULL);
    grpc__testing__simple_response__free_unpacked(first, NULL);
    return ok;
}

/* --- compression
 * -------------------------------------------------------------------------------- */

/* One call that says whether its request is compressed, which may be a lie (the probe). */
static bool compressed_call(tern_channel *ch, bool claim, bool really, tern_code wanted)
{
    Grpc__Testing__SimpleRequest req;
    Grpc__Testing__Payload payload;
    Grpc__Testing__BoolValue expect = GRPC__TESTING__BOOL_VALUE__INIT;
    Grpc__Testing__SimpleResponse *res;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    tern_status st;
    large_request(&req, &payload);
    expect.value = claim;
    req.expect_compressed = &expect;
    opts.compression = TERN_COMPRESSION_GZIP;
    opts.compress_mode = really ? TERN_COMPRESS_ALWAYS : TERN_COMPRESS_NEVER;
    tern_code code = grpc_testing_test_service_unary_call(ch, &opts, &req, &res, &st);
    if (!case_status(really ? "compressed" : "uncompressed", code, &st, wanted, NULL))
        return false;
    if (code != TERN_OK)
        return true;
    bool ok = check_payload("UnaryCall", res->payload, LARGE_RESPONSE);
    grpc__testing__simple_response__free_unpacked(res, NULL);
    return ok;
}

bool case_client_compressed_unary(tern_channel *ch, const client_options *o)
{
    (void)o;
    return compressed_call(ch, true, false, TERN_INVALID_ARGUMENT) &&
           compressed_call(ch, true, true, TERN_OK) && compressed_call(ch, false, false, TERN_OK);
}

static bool compressed_answer(tern_channel *ch, bool wanted)
{
    Grpc__Testing__SimpleRequest req;
    Grpc__Testing__Payload payload;
    Grpc__Testing__BoolValue compressed = GRPC__TESTING__BOOL_VALUE__INIT;
    Grpc__Testing__SimpleResponse *res;
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    tern_status st;
    bool came = !wanted;
    large_request(&req, &payload);
    compressed.value = wanted;
    req.response_compressed = &compressed;
    opts.ret_compressed = &came;
    tern_code code = grpc_testing_test_service_unary_call(ch, &opts, &req, &res, &st);
    if (!case_status("UnaryCall", code, &st, TERN_OK, NULL))
        return false;
    bool ok = check_payload("UnaryCall", res->payload, LARGE_RESPONSE);
    if (came != wanted)
        ok = case_fail("the response came %s", came ? "compressed" : "uncompressed");
    grpc__testing__simple_response__free_unpacked(res, NULL);
    return ok;
}

bool case_server_compressed_unary(tern_channel *ch, const client_options *o)
{
    (void)o;
    return compressed_answer(ch, true) && compressed_answer(ch, false);
}

/* --- status
 * ------------------------------------------------------------------------------------- */

static bool status_unary(tern_channel *ch, tern_code wanted, char *message)
{
    Grpc__Testing__SimpleRequest req = GRPC__TESTING__SIMPLE_REQUEST__INIT;
    Grpc__Testing__EchoStatus status = GRPC__TESTING__ECHO_STATUS__INIT;
    Grpc__Testing__SimpleResponse *res;
    tern_status st;
    status.code = (int32_t)wanted;
    status.message = message;
    req.response_status = &status;
    tern_code code = grpc_testing_test_service_unary_call(ch, NULL, &req, &res, &st);
    if (code == TERN_OK)
        grpc__testing__simple_response__free_unpacked(res, NULL);
    return case_status("UnaryCall", code, &st, wanted, message);
}

bool case_status_code_and_message(tern_channel *ch, const client_options *o)
{
    char message[] = STATUS_MESSAGE;
    (void)o;
    return status_unary(ch, TERN_UNKNOWN, message) && status_duplex(ch, TERN_UNKNOWN, message);
}

bool case_special_status_message(tern_channel *ch, const client_options *o)
{
    char message[] = SPECIAL_MESSAGE;
    (void)o;
    return status_unary(ch, TERN_UNKNOWN, message);
}

bool case_unimplemented_method(tern_channel *ch, const client_options *o)
{
    Grpc__Testing__Empty req = GRPC__TESTING__EMPTY__INIT, *res = NULL;
    tern_status st;
    (void)o;
    tern_code code = grpc_testing_test_service_unimplemented_call(ch, NULL, &req, &res, &st);
    if (res)
        grpc__testing__empty__free_unpacked(res, NULL);
    return case_status("UnimplementedCall", code, &st, TERN_UNIMPLEMENTED, NULL);
}

bool case_unimplemented_service(tern_channel *ch, const client_options *o)
{
    Grpc__Testing__Empty req = GRPC__TESTING__EMPTY__INIT, *res = NULL;
    tern_status st;
    (void)o;
    tern_code code =
        grpc_testing_unimplemented_service_unimplemented_call(ch, NULL, &req, &res, &st);
    if (res)
        grpc__testing__empty__free_unpacked(res, NULL);
    return case_status("UnimplementedService", code, &st, TERN_UNIMPLEMENTED, NULL);
}

/* --- metadata
 * ----------------------------------------------------------------------------------- */

#define INITIAL_KEY "x-grpc-test-echo-initial"
#define INITIAL_VALUE "test_initial_metadata_value"
#define TRAILING_KEY "x-grpc-test-echo-trailing-bin"
#define TRAILING_VALUE "\xab\xab\xab"

static bool came_back(const tern_metadata *md, const char *key, const char *value,
                      const char *where)
{
    for (size_t i = 0; i < tern_metadata_count(md); i++) {
        const tern_metadata_entry *e = tern_metadata_at(md, i);
        if (strcmp(e->key, key) == 0 && e->value_len == strlen(value) &&
            memcmp(e->value, value, e->value_len) == 0)
            return true;
    }
    return case_fail("%s is not in the %s metadata", key, where);
}

/* Makes the call, unary or over a stream, and looks for what the server is to echo. */
static bool echoed(tern_channel *ch, tern_call_options *opts, bool duplex)
{
    tern_metadata *initial = tern_metadata_new(), *trailing = tern_metadata_new();
    bool ok = initial && trailing;
    if (!ok)
        case_fail("out of memory");
    opts->ret_initial_metadata = initial;
    opts->ret_trailing_metadata = trailing;
    if (ok)
        ok = duplex ? custom_metadata_duplex(ch, opts)
                    : large_unary(ch, opts, LARGE_REQUEST, LARGE_RESPONSE);
    ok = ok && came_back(initial, INITIAL_KEY, INITIAL_VALUE, "initial") &&
         came_back(trailing, TRAILING_KEY, TRAILING_VALUE, "trailing");
    tern_metadata_free(initial);
    tern_metadata_free(trailing);
    return ok;
}

bool case_custom_metadata(tern_channel *ch, const client_options *o)
{
    tern_call_options opts = TERN_CALL_OPTIONS_INIT;
    tern_metadata *md = tern_metadata_new();
    (void)o;
    if (!md || tern_metadata_add(md, INITIAL_KEY, INITIAL_VALUE) ||
        tern_metadata_add_bin(md, TRAILING_KEY, TRAILING_VALUE, 3)) {
        tern_metadata_free(md);
        return case_fail("out of memory");
    }
    opts.metadata = md;
    bool ok = echoed(ch, &opts, false) && echoed(ch, &opts, true);
    tern_metadata_free(md);
    return ok;
}

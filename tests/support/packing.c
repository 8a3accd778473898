/* See packing.h. */
#include "support/packing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "support/probe.h"

const tern_method pack_echo = { .path = "/t.T/Echo" };
const tern_method pack_chat = { .path = "/t.T/Chat", .kind = TERN_KIND_BIDI_STREAMING };
const tern_method pack_sum = { .path = "/t.T/Sum", .kind = TERN_KIND_CLIENT_STREAMING };

packing pack;

/* Metadata tells what the answer is to be like, and what the request must have been like. */
static void obey(tern_server_call *call)
{
    const tern_metadata *md = tern_server_call_metadata(call);
    const char *encoding = tern_metadata_get(md, "x-encoding");
    const char *mode = tern_metadata_get(md, "x-mode");
    tern_compression c;
    if (encoding && tern_compression_from_name(encoding, &c) == 0) {
        bool accepted = tern_server_call_set_compression(call, c);
        tern_metadata *initial = tern_server_call_initial_metadata(call);
        tern_metadata_add(initial, "x-accepted", accepted ? "yes" : "no");
    }
    if (mode)
        tern_server_call_set_compress_mode(call, (tern_compress_mode)atoi(mode));
}

static tern_code echo(void *self, tern_server_call *call)
{
    (void)self;
    size_t len;
    const void *data = tern_server_call_request(call, &len);
    tern_metadata *initial = tern_server_call_initial_metadata(call);
    tern_metadata_add(initial, "x-came",
                      tern_server_call_message_compressed(call) ? "compressed" : "plain");
    obey(call);
    void *to = tern_server_call_response_buffer(call, len);
    if (!to)
        return TERN_RESOURCE_EXHAUSTED;
    if (len)
        memcpy(to, data, len);
    return TERN_OK;
}

static tern_code chat(void *self, tern_server_call *call)
{
    (void)self;
    const void *data;
    size_t len;
    obey(call);
    while (tern_server_call_recv(call, &data, &len)) {
        const char *text = data;
        bool compressed = tern_server_call_message_compressed(call);
        if (len < 2 || text[0] != (compressed ? 'C' : 'P'))
            return tern_server_call_fail(call, TERN_INVALID_ARGUMENT, "came %s",
                                         compressed ? "compressed" : "plain");
        tern_server_call_set_compress_mode(call, (tern_compress_mode)(text[1] - '0'));
        if (!tern_server_call_send(call, data, len))
            break;
    }
    /* With the headers gone, nothing can be changed. */
    if (tern_server_call_set_compression(call, TERN_COMPRESSION_IDENTITY))
        return tern_server_call_fail(call, TERN_FAILED_PRECONDITION, "changed too late");
    return TERN_OK;
}

static tern_code sum(void *self, tern_server_call *call)
{
    (void)self;
    const void *data;
    size_t len, total = 0, n_compressed = 0;
    obey(call);
    if (tern_metadata_get(tern_server_call_metadata(call), "x-headers-first"))
        tern_server_call_send_headers(call);
    while (tern_server_call_recv(call, &data, &len)) {
        total += len;
        n_compressed += tern_server_call_message_compressed(call);
    }
    char *to = tern_server_call_response_buffer(call, 400);
    if (!to)
        return TERN_RESOURCE_EXHAUSTED;
    memset(to, ' ', 400);
    snprintf(to, 400, "%zu bytes, %zu compressed", total, n_compressed);
    return TERN_OK;
}

void pack_start_server(tern_compression server_default)
{
    tern_server_options opts = TERN_SERVER_OPTIONS_INIT;
    opts.receive_message_bytes_max = PACK_LIMIT;
    opts.compression = server_default;
    opts.loops = 1;
    assert_int_equal(tern_server_new(&opts, &pack.srv, &pack.st), TERN_OK);
    assert_int_equal(tern_server_add_raw(pack.srv, &pack_echo, echo, NULL, &pack.st), TERN_OK);
    assert_int_equal(tern_server_add_raw(pack.srv, &pack_chat, chat, NULL, &pack.st), TERN_OK);
    assert_int_equal(tern_server_add_raw(pack.srv, &pack_sum, sum, NULL, &pack.st), TERN_OK);
    assert_int_equal(tern_server_listen(pack.srv, "ipv4:127.0.0.1:0", &pack.port, &pack.st),
                     TERN_OK);
    assert_int_equal(tern_server_start(pack.srv, &pack.st), TERN_OK);
}

tern_channel *pack_channel(uint16_t port, tern_compression channel_default)
{
    char target[64];
    tern_channel_options opts = TERN_CHANNEL_OPTIONS_INIT;
    opts.receive_message_bytes_max = PACK_LIMIT;
    opts.compression = channel_default;
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    return probe_channel_with(target, &opts);
}

int pack_setup(void **state)
{
    (void)state;
    tern__rng rng;
    tern__rng_seed(&rng, 11);
    for (size_t i = 0; i < PACK_BIG; i++) {
        pack.big[i] = "parcel from Aarhus to Bergen. "[i % 30];
        pack.noise[i] = (char)tern__rng_next(&rng);
    }
    pack_start_server(TERN_COMPRESSION_DEFAULT);
    pack.ch = pack_channel(pack.port, TERN_COMPRESSION_DEFAULT);
    return 0;
}

int pack_teardown(void **state)
{
    (void)state;
    tern_channel_free(pack.ch);
    tern_server_free(pack.srv);
    pack.ch = NULL;
    pack.srv = NULL;
    return 0;
}

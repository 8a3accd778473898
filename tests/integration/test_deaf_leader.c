/* A caller that waits alone sleeps in the read and hears nobody (client/drive.c). Meanwhile another
 * thread fills the socket with a stream's messages, and goes on to other things: what is left in
 * the program has to leave all the same, as soon as the socket takes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/probe.h"
#include "support/rawh2.h"

#define PATIENCE_MS 15000
#define MESSAGE_BYTES 50000u
#define MESSAGES 400u
#define TOTAL ((uint64_t)MESSAGES * (MESSAGE_BYTES + 5))

static tern_channel *channel;
static tern_stream *stream;
static atomic_bool sent;
static rawh2 raw;
static raw_frame f;

static void *wait_for_an_answer(void *arg)
{
    static const tern_method m = { .path = "/t.T/Unary" };
    void *bytes = NULL;
    size_t len;
    tern_call_unary(channel, &m, NULL, "", 0, &bytes, &len, NULL);
    free(bytes);
    return arg;
}

static void *send_all(void *arg)
{
    static const uint8_t message[MESSAGE_BYTES];
    static const tern_method m = { .path = "/t.T/Stream", .kind = TERN_KIND_CLIENT_STREAMING };
    if (tern_stream_open(channel, &m, NULL, &stream, NULL) != TERN_OK)
        return "not opened";
    for (unsigned i = 0; i < MESSAGES; i++)
        if (!tern_stream_send(stream, message, sizeof message))
            return "not sent";
    atomic_store(&sent, true);
    return arg;
}

/* Reads the stream's DATA up to `until` bytes in all, or until everything is sent. */
static uint64_t read_data(uint64_t had, bool until_sent)
{
    while (had < TOTAL && !(until_sent && atomic_load(&sent))) {
        if (!raw_next(&raw, &f, PATIENCE_MS))
            break;
        if (f.type == RAW_DATA && f.stream == 3)
            had += f.len;
    }
    return had;
}

static void round_of_messages(void)
{
    pthread_t caller, sender;
    uint16_t port;
    char target[64];
    void *failed;
    int small = 4096, listen_fd = raw_listen(&port);
    setsockopt(listen_fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    snprintf(target, sizeof target, "ipv4:127.0.0.1:%u", port);
    channel = probe_channel(target);
    assert_int_equal(pthread_create(&caller, NULL, wait_for_an_answer, NULL), 0);
    assert_true(raw_accept(&raw, listen_fd, PATIENCE_MS));
    raw_put_frame(&raw, RAW_SETTINGS, 0, 0, "\0\4\x7f\xff\xff\xff", 6);
    raw_put_frame(&raw, RAW_WINDOW_UPDATE, 0, 0, "\x7f\xfe\0\0", 4);
    assert_true(raw_send(&raw));
    assert_true(raw_until(&raw, RAW_DATA, 1, &f, PATIENCE_MS));
    probe_sleep_ms(20); /* likely asleep in the read by now; if not, this proves less */
    assert_int_equal(pthread_create(&sender, NULL, send_all, NULL), 0);
    uint64_t had = read_data(0, true);
    pthread_join(sender, &failed);
    assert_null(failed);
    assert_int_equal(read_data(had, false), TOTAL);
    raw_close(&raw); /* both calls end */
    pthread_join(caller, NULL);
    tern_stream_finish(stream, NULL);
    tern_channel_free(channel);
    close(listen_fd);
}

/* How much is left when the sender ends is a matter of luck: often enough it is something. */
static void what_is_left_leaves(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        atomic_store(&sent, false);
        round_of_messages();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_is_left_leaves) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

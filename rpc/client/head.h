/* The head of a request: its header fields, in the order of PROTOCOL-HTTP2.md, "Requests". Made
 * once for a call; timeout and count of attempts are put in place before each attempt. */
#ifndef TERN__CLIENT_HEAD_H
#define TERN__CLIENT_HEAD_H

#include <stdint.h>

#include <tern/call.h>

#include "base/arena.h"
#include "client/channel.h"
#include "h2/session.h"
#include "wire/timeout.h"

#define TERN__HEAD_ARENA_BYTES 1024u

typedef struct tern__head {
    tern__h2_field fields[TERN__H2_FIELDS_MAX];
    uint32_t n_fields, timeout_at, attempts_at;
    char timeout_text[TERN__TIMEOUT_TEXT_MAX];
    char attempts_text[4];
    tern__arena arena; /* base64 of -bin metadata */
    uint8_t first_block[TERN__HEAD_ARENA_BYTES];
} tern__head;

/* Fills the list; the strings of channel, method and opts->metadata are borrowed. `deadline`: ns,
 * TERN__TIME_NEVER for none. RESOURCE_EXHAUSTED: more metadata than is allowed, out of memory. The
 * head must be deinitialized in either case. */
tern_code tern__head_init(tern__head *h, const tern_channel *ch, const tern_method *method,
                          const tern_call_options *opts, int64_t deadline, tern_status *reterr);
void tern__head_deinit(tern__head *h);

/* Before an attempt: what is left until the deadline, and how many attempts there were before. */
void tern__head_update(tern__head *h, int64_t now, int64_t deadline, uint32_t former_attempts);

#endif

/* Length-prefixed messages (PROTOCOL-HTTP2.md, "Length-Prefixed-Message"): one flag byte, four
 * bytes of length, the message. DATA frames know nothing of these borders, so the reader takes
 * bytes in any portions. */
#ifndef TERN__WIRE_MESSAGE_H
#define TERN__WIRE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TERN__MESSAGE_PREFIX_LEN 5u

/* Writes the prefix of an uncompressed message of `len` bytes into out[0..5). */
void tern__message_prefix_write(uint8_t *out, uint32_t len, bool compressed);

/* Results of tern__message_reader_feed(). */
#define TERN__MESSAGE_MORE 0
#define TERN__MESSAGE_DONE 1

typedef struct tern__message_reader {
    uint8_t prefix[TERN__MESSAGE_PREFIX_LEN];
    uint8_t prefix_len; /* bytes of the prefix seen */
    bool compressed;    /* flag of the message being read, or of the one that is done */
    bool owned;         /* data was malloc'ed here */
    uint8_t *data;
    uint32_t len; /* of the whole message, known after the prefix */
    uint32_t got; /* bytes of it seen */
    size_t cap;
    size_t len_max;   /* limit of one message */
    uint8_t *scratch; /* borrowed; small messages land here without malloc */
    size_t scratch_cap;
    uint8_t *spare;   /* memory of an earlier message, for the next one */
    size_t spare_cap;
    size_t taken_cap; /* of the message that was taken last; 0: it was not malloc'ed */
} tern__message_reader;

/* Memory of a message that is kept for the next one: large ones in a row are put together without
 * malloc, which costs page after page. */
#define TERN__MESSAGE_SPARE_BYTES ((size_t)2 * 1024 * 1024)

/* `scratch` may be NULL. Messages longer than len_max are refused as soon as the prefix is
 * complete. */
void tern__message_reader_init(tern__message_reader *r, size_t len_max, uint8_t *scratch,
                               size_t scratch_cap);
void tern__message_reader_deinit(tern__message_reader *r);

/* Takes bytes from *p (length *n), advancing both. Returns MORE when all were taken and the message
 * is not complete; DONE when a message is complete (r->data, r->len, r->compressed; *n may be > 0);
 * -EMSGSIZE (longer than len_max; r->len says how long), -EPROTO (a flag above 1) or -ENOMEM.
 * Memory grows with the bytes that arrived, not with the length that was announced. */
int tern__message_reader_feed(tern__message_reader *r, const uint8_t **p, size_t *n);

/* After DONE: hands the message over. *ret_owned tells whether the caller must free() *ret (else it
 * lies in scratch or is NULL when empty) and makes the reader ready for the next message. */
uint8_t *tern__message_reader_take(tern__message_reader *r, size_t *ret_len, bool *ret_owned);

/* Gives back what take() handed over as owned, its memory being `cap` bytes (r->taken_cap at that
 * time; 0: not known). It is freed, or kept for the next message. NULL is fine. */
void tern__message_reader_give_back(tern__message_reader *r, uint8_t *data, size_t cap);

/* Whether a message has begun and is not complete (a stream must not end here). */
bool tern__message_reader_partial(const tern__message_reader *r);

#endif

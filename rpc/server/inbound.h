/* Payload of a stream, split into messages. Whole messages are handed out where they lie; only one
 * that is spread over several portions is put together elsewhere. No locks: the receiver's own. */
#ifndef TERN__SERVER_INBOUND_H
#define TERN__SERVER_INBOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "wire/message.h"

typedef struct tern__inbound {
    tern__message_reader *reader; /* borrowed; its limit and scratch count here, too */
    tern__buf bytes;              /* the portion that is being split */
    size_t handed;                /* bytes at its head that the last message lies in */
    uint8_t *message;             /* the last message, when it was put together by malloc */
    size_t message_cap;           /* its memory, to be given back to the reader; 0: to be freed */
    int fed;                      /* what the reader has said to tern__inbound_put(); 0 */
} tern__inbound;

void tern__inbound_init(tern__inbound *in, tern__message_reader *reader);
void tern__inbound_deinit(tern__inbound *in);

/* Results of tern__inbound_next(), beside those of tern__message_reader_feed(). */
#define TERN__INBOUND_MORE TERN__MESSAGE_MORE
#define TERN__INBOUND_MESSAGE TERN__MESSAGE_DONE

/* The next message: MESSAGE with *ret (never NULL; borrowed until the next call) and *ret_len, and
 * in->reader->compressed as its flag says; MORE when another portion is needed; -EMSGSIZE, -EPROTO
 * or -ENOMEM as tern__message_reader_feed(), in->reader->len being the length announced. */
int tern__inbound_next(tern__inbound *in, const void **ret, size_t *ret_len);

/* After MESSAGE: what stands for it now, malloc'ed; freed as the message itself would be. */
void tern__inbound_replace(tern__inbound *in, uint8_t *message);

/* After MORE: swaps the emptied buffer for the next portion. */
void tern__inbound_refill(tern__inbound *in, tern__buf *portion);

/* In between, while who calls next() waits for a portion: puts the beginning of *data where next()
 * would, if it belongs to a message that does not lie whole in it, and advances. Returns what the
 * reader said: MORE, or that next() is to be called without a refill. */
int tern__inbound_put(tern__inbound *in, const uint8_t **data, size_t *len);

/* After MORE: whether a message has begun that is not complete. */
bool tern__inbound_partial(const tern__inbound *in);

/* Gives memory beyond `keep` bytes back, after MORE. */
void tern__inbound_trim(tern__inbound *in, size_t keep);

#endif

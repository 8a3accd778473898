/* Messages of a stream, decoded one after the other: each lives in an arena that is emptied for the
 * next. A small message needs no malloc. */
#ifndef TERN__STUB_DECODER_H
#define TERN__STUB_DECODER_H

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include <tern/status.h>

typedef struct tern__decoder tern__decoder;

/* NULL when out of memory. */
tern__decoder *tern__decoder_new(void);
/* `d` (NULL is fine) is a tern__decoder, void for what takes it as an attachment. */
void tern__decoder_free(void *d);

/* As tern__codec_unpack(), within the budget for `len` bytes; the message is the decoder's until
 * the next call. */
ProtobufCMessage *tern__decoder_unpack(tern__decoder *d, const ProtobufCMessageDescriptor *type,
                                       const uint8_t *data, size_t len, tern_status *reterr);

#endif

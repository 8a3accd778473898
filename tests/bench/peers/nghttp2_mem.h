/* An allocator for nghttp2 sessions with a free list for each size class: nghttp2 allocates about
 * seven times per call, always the same sizes. One thread. */
#ifndef PEER_NGHTTP2_MEM_H
#define PEER_NGHTTP2_MEM_H

#include <nghttp2/nghttp2.h>
#include <stddef.h>

/* To hand to nghttp2_session_*_new3. */
extern nghttp2_mem peer_mem;

/* The same for the program's own objects. Ends the program when memory is out. */
void *peer_alloc(size_t size);
void peer_release(void *p);

#endif

/* See compressors.h. The last one given back is the next one taken: its memory is warm. At most
 * TERN_LIMIT_COMPRESSORS_IDLE are kept; there are more only while more threads compress at once. */
#include "io/compressors.h"

#include <errno.h>
#include <pthread.h>

#include <tern/limits.h>

static struct {
    pthread_mutex_t lock;
    tern__compressor *idle[TERN_LIMIT_COMPRESSORS_IDLE];
    unsigned n;
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER };

tern__compressor *tern__compressor_take(void)
{
    pthread_mutex_lock(&pool.lock);
    tern__compressor *c = pool.n ? pool.idle[--pool.n] : NULL;
    pthread_mutex_unlock(&pool.lock);
    return c ? c : tern__compressor_new();
}

void tern__compressor_give(tern__compressor *c)
{
    pthread_mutex_lock(&pool.lock);
    if (pool.n < TERN_LIMIT_COMPRESSORS_IDLE) {
        pool.idle[pool.n++] = c;
        c = NULL;
    }
    pthread_mutex_unlock(&pool.lock);
    tern__compressor_free(c);
}

int tern__compress_message(tern_compression encoding, tern__bytes in, uint8_t *out, size_t cap,
                           size_t *ret_len)
{
    tern__compressor *c = tern__compressor_take();
    if (!c)
        return -ENOMEM;
    int rv = tern__compress(c, encoding, in, out, cap, ret_len);
    tern__compressor_give(c);
    return rv;
}

int tern__decompress_message(tern_compression encoding, tern__bytes in, size_t out_max,
                             tern__buf *out)
{
    tern__compressor *c = tern__compressor_take();
    if (!c)
        return -ENOMEM;
    int rv = tern__decompress(c, encoding, in, out_max, out);
    tern__compressor_give(c);
    return rv;
}

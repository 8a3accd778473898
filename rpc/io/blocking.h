/* "This thread is about to block": how the parts that block tell the part that runs the thread's
 * event loop. The client does not know the server; both know this. */
#ifndef TERN__IO_BLOCKING_H
#define TERN__IO_BLOCKING_H

/* What the running thread has at stake; set by the server around a handler. */
typedef struct tern__blocking_hook {
    void (*will_block)(void *ctx);
    void *ctx;
} tern__blocking_hook;

/* Installs a hook for this thread (NULL: none) and returns the former one. */
const tern__blocking_hook *tern__blocking_set(const tern__blocking_hook *hook);

/* Has children of fork() begin without a hook: the loop has stayed in the parent. Once is enough.
 */
void tern__blocking_watch_forks(void);

/* Calls the hook, if there is one. Cheap without: one thread-local load. */
void tern__blocking_announce(void);

#endif

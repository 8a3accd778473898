/* What a scripted server is to answer, and what it saw: tables under one lock, shared by the thread
 * that serves and the threads of the test. Answers are copied when they come and live until the
 * server is freed, so that the serving thread may go on with one without the lock. */
#ifndef TERN__TESTING_SCRIPT_H
#define TERN__TESTING_SCRIPT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/testing.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"

/* An answer with everything it points to, in its arena. */
typedef struct tern__testing_reply {
    tern_testing_answer what;
    tern__arena arena;
    tern__list all; /* of the server's */
    struct tern__testing_reply *next; /* behind it in the queue */
    uint32_t left;  /* attempts that it is yet to answer */
} tern__testing_reply;

/* A path (NULL: any), with its queue and its default. */
typedef struct tern__testing_route {
    char *path;
    tern__testing_reply *first, *last, *otherwise;
    tern__list node;
} tern__testing_route;

/* An attempt. Written by the serving thread, under the lock. */
typedef struct tern__testing_record {
    char *path, *authority;
    tern_metadata *metadata;
    int64_t timeout_ms;
    int previous_attempts;
    unsigned connection;
    tern__buf bytes;   /* of its messages, one behind the other */
    struct {
        size_t len;
        bool compressed;
    } *messages;
    size_t n_messages, messages_cap;
    bool complete, ended, cancelled;
} tern__testing_record;

typedef struct tern__testing_script {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a record has; monotonic clock */
    tern__list routes, replies;
    size_t n_waiting; /* attempts that are still to come for all answers of queues */
    tern__testing_record **records;
    size_t n_records, records_cap;
    unsigned connections;
    tern__list snapshots; /* given out */
} tern__testing_script;

/* 0 or a negative errno. */
int tern__testing_script_init(tern__testing_script *s);
void tern__testing_script_deinit(tern__testing_script *s);

/* What to do with the next attempt at `path`; NULL: nothing is said. By the serving thread; the
 * reply is there until the script is. */
const tern_testing_answer *tern__testing_script_next(tern__testing_script *s, const char *path);

/* A new record; NULL: there are TERN_TESTING_CALLS_MAX, or memory is out. It is not seen by others
 * until it is filed. */
tern__testing_record *tern__testing_record_new(void);
void tern__testing_record_free(tern__testing_record *r);
/* Takes the record over, as begun on that connection. 0, -ENOBUFS, -ENOMEM. */
int tern__testing_record_file(tern__testing_script *s, tern__testing_record *r);
/* 0 or -ENOMEM. */
int tern__testing_record_message(tern__testing_script *s, tern__testing_record *r,
                                 const tern_testing_message *m);
/* Sets one of its flags, and tells those who wait. */
void tern__testing_record_set(tern__testing_script *s, tern__testing_record *r, bool *flag);

#endif

/* Tables and statements of the message service. See schema.h. */
#include "messages/schema.h"

#define DEAD_COLUMNS "sequence, queue, attempts, reason, enqueued_at_ms, died_at_ms, body"

/* A message is a dead letter when died_at_ms is set. Sequences are never used twice: a consumer
 * that settles late must not meet another message. */
static const char ddl[] = "CREATE TABLE message("
                          "  sequence INTEGER PRIMARY KEY AUTOINCREMENT,"
                          "  queue TEXT NOT NULL,"
                          "  message_id TEXT NOT NULL,"
                          "  attempts INTEGER NOT NULL DEFAULT 0,"
                          "  enqueued_at_ms INTEGER NOT NULL,"
                          "  due_ms INTEGER NOT NULL,"
                          "  died_at_ms INTEGER NOT NULL DEFAULT 0,"
                          "  reason TEXT NOT NULL DEFAULT '',"
                          "  body BLOB NOT NULL,"
                          "  UNIQUE(queue, message_id)"
                          ") STRICT;"
                          "CREATE INDEX message_dead ON message(sequence) WHERE died_at_ms <> 0;"
                          "CREATE TABLE event("
                          "  sequence INTEGER PRIMARY KEY AUTOINCREMENT,"
                          "  topic TEXT NOT NULL,"
                          "  emitted_at_ms INTEGER NOT NULL,"
                          "  key TEXT NOT NULL,"
                          "  body BLOB NOT NULL"
                          ") STRICT;"
                          "CREATE INDEX event_topic ON event(topic, sequence);"
                          "CREATE TABLE cursor("
                          "  topic TEXT NOT NULL,"
                          "  subscriber TEXT NOT NULL,"
                          "  sequence INTEGER NOT NULL,"
                          "  PRIMARY KEY(topic, subscriber)"
                          ") STRICT, WITHOUT ROWID;";

static const char *const statements[DRONE_MSG_N_STMTS] = {
    [DRONE_MSG_ADD] = "INSERT INTO message(queue, message_id, body, enqueued_at_ms, due_ms) "
                      "VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(queue, message_id) DO NOTHING",
    [DRONE_MSG_BODY] = "SELECT body FROM message WHERE sequence = ?1",
    [DRONE_MSG_DROP] = "DELETE FROM message WHERE sequence = ?1",
    [DRONE_MSG_RETRY] =
        "UPDATE message SET attempts = ?2, due_ms = ?3, reason = ?4 WHERE sequence = ?1",
    [DRONE_MSG_BURY] = "UPDATE message SET attempts = ?2, reason = ?3, died_at_ms = ?4 "
                       "WHERE sequence = ?1",
    [DRONE_MSG_ALIVE] = "SELECT sequence, queue, attempts, enqueued_at_ms, due_ms FROM message "
                        "WHERE died_at_ms = 0 ORDER BY sequence",
    [DRONE_MSG_DEAD_COUNT] = "SELECT queue, count(*) FROM message WHERE died_at_ms <> 0 "
                             "GROUP BY queue",
    [DRONE_MSG_DEAD_LIST] = "SELECT " DEAD_COLUMNS " FROM message WHERE died_at_ms <> 0 "
                            "AND sequence > ?1 AND (?2 = '' OR queue = ?2) ORDER BY sequence "
                            "LIMIT ?3",
    [DRONE_MSG_DEAD_ONE] = "SELECT " DEAD_COLUMNS
                           " FROM message WHERE sequence = ?1 AND died_at_ms <> 0",
    [DRONE_MSG_REVIVE] = "UPDATE message SET attempts = 0, due_ms = 0, died_at_ms = 0, reason = '' "
                         "WHERE sequence = ?1",
    [DRONE_EVENT_ADD] = "INSERT INTO event(topic, key, body, emitted_at_ms) VALUES(?1, ?2, ?3, ?4)",
    [DRONE_EVENT_NEXT] = "SELECT sequence, emitted_at_ms, body, key FROM event "
                         "WHERE topic = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3",
    [DRONE_EVENT_LAST] = "SELECT topic, max(sequence), count(*) FROM event GROUP BY topic",
    [DRONE_EVENT_PRUNE] = "DELETE FROM event WHERE sequence IN (SELECT sequence FROM event "
                          "WHERE topic = ?1 AND sequence <= ?2 ORDER BY sequence LIMIT ?3)",
    [DRONE_CURSOR_ALL] = "SELECT topic, subscriber, sequence FROM cursor",
    [DRONE_CURSOR_SET] = "INSERT INTO cursor(topic, subscriber, sequence) VALUES(?1, ?2, ?3) "
                         "ON CONFLICT DO UPDATE SET sequence = excluded.sequence "
                         "WHERE excluded.sequence > sequence",
};

const drone_store_schema drone_messages_schema = {
    .name = "messages",
    .version = 1,
    .ddl = ddl,
    .statements = statements,
    .n_statements = DRONE_MSG_N_STMTS,
};

/* Tables and statements of the Scheduler. See schema.h. */
#include "scheduler/schema.h"

#define COLUMNS                                                                           \
    "delivery_id, state, phase, revision, drone_id, order_id, failed_step, failed_code, " \
    "failed_revision, message, accepted_at_ms, ended_at_ms"

static const char ddl[] = "CREATE TABLE delivery("
                          "  delivery_id TEXT NOT NULL PRIMARY KEY,"
                          "  state INTEGER NOT NULL,"
                          "  phase INTEGER NOT NULL,"
                          "  revision INTEGER NOT NULL,"
                          "  drone_id TEXT NOT NULL,"
                          "  order_id TEXT NOT NULL,"
                          "  package_id TEXT NOT NULL,"
                          "  account_id TEXT NOT NULL,"
                          "  failed_step INTEGER NOT NULL,"
                          "  failed_code INTEGER NOT NULL,"
                          "  failed_revision INTEGER NOT NULL,"
                          "  message TEXT NOT NULL,"
                          "  accepted_at_ms INTEGER NOT NULL,"
                          "  ended_at_ms INTEGER NOT NULL,"
                          "  request BLOB,"
                          "  former BLOB"
                          ") STRICT;"
                          "CREATE INDEX delivery_under_way ON delivery(phase) WHERE phase <> 0;"
                          "CREATE TABLE change_key("
                          "  idempotency_key TEXT NOT NULL PRIMARY KEY,"
                          "  digest INTEGER NOT NULL,"
                          "  delivery_id TEXT NOT NULL,"
                          "  revision INTEGER NOT NULL"
                          ") STRICT, WITHOUT ROWID;"
                          "CREATE TABLE outbox("
                          "  message_id TEXT NOT NULL PRIMARY KEY,"
                          "  delivery_id TEXT NOT NULL,"
                          "  body BLOB NOT NULL,"
                          "  created_at_ms INTEGER NOT NULL"
                          ") STRICT;";

static const char *const statements[DRONE_SCHED_N_STMTS] = {
    [DRONE_SCHED_KEY_FIND] =
        "SELECT digest, delivery_id, revision FROM change_key WHERE idempotency_key = ?1",
    [DRONE_SCHED_KEY_ADD] =
        "INSERT INTO change_key(idempotency_key, digest, delivery_id, revision) "
        "VALUES(?1, ?2, ?3, ?4)",
    [DRONE_SCHED_FIND] = "SELECT " COLUMNS " FROM delivery WHERE delivery_id = ?1",
    [DRONE_SCHED_FIND_BODY] = "SELECT request, former FROM delivery WHERE delivery_id = ?1",
    [DRONE_SCHED_INSERT] =
        "INSERT INTO delivery(delivery_id, state, phase, revision, drone_id, order_id, package_id, "
        "account_id, failed_step, failed_code, failed_revision, message, accepted_at_ms, "
        "ended_at_ms, request) VALUES(?1, ?2, ?3, ?4, '', '', ?5, ?6, 0, 0, 0, ?7, ?8, ?9, ?10)",
    [DRONE_SCHED_SET_STATE] = "UPDATE delivery SET state = ?2 WHERE delivery_id = ?1",
    [DRONE_SCHED_BEGIN_UPDATE] =
        "UPDATE delivery SET state = ?2, phase = ?3, revision = ?4, ended_at_ms = 0, "
        "former = request, request = ?5 WHERE delivery_id = ?1",
    [DRONE_SCHED_BEGIN_RESTORE] =
        "UPDATE delivery SET phase = ?2, revision = ?3, failed_step = ?4, failed_code = ?5, "
        "failed_revision = ?6, message = ?7 WHERE delivery_id = ?1",
    [DRONE_SCHED_END] = "UPDATE delivery SET state = ?2, phase = 0, drone_id = ?3, order_id = ?4, "
                        "failed_step = ?5, "
                        "failed_code = ?6, failed_revision = ?7, message = ?8, ended_at_ms = ?9, "
                        "request = CASE ?10 WHEN 0 THEN request ELSE former END, former = NULL "
                        "WHERE delivery_id = ?1",
    [DRONE_SCHED_CLOSE] =
        "UPDATE delivery SET state = ?2, message = ?3, ended_at_ms = ?4 WHERE delivery_id = ?1",
    [DRONE_SCHED_UNDER_WAY] = "SELECT delivery_id FROM delivery WHERE phase <> 0",
    [DRONE_SCHED_COUNTS] = "SELECT state, count(*), sum(drone_id <> ''), sum(order_id <> '') "
                           "FROM delivery WHERE revision > 0 GROUP BY state",
    [DRONE_SCHED_OUTBOX_ADD] = "INSERT INTO outbox(message_id, delivery_id, body, created_at_ms) "
                               "VALUES(?1, ?2, ?3, ?4)",
    [DRONE_SCHED_OUTBOX_DROP] = "DELETE FROM outbox WHERE message_id = ?1",
    [DRONE_SCHED_OUTBOX_ALL] =
        "SELECT message_id, delivery_id, body FROM outbox ORDER BY created_at_ms",
};

const drone_store_schema drone_scheduler_schema = {
    .name = "scheduler",
    .version = 1,
    .ddl = ddl,
    .statements = statements,
    .n_statements = DRONE_SCHED_N_STMTS,
};

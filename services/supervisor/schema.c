/* Tables and statements of the Supervisor. See schema.h. */
#include "supervisor/schema.h"

#define ROW                                                                                        \
    "SELECT message_id, delivery_id, revision, state, cause, attempts, failing_step, last_error, " \
    "reported_state, digest, created_at_ms, updated_at_ms FROM compensation "

static const char ddl[] = "CREATE TABLE compensation("
                          "  message_id TEXT NOT NULL PRIMARY KEY,"
                          "  delivery_id TEXT NOT NULL,"
                          "  revision INTEGER NOT NULL,"
                          "  state INTEGER NOT NULL,"
                          "  cause INTEGER NOT NULL,"
                          "  attempts INTEGER NOT NULL,"
                          "  failing_step INTEGER NOT NULL,"
                          "  last_error TEXT NOT NULL,"
                          "  reported_state INTEGER NOT NULL,"
                          "  digest INTEGER NOT NULL,"
                          "  created_at_ms INTEGER NOT NULL,"
                          "  updated_at_ms INTEGER NOT NULL,"
                          "  body BLOB NOT NULL"
                          ") STRICT;"
                          "CREATE INDEX compensation_delivery ON compensation(delivery_id);"
                          "CREATE INDEX compensation_open ON compensation(state) "
                          "WHERE state <> reported_state;"
                          "CREATE INDEX compensation_parked ON compensation(message_id) "
                          "WHERE state = 3;";

static const char *const statements[DRONE_SUPER_N_STMTS] = {
    [DRONE_SUPER_FIND] = ROW "WHERE message_id = ?1",
    [DRONE_SUPER_FIND_LATEST] = ROW "WHERE delivery_id = ?1 ORDER BY revision DESC LIMIT 1",
    [DRONE_SUPER_PARKED] = ROW "WHERE state = 3 AND message_id > ?1 ORDER BY message_id LIMIT ?2",
    [DRONE_SUPER_INSERT] =
        "INSERT INTO compensation(message_id, delivery_id, revision, state, cause, attempts, "
        "failing_step, last_error, reported_state, digest, created_at_ms, updated_at_ms, body) "
        "VALUES(?1, ?2, ?3, ?4, ?5, 1, 0, '', 0, ?6, ?7, ?7, ?8)",
    [DRONE_SUPER_ATTEMPT] = "UPDATE compensation SET attempts = ?2, failing_step = ?3, "
                            "last_error = ?4, updated_at_ms = ?5 WHERE message_id = ?1",
    [DRONE_SUPER_END] = "UPDATE compensation SET state = ?2, failing_step = ?3, last_error = ?4, "
                        "updated_at_ms = ?5, attempts = attempts + ?6 WHERE message_id = ?1",
    [DRONE_SUPER_REPORTED] =
        "UPDATE compensation SET reported_state = ?2 WHERE message_id = ?1 AND state = ?2",
    [DRONE_SUPER_OPEN] = "SELECT message_id FROM compensation WHERE state <> reported_state",
    [DRONE_SUPER_BODY] = "SELECT body FROM compensation WHERE message_id = ?1",
    [DRONE_SUPER_COUNTS] = "SELECT state, count(*) FROM compensation GROUP BY state",
};

const drone_store_schema drone_supervisor_schema = {
    .name = "supervisor",
    .version = 1,
    .ddl = ddl,
    .statements = statements,
    .n_statements = DRONE_SUPER_N_STMTS,
};

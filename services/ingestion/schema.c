/* Tables and statements of Ingestion. See schema.h. */
#include "ingestion/schema.h"

static const char ddl[] = "CREATE TABLE request("
                          "  idempotency_key TEXT NOT NULL PRIMARY KEY,"
                          "  digest INTEGER NOT NULL,"
                          "  delivery_id TEXT NOT NULL,"
                          "  schedules INTEGER NOT NULL,"
                          "  accepted_at_ms INTEGER NOT NULL"
                          ") STRICT, WITHOUT ROWID;"
                          "CREATE UNIQUE INDEX request_delivery ON request(delivery_id) "
                          "  WHERE schedules = 1;"
                          "CREATE TABLE buffer("
                          "  sequence INTEGER PRIMARY KEY AUTOINCREMENT,"
                          "  delivery_id TEXT NOT NULL,"
                          "  traceparent TEXT NOT NULL,"
                          "  body BLOB NOT NULL"
                          ") STRICT;"
                          "CREATE TABLE door(number INTEGER NOT NULL) STRICT;";

static const char *const statements[DRONE_ING_N_STMTS] = {
    [DRONE_ING_KEY_FIND] = "SELECT digest, delivery_id FROM request WHERE idempotency_key = ?1",
    [DRONE_ING_KEY_ADD] =
        "INSERT INTO request(idempotency_key, digest, delivery_id, schedules, accepted_at_ms) "
        "VALUES(?1, ?2, ?3, ?4, ?5)",
    [DRONE_ING_DELIVERY_FIND] =
        "SELECT idempotency_key FROM request WHERE delivery_id = ?1 AND schedules = 1",
    [DRONE_ING_BUFFER_ADD] = "INSERT INTO buffer(delivery_id, traceparent, body) "
                             "VALUES(?1, ?2, ?3)",
    [DRONE_ING_BUFFER_NEXT] = "SELECT sequence, delivery_id, traceparent, body FROM buffer "
                              "ORDER BY sequence LIMIT ?1",
    [DRONE_ING_BUFFER_DROP] = "DELETE FROM buffer WHERE sequence <= ?1",
    [DRONE_ING_BUFFER_COUNT] = "SELECT count(*) FROM buffer",
    [DRONE_ING_DOOR_ADD] = "INSERT INTO door(number) VALUES(?1)",
    [DRONE_ING_DOOR] = "SELECT number FROM door",
};

const drone_store_schema drone_ingestion_schema = {
    .name = "ingestion",
    .version = 1,
    .ddl = ddl,
    .statements = statements,
    .n_statements = DRONE_ING_N_STMTS,
};

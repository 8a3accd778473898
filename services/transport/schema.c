/* The store of the Transport service. See transport.h for the columns. */
#include "transport/statements.h"

#include "transport/transport.h"

static const char ddl[] = DRONE_KEYS_DDL
    "CREATE TABLE carrier_order("
    "  delivery_id TEXT NOT NULL PRIMARY KEY,"
    "  number INTEGER UNIQUE,"
    "  package_id TEXT,"
    "  weight_g INTEGER NOT NULL,"
    "  pickup_latitude REAL NOT NULL,"
    "  pickup_longitude REAL NOT NULL,"
    "  dropoff_latitude REAL NOT NULL,"
    "  dropoff_longitude REAL NOT NULL,"
    "  pickup_at_ms INTEGER NOT NULL,"
    "  deadline_ms INTEGER NOT NULL,"
    "  state INTEGER NOT NULL,"
    "  revision INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE last_number(only INTEGER PRIMARY KEY CHECK(only = 1), number INTEGER NOT NULL)"
    " STRICT;"
    "INSERT INTO last_number(only, number) VALUES(1, 0);";

static const char *const statements[] = {
    DRONE_KEYS_STATEMENTS,
    [ORDER_FIND] = "SELECT state, revision, number FROM carrier_order WHERE delivery_id = ?1",
    [ORDER_PUT] =
        "INSERT INTO carrier_order(delivery_id, number, package_id, weight_g, pickup_latitude,"
        " pickup_longitude, dropoff_latitude, dropoff_longitude, pickup_at_ms, deadline_ms, state,"
        " revision) VALUES(?1, nullif(?2, 0), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
        " ON CONFLICT(delivery_id) DO UPDATE SET number = nullif(?2, 0), package_id = ?3,"
        " weight_g = ?4, pickup_latitude = ?5, pickup_longitude = ?6, dropoff_latitude = ?7,"
        " dropoff_longitude = ?8, pickup_at_ms = ?9, deadline_ms = ?10, state = ?11,"
        " revision = ?12",
    [ORDER_NUMBER] = "UPDATE last_number SET number = number + 1 RETURNING number",
    [ORDER_UNDO] = ("UPDATE carrier_order SET state = ?2, revision = max(revision, ?3) "
                    "WHERE delivery_id = ?1"),
};

const drone_store_schema drone_transport_schema = {
    .name = "transport",
    .version = 1,
    .ddl = ddl,
    .statements = statements,
    .n_statements = sizeof statements / sizeof statements[0],
};

/* The invariants as SQL. See check.h.
 *
 * States of the Scheduler (scheduler.v1.State): 1 running, 2 scheduled, 3 compensating, 4
 * compensated, 5 cancelling, 6 cancelled, 7 parked; phase <> 0 means that a workflow is under
 * way. Revision 0 is an id that was cancelled before it came: nothing was ever accepted for it.
 * Of the services, state 1 is live (drone_life). What is parked may hold anything: a person is to
 * look at it. */
#include "check/check.h"

/* Accepted deliveries, and those of them that stand. */
#define ACCEPTED " FROM scheduler.delivery AS d WHERE d.revision > 0 "
#define SCHEDULED " FROM scheduler.delivery AS d WHERE d.state = 2 AND d.phase = 0 "

/* Deliveries that hold what they must not: what was given back is held still, or nobody knows of
 * it. */
#define HELD_FOR_NOTHING(table, thing)                                                       \
    "SELECT r.delivery_id, '" thing " is held, but the delivery is ' || CASE d.state "       \
    "WHEN 4 THEN 'compensated' WHEN 6 THEN 'cancelled' ELSE 'unknown to the scheduler' END " \
    "FROM " table " AS r LEFT JOIN scheduler.delivery AS d USING(delivery_id) "              \
    "WHERE r.state = 1 AND (d.delivery_id IS NULL OR (d.state IN (4, 6) AND d.phase = 0))"
#define LIVE(table) "SELECT count(*) FROM " table " WHERE state = 1"

static const drone_rule rules[] = {
    { .title = "deliveries: each has ended (scheduled, compensated, cancelled or parked)",
      .counts = "SELECT count(*)" ACCEPTED,
      .violations = "SELECT d.delivery_id, CASE d.state WHEN 1 THEN 'is still running' "
                    "WHEN 3 THEN 'is still being compensated' "
                    "WHEN 5 THEN 'is still being cancelled' "
                    "ELSE 'has a workflow under way' END" ACCEPTED
                    "AND (d.state NOT IN (2, 4, 6, 7) OR d.phase <> 0)",
      .at_rest_only = true },
    { .title = "scheduled: each holds its account",
      .counts = "SELECT count(*)" SCHEDULED,
      .violations = "SELECT d.delivery_id, 'has no hold on account ' || d.account_id" SCHEDULED
                    "AND NOT EXISTS (SELECT 1 FROM main.hold AS h WHERE h.delivery_id = "
                    "d.delivery_id AND h.state = 1 AND h.account_id = d.account_id)" },
    { .title = "scheduled: each holds its package",
      .counts = "SELECT count(*)" SCHEDULED,
      .violations = "SELECT d.delivery_id, 'does not have package ' || d.package_id" SCHEDULED
                    "AND NOT EXISTS (SELECT 1 FROM package.reservation AS p WHERE p.delivery_id = "
                    "d.delivery_id AND p.state = 1 AND p.package_id = d.package_id)" },
    { .title = "scheduled: each has exactly one carrier, a drone or the third party",
      .counts = "SELECT count(*)" SCHEDULED,
      .violations =
          "SELECT delivery_id, 'has ' || drones || ' drones and ' || orders || ' orders' FROM ("
          "SELECT d.delivery_id, (SELECT count(*) FROM drone.reservation AS r WHERE r.delivery_id "
          "= d.delivery_id AND r.state = 1) AS drones, (SELECT count(*) FROM "
          "transport.carrier_order AS o WHERE o.delivery_id = d.delivery_id AND o.state = 1) AS "
          "orders" SCHEDULED ") WHERE drones + orders <> 1" },
    { .title = "scheduled: all services name the same carrier",
      .counts = "SELECT count(*)" SCHEDULED,
      .violations =
          "SELECT d.delivery_id, 'scheduler: ' || d.drone_id || d.order_id || ', delivery: ' || "
          "coalesce(v.drone_id || v.order_id, 'none') || ', carrier: ' || coalesce('drone-' || "
          "r.squad || '-' || r.drone, 'order-' || o.number, 'none') "
          "FROM scheduler.delivery AS d "
          "LEFT JOIN delivery.delivery AS v ON v.delivery_id = d.delivery_id AND v.state = 1 "
          "LEFT JOIN drone.reservation AS r ON r.delivery_id = d.delivery_id AND r.state = 1 "
          "LEFT JOIN transport.carrier_order AS o ON o.delivery_id = d.delivery_id AND o.state = 1 "
          "WHERE d.state = 2 AND d.phase = 0 AND (v.drone_id IS NOT d.drone_id OR "
          "v.order_id IS NOT d.order_id OR d.drone_id <> "
          "coalesce('drone-' || r.squad || '-' || r.drone, '') OR "
          "d.order_id <> coalesce('order-' || o.number, ''))" },
    { .title = "accounts: each hold belongs to a delivery that stands",
      .counts = LIVE("main.hold"),
      .violations = HELD_FOR_NOTHING("main.hold", "the account") },
    { .title = "packages: none is held for nothing",
      .counts = LIVE("package.reservation"),
      .violations = HELD_FOR_NOTHING("package.reservation", "the package") },
    { .title = "drones: none is reserved for nothing",
      .counts = LIVE("drone.reservation"),
      .violations = HELD_FOR_NOTHING("drone.reservation", "a drone") },
    { .title = "third party: no order stands for nothing",
      .counts = LIVE("transport.carrier_order"),
      .violations = HELD_FOR_NOTHING("transport.carrier_order", "an order") },
    { .title = "deliveries: none stands for nothing",
      .counts = LIVE("delivery.delivery"),
      .violations = HELD_FOR_NOTHING("delivery.delivery", "the delivery record") },
    { .title = "drones: none is reserved twice at one time",
      .counts = LIVE("drone.reservation"),
      .violations =
          "SELECT 'drone-' || squad || '-' || drone, 'flies ' || delivery_id || ' while it flies ' "
          "|| earlier FROM (SELECT squad, drone, delivery_id, first_slot, "
          "lag(last_slot) OVER flights AS busy_until, lag(delivery_id) OVER flights AS earlier "
          "FROM drone.reservation WHERE state = 1 "
          "WINDOW flights AS (PARTITION BY squad, drone ORDER BY first_slot, last_slot)) "
          "WHERE busy_until >= first_slot" },
    { .title = "drones: each reservation is of a drone of the fleet",
      .counts = LIVE("drone.reservation"),
      .violations =
          "SELECT r.delivery_id, 'drone-' || r.squad || '-' || r.drone || ' is not in the "
          "fleet' FROM drone.reservation AS r LEFT JOIN drone.squad AS s ON s.squad = "
          "r.squad WHERE r.state = 1 AND (s.squad IS NULL OR r.drone NOT BETWEEN 1 AND "
          "s.drones)" },
    { .title = "packages: none is in two deliveries",
      .counts = LIVE("package.reservation"),
      .violations = "SELECT package_id, 'is in ' || count(*) || ' deliveries, ' || "
                    "min(delivery_id) || ' and ' || max(delivery_id) FROM package.reservation "
                    "WHERE state = 1 GROUP BY package_id HAVING count(*) > 1" },
    { .title = "packages: none has two drones",
      .counts = LIVE("drone.reservation"),
      .violations = "SELECT package_id, 'has ' || count(*) || ' drones, for ' || min(delivery_id) "
                    "|| ' and ' || max(delivery_id) FROM drone.reservation WHERE state = 1 "
                    "GROUP BY package_id HAVING count(*) > 1" },
    { .title = "accounts: what each holds is the sum of its deliveries",
      .counts = "SELECT count(*) FROM main.account",
      .violations =
          "SELECT a.account_id, 'holds ' || a.held_cents || ' cents, its deliveries ' || "
          "coalesce(h.cents, 0) FROM main.account AS a LEFT JOIN (SELECT account_id, "
          "sum(amount_cents) AS cents FROM main.hold WHERE state = 1 GROUP BY account_id) AS h "
          "USING(account_id) WHERE a.held_cents <> coalesce(h.cents, 0) "
          "UNION ALL SELECT h.delivery_id, 'holds on account ' || h.account_id || ', which does "
          "not exist' FROM main.hold AS h LEFT JOIN main.account AS a USING(account_id) "
          "WHERE h.state = 1 AND a.account_id IS NULL" },
    { .title = "compensations: each has ended, and ended as the scheduler says",
      .counts = "SELECT count(*) FROM supervisor.compensation",
      .violations =
          "SELECT c.message_id, CASE WHEN d.delivery_id IS NULL THEN 'is for a delivery that the "
          "scheduler does not know' WHEN c.state = 1 THEN 'is still under way' "
          "WHEN c.state = 3 THEN 'is parked, the delivery is not' "
          "ELSE 'is done, the delivery is not compensated or cancelled' END "
          "FROM supervisor.compensation AS c LEFT JOIN scheduler.delivery AS d USING(delivery_id) "
          "WHERE d.delivery_id IS NULL OR c.state = 1 OR (c.state = 3 AND d.state <> 7) "
          "OR (c.state = 2 AND d.state NOT IN (4, 6))",
      .at_rest_only = true },
    { .title = "parked: each waits at the supervisor for a person",
      .counts = "SELECT count(*) FROM scheduler.delivery WHERE state = 7",
      .violations = "SELECT d.delivery_id, 'is parked, but no compensation of it is' FROM "
                    "scheduler.delivery AS d WHERE d.state = 7 AND NOT EXISTS (SELECT 1 FROM "
                    "supervisor.compensation AS c WHERE c.delivery_id = d.delivery_id AND "
                    "c.state = 3)",
      .at_rest_only = true },
    { .title = "messages: each has reached the supervisor",
      .counts = "SELECT count(*) FROM supervisor.compensation",
      .violations = "SELECT message_id, 'for delivery ' || delivery_id || ' is not delivered' FROM "
                    "scheduler.outbox",
      .at_rest_only = true },
    { .title = "messages: none waits in a queue",
      .store = "messages",
      .counts = "SELECT count(*) FROM messages.message",
      .violations = "SELECT message_id, 'waits in the queue ' || queue FROM messages.message "
                    "WHERE died_at_ms = 0",
      .at_rest_only = true },
    { .title = "messages: none is a dead letter",
      .store = "messages",
      .counts = "SELECT count(*) FROM messages.message",
      .violations =
          "SELECT message_id, 'is a dead letter of the queue ' || queue || ': ' || reason "
          "FROM messages.message WHERE died_at_ms <> 0" },
    { .title = "requests: none waits at the door",
      .store = "ingestion",
      .counts = "SELECT count(*) FROM ingestion.request",
      .violations = "SELECT delivery_id, 'is not in the queue yet' FROM ingestion.buffer",
      .at_rest_only = true },
    { .title = "requests: the scheduler knows each delivery that was accepted",
      .store = "ingestion",
      .counts = "SELECT count(*) FROM ingestion.request WHERE schedules = 1",
      .violations = "SELECT r.delivery_id, 'was accepted, and the scheduler does not know it' FROM "
                    "ingestion.request AS r LEFT JOIN scheduler.delivery AS d USING(delivery_id) "
                    "WHERE r.schedules = 1 AND d.delivery_id IS NULL",
      .at_rest_only = true },
};

const drone_rule *drone_rules(size_t *ret_n)
{
    *ret_n = sizeof rules / sizeof rules[0];
    return rules;
}

/* Limits and names that the services of Drone Delivery share: one place for every number.
 *
 * Texts and numbers in requests beyond a limit are answered with INVALID_ARGUMENT; work beyond a
 * limit with UNAVAILABLE, because trying again later is right. */
#ifndef DRONE_COMMON_NAMES_H
#define DRONE_COMMON_NAMES_H

/* --- requests --- */

#define DRONE_ID_BYTES_MAX 64                   /* an id or a key, without the NUL */
#define DRONE_TAG_BYTES_MAX 128                 /* a package's barcode or RFID */
#define DRONE_WEIGHT_G_MAX 1000000              /* 1 t: nobody's drone, but a lorry's */
#define DRONE_AMOUNT_CENTS_MAX 100000000        /* 1,000,000.00 for one delivery */
#define DRONE_CREDIT_CENTS_MAX 1000000000000000 /* sums of holds stay far from 2^63 */
#define DRONE_ALTITUDE_M_MIN (-500)             /* the shore of the Dead Sea lies at -430 m */
#define DRONE_ALTITUDE_M_MAX 9000               /* above every mountain */
#define DRONE_TIME_MS_MAX 4102444800000         /* 2100-01-01 */
#define DRONE_REVISION_MAX 1000000000
#define DRONE_PAGE_SIZE_MAX 1000
#define DRONE_PAGE_SIZE_DEFAULT 100

/* --- stores --- */

#define DRONE_STORE_QUEUE_MAX 8192 /* operations waiting for the writing thread: UNAVAILABLE */
#define DRONE_STORE_BATCH_MAX 256  /* operations in one commit: beyond it a row costs no less */
#define DRONE_STORE_CHECKPOINT_PAGES 4000 /* WAL pages (4 KiB) before they move into the database */
#define DRONE_STORE_CACHE_KIB 65536       /* page cache of the writing connection */

/* --- queues of the bus --- */

#define DRONE_QUEUE_REQUESTS "requests"           /* ingestion.v1.Command, to the Scheduler */
#define DRONE_QUEUE_COMPENSATIONS "compensations" /* CompensateRequest, to the Supervisor */
#define DRONE_QUEUE_OUTCOMES "outcomes"           /* ReportOutcomeRequest, back to the Scheduler */

/* --- processes --- */

#define DRONE_DIR_DEFAULT "drone-data" /* folder of stores and sockets, without --dir */

#define DRONE_EXIT_OK 0
#define DRONE_EXIT_FAILURE 1
#define DRONE_EXIT_USAGE 2
#define DRONE_EXIT_BUSY 75 /* another process has the store: try again later (EX_TEMPFAIL) */

#define DRONE_PATH_MAX 1024    /* bytes of a file name or an address, NUL included */
#define DRONE_STREAMS_MAX 1000 /* calls at once on one connection between services */

#endif

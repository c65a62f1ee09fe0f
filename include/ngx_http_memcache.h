/*
 * ngx_http_memcache.h: how other nginx modules use the worker's memcached client.
 *
 * In each worker, ngx_http_memcache_module has one client for each list of "memcache_server" lines with its settings. A
 * sibling module includes this header and links nothing. It finds the module at run time by its name, so the order of
 * "load_module" lines does not matter. If the module is missing, the lookup returns an error:
 *
 *     if (ngx_http_memcache_api((ngx_cycle_t *) ngx_cycle, &mc) != NGX_HTTP_MEMCACHE_OK
 *         || mc->client_of_request(r, &client) != NGX_HTTP_MEMCACHE_OK)
 *     {
 *         return NGX_HTTP_SERVICE_UNAVAILABLE;
 *     }
 *
 *     ngx_memzero(&op, sizeof(op));
 *     op.size = sizeof(op);
 *     op.op = NGX_HTTP_MEMCACHE_GET;
 *     op.key = r->uri;
 *     op.handler = got;
 *     op.data = r;
 *     op.request = r;
 *
 *     if (mc->submit(client, &op, NULL) != NGX_HTTP_MEMCACHE_OK) {
 *         return NGX_HTTP_SERVICE_UNAVAILABLE;
 *     }
 *
 *     r->main->count++;
 *     return NGX_DONE;
 *
 * README.md has the complete module, and examples/session is one to start from. Include this header before those of the
 * system, like nginx's own headers.
 *
 *
 * CALLS
 *
 *   - submit() never blocks, and never calls the handler itself. If it returns NGX_HTTP_MEMCACHE_OK, the handler runs
 *     exactly once, later, from an event of the module, at the deadline at the latest, unless the call is cancelled
 *     first. If it returns anything else, the handler never runs. The deadline of "memcache_timeout" is extended, up to
 *     ten times, while values of more than 64 KiB are transferred on the call's connection. The deadline of op->timeout
 *     is not extended.
 *   - submit() copies key and value. The caller may reuse their memory when it returns.
 *   - A handler may submit, cancel, and finalize its request. After it has finalized the request, it must call
 *     ngx_http_run_posted_requests(), since it runs from an event. It passes the connection, which it has to read from
 *     the request before. The whole worker waits while a handler runs; the status shows the longest time of that.
 *   - In one turn of the event loop, the handlers of a client get at most 1024 answers, whatever they submit. Further
 *     answers come in the next turn, after the worker's other events. (Each key of submit_many() counts; the keys of one
 *     call are answered together.)
 *   - If op->request is set, the call is cancelled when the main request ends, for whatever reason. The handler never
 *     runs after the end of its request. A call without a request outlives all requests: op->data must stay valid until
 *     the handler has run or the call was cancelled.
 *   - For this module, a main request has ended when nginx has run its http cleanups: in the log phase, and in the
 *     cleanups of its pool. A call with such a request is INVALID, with COUNT, too: set no request there. In an http
 *     cleanup, this cannot always be detected. A call that is accepted there is cancelled with the request, before any
 *     of it is sent. check_request() tells whether a request has ended.
 *   - The server may still carry out what a cancelled call has sent. The reply is received and dropped.
 *   - Failed operations are in the error log already: the module sums them up, in one line per server and second, with
 *     the server's name. A sibling that logs each of them fills the disk while a server is down. A sibling should log
 *     CLIENT, INVALID_KEY and UNSUPPORTED, which belong to one request, and the errors of calls except NO_MEMORY.
 *
 * ORDER
 *
 *   - The calls of one worker, by all modules, for one key on one server are carried out in the order of submit(): a call
 *     follows each write of its key that has no answer yet. So a get sees every write that was submitted before it, and of
 *     two writes the later one wins, even if nobody waits for an answer in between. This holds in the queue, with several
 *     connections, and for operations that are sent again.
 *   - A pending get may see a write that was submitted after it.
 *   - A call that ended without an answer (maybe_applied, or cancelled) may be carried out later than others.
 *   - There is no order between keys, between calls on servers (FLUSH_ALL) and others, between workers, and between a
 *     server and one that stands in for it. A lease with WAIT is submitted anew each time it asks.
 *
 * THREADS AND PROCESSES
 *
 *   - Everything happens on the thread of the worker's event loop. A call from another thread, or from a child that the
 *     worker has forked, is refused (NGX_HTTP_MEMCACHE_WRONG_THREAD).
 *   - Clients exist in workers, and with "master_process off", from init_process on, whichever module's runs first. While
 *     the configuration is read, in init_module, in the master, and in the cache manager and loader, calls are refused
 *     (NGX_HTTP_MEMCACHE_NOT_AVAILABLE). The exception is require(), which is for the configuration.
 *   - Only release() may be called from any thread: a retained value may be read and released there.
 *
 * LIFETIMES
 *
 *   - The table belongs to the module, which stays loaded. Look it up once per configuration or worker.
 *   - A client, and a subset of one, belong to the configuration of a worker, and live as long as the worker. Getting the
 *     client of a request costs a few instructions. Handles are looked up and never dereferenced: a handle that is invalid,
 *     or no longer valid, is STALE.
 *   - After a reload, calls of the old worker end there, within their deadlines; then it exits. When a worker is told to
 *     stop at once, calls are dropped, and no handler runs. In exit_process, submit() has no effect.
 *   - A result, and what it points to, is valid while the handler runs. retain() keeps its value until release(), which is
 *     the only way to free it.
 *
 * LIMITS
 *
 *   - The queue of a server ("memcache_queue", 64 MiB of values) and the pending operations of a connection are bounded.
 *     Beyond that, submit() returns BUSY at once. A call that waited, and must now follow a write of its key on a full
 *     connection, ends with BUSY. The load of one server does not affect calls to other servers.
 *   - Modules that have said who they are, with client_of_module(), have shares of that: where more than half of a queue is
 *     taken, a module that waits with at least its share gets BUSY, and the others do not. The share is the queue, divided by
 *     the number of modules that have used the client within the last second. Waiting calls of different modules are sent by
 *     turns, and a module with "memcache_pipeline" calls under way leaves one connection of each server to others, if "max"
 *     allows two. All that have not said who they are count as one module. It is against accidents: siblings are in one
 *     process, and trust each other.
 *   - op->ttl may be any number. memcached knows times until January 2038: an item that should live longer expires then
 *     (or after 30 days, if that is later). 0 means that it never expires. For LEASE and FLUSH_ALL, the maximum is 30 days;
 *     more is INVALID.
 *   - op->timeout is in milliseconds. More than a day is treated as a day.
 *
 * This file is the only source of the interface; the Rust side is generated from it.
 */

#ifndef _NGX_HTTP_MEMCACHE_H_INCLUDED_
#define _NGX_HTTP_MEMCACHE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#ifdef __cplusplus
extern "C" {
#endif


/*
 * A change of the major number breaks compiled siblings. The minor number grows with every addition at the end of a
 * structure, the table, or a list of numbers. Within a major number, nothing is removed or moved. A sibling that was
 * compiled with an earlier minor number keeps working: "size" tells that its structures are smaller.
 *
 * 1.1: LEASE, INVALIDATE, INSPECT, NOOP, STATS, FLUSH_ALL; op->recache; what follows "value" in the result; WAIT;
 *      set_enabled() and STATE_DISABLED.
 * 1.2: client_of_conf(), subset(), submit_many(), server_of_key(), require(), check_request(), client_of_name(), require_name();
 *      TOO_MANY, MAX_KEYS,
 *      MAX_SUBSETS, COUNT, UNSUPPORTED, RETAIN_LIMIT; "stand_in" in the result; "cas" of APPEND, PREPEND, INCR, DECR, and in
 *      the result with LOST; ngx_http_memcache_http_status().
 * 1.3: client_of_module(); MAX_MODULES.
 */
#define NGX_HTTP_MEMCACHE_ABI_MAJOR    1
#define NGX_HTTP_MEMCACHE_ABI_MINOR    3

/*
 * "ngxmemc1", read as a little-endian number: marks our module, in "spare_hook0", which nginx leaves alone, and its
 * extended context.
 */
#define NGX_HTTP_MEMCACHE_MAGIC        0x31636d656d78676eULL

#define NGX_HTTP_MEMCACHE_MODULE_NAME  "ngx_http_memcache_module"


/*
 * Status of a call, or of an operation. The numbers never change. $memcache_status uses these names. The table of errors
 * below also holds for the crate's Error: its tests compare them.
 */

typedef uint32_t  ngx_http_memcache_status_t;

/* results */
#define NGX_HTTP_MEMCACHE_OK              0   /* done: found, stored, deleted, touched, counted */
#define NGX_HTTP_MEMCACHE_MISS            1   /* there is no such item: a result, not an error */
#define NGX_HTTP_MEMCACHE_NOT_STORED      2   /* add, replace, append, prepend: the condition did not hold */
#define NGX_HTTP_MEMCACHE_EXISTS          3   /* compare-and-swap: the item was changed by somebody else */

/*
 * Errors of an operation. result->maybe_applied is 1 if the server may have carried it out. The module repeats operations
 * that were not sent, and reads whose connection was lost, once. So an operation that ends with an error was repeated
 * already, or must not be.
 *
 *     error         whose fault               carried out?            again?
 *     NOT_SENT      the network's             no                      yes
 *     UNKNOWN       the network's             writes: perhaps         reads; writes that do no harm when done twice
 *     TIMEOUT       the server's or network's  maybe_applied          not at once: it would add to the load
 *     BUSY          too much to do            no                      later
 *     SERVER_DOWN   the server's              no                      later: it is probed by timer
 *     SERVER        the server's              no; "object too large for cache" is the caller's, and the old item is gone
 *     CLIENT        the caller's: incr of what is no number           no
 *     PROTOCOL      the server's, or of what is between  maybe_applied  reads
 *     SHUTDOWN      nobody's: the worker exits  maybe_applied         no
 *     INVALID_KEY   the caller's              no                      no
 *     TOO_LARGE     the caller's, or of whoever stored the item; a gat has touched it
 *     NO_MEMORY     nobody's: a value that was read was dropped; a gat has touched the item
 *     UNSUPPORTED   the operator's            no                      no
 *
 * Where they come. What submit() returns has no handler; what submit_many() refuses of one key alone is in its result:
 *
 *     of submit() alone             all errors of a call but NO_MEMORY
 *     of submit() or in the handler BUSY, SERVER_DOWN, SHUTDOWN, NO_MEMORY; INVALID_KEY: in the handler if the server speaks
 *                                   text; TOO_LARGE: the value that is given in submit(), the one that was read in the
 *                                   handler
 *     in the handler alone          NOT_SENT, UNKNOWN, TIMEOUT, SERVER, CLIENT, PROTOCOL, UNSUPPORTED
 *
 * ngx_http_memcache_http_status() says what each is for a client of nginx.
 */
#define NGX_HTTP_MEMCACHE_NOT_SENT        16  /* no byte was sent: safe to retry */
#define NGX_HTTP_MEMCACHE_UNKNOWN         17  /* sent, but the connection died before the answer */
#define NGX_HTTP_MEMCACHE_TIMEOUT         18  /* the deadline passed */
#define NGX_HTTP_MEMCACHE_BUSY            19  /* "memcache_queue" is full: shed load, or retry later */
#define NGX_HTTP_MEMCACHE_SERVER_DOWN     20  /* the key's server is down: not sent */
#define NGX_HTTP_MEMCACHE_SERVER          21  /* memcached said SERVER_ERROR; result->value is its text */
#define NGX_HTTP_MEMCACHE_CLIENT          22  /* memcached said CLIENT_ERROR or ERROR; result->value is its text */
#define NGX_HTTP_MEMCACHE_PROTOCOL        23  /* the server broke the protocol; its connection was closed */
#define NGX_HTTP_MEMCACHE_SHUTDOWN        24  /* the client is closing */
#define NGX_HTTP_MEMCACHE_INVALID_KEY     25  /* empty, or too long with the prefix and, for binary keys, encoding;
                                               * or the server speaks text: result->value says so */
#define NGX_HTTP_MEMCACHE_TOO_LARGE       26  /* the value, given or read, is larger than "memcache_max_value" */
#define NGX_HTTP_MEMCACHE_CANCELLED       27  /* only ever the answer to a misuse: cancelled calls have no handler */
#define NGX_HTTP_MEMCACHE_UNSUPPORTED     28  /* since 1.2: the server does not do that; not sent; result->value says why */

/* errors of a call: nothing was submitted */
#define NGX_HTTP_MEMCACHE_NOT_AVAILABLE   32  /* not in a worker: configuration, master, cache manager or loader */
#define NGX_HTTP_MEMCACHE_NOT_CONFIGURED  33  /* no "memcache_server" applies here */
#define NGX_HTTP_MEMCACHE_WRONG_THREAD    34  /* not the worker's event loop thread */
#define NGX_HTTP_MEMCACHE_STALE           35  /* a handle that is not, or no longer, in use */
#define NGX_HTTP_MEMCACHE_INVALID         36  /* an argument is NULL, out of range, of an unknown kind; a request that has ended */
#define NGX_HTTP_MEMCACHE_NO_MEMORY       37  /* refused, nothing was sent; or the value that was read was dropped */
#define NGX_HTTP_MEMCACHE_INTERNAL        38  /* a defect of the module: please report it */
#define NGX_HTTP_MEMCACHE_TOO_MANY        39  /* since 1.2: more than MAX_KEYS keys, or MAX_SUBSETS subsets */
#define NGX_HTTP_MEMCACHE_RETAIN_LIMIT    40  /* since 1.2, of retain() alone: "memcache_max_retained" is reached */

/* answers of ngx_http_memcache_api() */
#define NGX_HTTP_MEMCACHE_NOT_LOADED      48  /* there is no ngx_http_memcache_module in this nginx */
#define NGX_HTTP_MEMCACHE_TOO_OLD         49  /* the loaded module is older than this header */
#define NGX_HTTP_MEMCACHE_TOO_NEW         50  /* the loaded module has another, newer major number */


/*
 * Operations. The numbers never change. These are their answers besides errors, and the fields of the result:
 *
 *     operation          OK                               other results
 *     GET, GAT           value, flags, cas                MISS
 *     SET                stored                           with cas: EXISTS (another version), MISS (no item)
 *     ADD                stored                           NOT_STORED: there is an item
 *     REPLACE            stored                           NOT_STORED: there is none
 *     APPEND, PREPEND    stored; flags and expiry stay    NOT_STORED: there is none, or no room; with cas: EXISTS
 *     DELETE             deleted                          MISS; with cas: EXISTS
 *     INCR, DECR         number: the new value            MISS, without INITIAL; with cas: EXISTS
 *     TOUCH              touched                          MISS
 *     LEASE              see below                        MISS, see below
 *     INVALIDATE         marked as stale                  MISS; with cas: EXISTS
 *     INSPECT            cas, flags, stale, length, ttl, idle, fetched, leased        MISS
 *     VERSION, STATS     value
 *     NOOP, FLUSH_ALL    done
 *
 * DELETE and INVALIDATE with cas are UNSUPPORTED on memcached 1.6.10, 1.6.11 and 1.6.12, where the comparison always fails.
 * There a lease cannot be given back; it ends after its time.
 *
 * A server that is spoken to in the text protocol ("memcache_protocol") compares versions on SET alone, and has neither
 * LEASE, INVALIDATE nor INSPECT. Some do not know GAT, TOUCH, STATS and FLUSH_ALL either. All that is UNSUPPORTED. Keys with
 * spaces or control characters are INVALID_KEY there. INCR and DECR with INITIAL are several steps: what is submitted for the
 * key behind one may be carried out in between.
 *
 * An item that was extended may be larger than "memcache_max_value". Reading it is TOO_LARGE then. INSPECT returns its length,
 * and an APPEND or PREPEND with its cas extends only that version.
 *
 * A condition or an option that an operation does not have is INVALID. Other fields that it does not have are ignored.
 */

#define NGX_HTTP_MEMCACHE_GET       1   /* key */
#define NGX_HTTP_MEMCACHE_GAT       2   /* key, ttl: get and touch */
#define NGX_HTTP_MEMCACHE_SET       3   /* key, value, flags, ttl; with cas: compare-and-swap */
#define NGX_HTTP_MEMCACHE_ADD       4   /* key, value, flags, ttl */
#define NGX_HTTP_MEMCACHE_REPLACE   5   /* key, value, flags, ttl */
#define NGX_HTTP_MEMCACHE_APPEND    6   /* key, value; with cas: only that version of the item */
#define NGX_HTTP_MEMCACHE_PREPEND   7   /* key, value; with cas: only that version of the item */
#define NGX_HTTP_MEMCACHE_DELETE    8   /* key; with cas: only that version of the item */
#define NGX_HTTP_MEMCACHE_INCR      9   /* key, delta; with INITIAL: initial, ttl; or with cas; wraps at 2^64 */
#define NGX_HTTP_MEMCACHE_DECR      10  /* key, delta; with INITIAL: initial, ttl; or with cas; stops at 0 */
#define NGX_HTTP_MEMCACHE_TOUCH     11  /* key, ttl */
#define NGX_HTTP_MEMCACHE_VERSION   12  /* server; the answer's value is the version */

/* since 1.1 */
#define NGX_HTTP_MEMCACHE_LEASE       13  /* key, ttl, recache: get, and perhaps a lease; see below */
#define NGX_HTTP_MEMCACHE_INVALIDATE  14  /* key, ttl (0: it stays); with cas: only that version; see below */
#define NGX_HTTP_MEMCACHE_INSPECT     15  /* key: what is known of an item, without its value, and not counted as use */
#define NGX_HTTP_MEMCACHE_NOOP        16  /* server: does it answer? */
#define NGX_HTTP_MEMCACHE_STATS       17  /* server; the answer's value has a line for each: name, space, value, LF */
#define NGX_HTTP_MEMCACHE_FLUSH_ALL   18  /* server, ttl: forgets all items, after 0 .. 30 days if ttl is not 0 */

/* op->options */
#define NGX_HTTP_MEMCACHE_INITIAL   0x0001  /* incr, decr: create a missing item with op->initial and op->ttl */
#define NGX_HTTP_MEMCACHE_WAIT      0x0002  /* lease: wait for the item that somebody else makes; see below */
#define NGX_HTTP_MEMCACHE_COUNT     0x0004  /* op->request is for its variables ($memcache_ops, ...) alone: the call goes on
                                               when the request ends */


/*
 * Leases: one caller makes a missing item for all.
 *
 * LEASE reads an item. If it is missing, the first caller gets the lease: result->lease is WON. For op->ttl seconds (1 .. 30
 * days, anything else is INVALID), all other callers get LOST. The same happens after an item was marked as stale by
 * INVALIDATE: its old value stays for the time that INVALIDATE has set, and comes with WON and LOST. If an item has less than
 * op->recache seconds left (0 .. 30 days), one caller gets WON before it expires; for all others, nothing changes.
 *
 *     status  lease  stale  value  what to do
 *     OK      NONE   0      yes    use it
 *     OK      WON    0      yes    make the item anew; the value is good until it expires
 *     OK      WON    1      yes    make the item anew; the old value may be used meanwhile
 *     OK      LOST   1      yes    use the old value, or ask again later
 *     MISS    WON    0      no     make the item
 *     MISS    LOST   0      no     do without it, or ask again later
 *
 * With WON and LOST, "cas" is the version to replace, also without a value. With LOST, it is 0 if a LEASE has WAITed in vain.
 * The caller with WON stores the item, by SET with the result's cas. The answer is EXISTS or MISS if another caller has stored,
 * marked or deleted the item meanwhile. To give the lease back, so that another caller gets it at once, use DELETE with that
 * cas after MISS, and INVALIDATE with it after "stale"; otherwise the item just expires. If a LEASE is cancelled, or its
 * request ends before the answer, the module gives the lease back.
 *
 * For all other operations that read, an item that is stale, or that somebody makes, is a MISS. (memcached gives the lease to
 * the first reader, also to these operations; the module gives it back.) An item that is being made before it expires, and
 * whose value is empty, counts as missing: store at least one byte if "recache" is used.
 *
 * memcached also touches such an item. After a GAT or TOUCH that is a MISS, the module restores the old expiry, to the second
 * and to at most 30 days, unless the connection is lost before. Two of them at the same time may restore each other's expiry.
 * If this matters, check first, as below.
 *
 * Operations that change an item without reading it find such an item:
 *
 *     ADD                    NOT_STORED
 *     REPLACE                stores
 *     APPEND, PREPEND        extend the stale value, or the empty one; a GET finds the result
 *     INCR, DECR             count on the stale value, and a GET may find the result; on an empty value they are CLIENT
 *     DELETE, INVALIDATE     OK; the holder of the lease notices that by its cas
 *
 * memcached cannot avoid this in one step. If it matters, check first with INSPECT: a GET misses if the result is MISS, or OK
 * with "stale". Then pass the version of that result: SET (for REPLACE), APPEND, INCR and DELETE with that cas change only an
 * item that a GET would have found, or answer EXISTS or MISS. After an ADD that is NOT_STORED, a LEASE with WON or LOST shows
 * that there is no item, and SET with its cas stores one. examples/kv does all of this. If INVALIDATE and LEASE are not used,
 * no check is needed.
 */

/*
 * With WAIT, a lease that is LOST without a value is not answered before the call's deadline. The module asks again, at
 * growing intervals, and at once when the item is stored through this client (or this subset of it) in this worker, until
 * there is an item or the lease is WON. At the deadline the answer is MISS with LOST. If "memcache_queue" leases of the client
 * wait already, the answer is BUSY. Choose op->timeout by the time that it takes to make the item.
 */

/* result->lease */
#define NGX_HTTP_MEMCACHE_LEASE_NONE  0
#define NGX_HTTP_MEMCACHE_LEASE_WON   1
#define NGX_HTTP_MEMCACHE_LEASE_LOST  2

/*
 * Versions ("cas" of an operation and of its result) are valid for one memcached process only: each counts from 1. The same
 * number belongs to another content after a restart, on a server that stands in, and on another server after a change of the
 * list. Use a version in the request that has read it. A tag that lives longer, such as an ETag, must also include a part of
 * the content: read the item, compare the content, and then write with the version of that read. (examples/kv does so.)
 */

/* result->ttl: it does not expire */
#define NGX_HTTP_MEMCACHE_NEVER       0xffffffff


typedef struct ngx_http_memcache_client_s  ngx_http_memcache_client_t;

/* A submitted call. 0 is never a call. The number of a call that has ended is refused, even if its slot is in use again. */
typedef uint64_t  ngx_http_memcache_call_t;


/*
 * The answer of an operation, valid while the handler runs. For a sibling that was compiled with a later header, "size" tells
 * which fields exist.
 *
 * A server that stands in for another one does not have the items of that one, and may have outdated ones. With "stand_in", a
 * MISS does not mean that there is no item. Keep what belongs to the item outside of memcached (the cookie of a session, an
 * entry in an index): the item returns with its server. On a backup server, what is stored lives for "memcache_backup_ttl" at most,
 * whatever the operation says.
 */
typedef struct {
    size_t                       size;           /* of this structure */
    ngx_http_memcache_status_t   status;
    uint32_t                     maybe_applied;  /* with an error: 1 if the server may have carried it out */
    uint64_t                     cas;            /* get, gat, lease, inspect: the item's version; see WON, LOST */
    uint64_t                     number;         /* incr, decr: the new value */
    uint32_t                     flags;          /* get, gat, lease, inspect: what was stored with the item */
    ngx_str_t                    value;          /* the item's value, version, stats, or an error's text */

    /* since 1.1 */
    uint32_t                     lease;          /* lease: NGX_HTTP_MEMCACHE_LEASE_NONE ... */
    uint32_t                     stale;          /* lease, inspect: 1 if the item was marked as stale */
    size_t                       length;         /* inspect: of the value */
    uint32_t                     ttl;            /* inspect: seconds until it expires, or NGX_HTTP_MEMCACHE_NEVER */
    uint32_t                     idle;           /* inspect: seconds since it was last used */
    uint32_t                     fetched;        /* inspect: 1 if it was used since it was stored */
    uint32_t                     leased;         /* inspect: 1 if somebody has the lease to make it anew */

    /* since 1.2 */
    uint32_t                     stand_in;       /* operations on a key: 1 if its own server is down, and another one that
                                                    stands in for it was asked ("memcache_failover next" or
                                                    "backup"); see above */
    uint32_t                     reserved;       /* 0 */
} ngx_http_memcache_result_t;

/* Runs once, on the worker's event loop, never inside submit() or cancel(). */
typedef void (*ngx_http_memcache_handler_pt)(void *data, const ngx_http_memcache_result_t *result);


/* An operation. Set all of it to zero (ngx_memzero), then "size" and the fields that the operation needs. */
typedef struct {
    size_t                         size;     /* sizeof(ngx_http_memcache_op_t) */
    uint32_t                       op;       /* NGX_HTTP_MEMCACHE_GET ... */
    uint32_t                       options;
    ngx_str_t                      key;      /* 1-250 bytes with the prefix; binary keys up to 186 bytes; 8192 with "memcache_long_keys hash" */
    ngx_str_t                      value;    /* up to "memcache_max_value"; what is longer is TOO_LARGE, whatever "data" is */
    uint64_t                       cas;      /* 0: unconditional; see "Versions" */
    uint64_t                       delta;
    uint64_t                       initial;
    uint32_t                       flags;
    uint32_t                       ttl;      /* seconds from now; 0: never expires; see LIMITS */
    ngx_msec_t                     timeout;  /* queue, connect and exchange together; 0: "memcache_timeout" */
    ngx_uint_t                     server;   /* operations on a server: 0 .. servers - 1 */
    ngx_http_memcache_handler_pt   handler;
    void                          *data;     /* passed to the handler */
    ngx_http_request_t            *request;  /* if set: the call is cancelled when the main request ends,
                                                unless COUNT is set, and counted in the request's variables */

    /* since 1.1 */
    uint32_t                       recache;  /* lease: seconds before its expiry that an item is made anew */
    uint32_t                       reserved; /* 0 */
} ngx_http_memcache_op_t;


/* since 1.2 */

/* The most keys of one submit_many(). */
#define NGX_HTTP_MEMCACHE_MAX_KEYS     1024

/* The most subsets of one client, in a worker. */
#define NGX_HTTP_MEMCACHE_MAX_SUBSETS  32

/* since 1.3: The most modules of one client that are told apart, in a worker. */
#define NGX_HTTP_MEMCACHE_MAX_MODULES  31

/*
 * The answers of submit_many(): one for each key, in the order of the keys. They are valid while the handler runs. Each of
 * them may be retained.
 */
typedef void (*ngx_http_memcache_many_handler_pt)(void *data, const ngx_http_memcache_result_t *const *results,
    ngx_uint_t n);


/* Gets of many keys. Set all of it to zero, then "size" and the fields that are needed. */
typedef struct {
    size_t                              size;     /* sizeof(ngx_http_memcache_many_t) */
    uint32_t                            op;       /* NGX_HTTP_MEMCACHE_GET or NGX_HTTP_MEMCACHE_GAT */
    uint32_t                            ttl;      /* gat: seconds from now; 0: never expires */
    const ngx_str_t                    *keys;     /* copied */
    ngx_uint_t                          nkeys;    /* 1 .. NGX_HTTP_MEMCACHE_MAX_KEYS */
    ngx_msec_t                          timeout;  /* of each of them; 0: "memcache_timeout" */
    ngx_http_memcache_many_handler_pt   handler;
    void                               *data;     /* passed to the handler */
    ngx_http_request_t                 *request;  /* if set: the call is cancelled when the main request ends */
    uint32_t                            options;  /* NGX_HTTP_MEMCACHE_COUNT, or 0 */
    uint32_t                            reserved; /* 0 */
} ngx_http_memcache_many_t;


/* A value that outlives the handler. Do not copy the structure; release it exactly once, on any thread. */
typedef struct {
    ngx_str_t   bytes;
    void       *owner[4];
} ngx_http_memcache_value_t;


#define NGX_HTTP_MEMCACHE_STATE_LIVE  0
#define NGX_HTTP_MEMCACHE_STATE_DOWN  1
#define NGX_HTTP_MEMCACHE_STATE_DISABLED  2  /* by set_enabled(), or by the operator ("memcache_control") */

/*
 * A server of a client: its configuration, and its state in this worker. "address" lives as long as the index belongs to
 * the server: as long as the client, if the list of servers does not change.
 */
typedef struct {
    size_t      size;        /* sizeof(ngx_http_memcache_server_t), set by the caller */
    ngx_str_t   address;
    uint32_t    state;
    uint32_t    weight;
    uint32_t    min, smax, max;
    uint32_t    ttl;         /* seconds; 0: idle connections never expire */
    uint32_t    open;        /* connections that are open, handshake included */
    uint32_t    idle;        /* of them, without a pending reply */
    uint32_t    pending;     /* operations with a pending reply */
    uint32_t    queued;      /* operations that wait for a connection */
} ngx_http_memcache_server_t;


/* The function table. It only grows, at the end; "size" is its size in bytes. */
typedef struct {
    size_t  size;

    /* The client of the server block that handles the request. */
    ngx_http_memcache_status_t (*client_of_request)(ngx_http_request_t *r, ngx_http_memcache_client_t **client);

    /* Accepts an operation and sets *call, or returns an error. "call" may be NULL. */
    ngx_http_memcache_status_t (*submit)(ngx_http_memcache_client_t *client, const ngx_http_memcache_op_t *op,
        ngx_http_memcache_call_t *call);

    /* OK: the handler will not run. STALE: it has run already, or is running. */
    ngx_http_memcache_status_t (*cancel)(ngx_http_memcache_client_t *client, ngx_http_memcache_call_t call);

    /*
     * In a handler: keeps the result's value. Values up to 1 KiB are copied, so that they do not keep a read buffer.
     * RETAIN_LIMIT: the worker already keeps "memcache_max_retained" bytes of values; the module logs that.
     */
    ngx_http_memcache_status_t (*retain)(const ngx_http_memcache_result_t *result, ngx_http_memcache_value_t *value);

    /*
     * Frees a value and empties the structure. An empty one is ignored. This is the only function that may be called on any
     * thread: a retained value can be read and released there.
     */
    void (*release)(ngx_http_memcache_value_t *value);

    /*
     * The number of the client's indexes: of its servers, if the list does not change while nginx runs. An index stays with
     * its server, whatever happens to others. The index of a server that has left the list is INVALID everywhere, and leaves
     * a gap: functions that take an index are to be called with all that there are. A server that joins the list gets an
     * index of its own, and one that returns has its own again. An index belongs to another server only when 16384 others
     * have left after its own.
     */
    ngx_uint_t (*servers)(ngx_http_memcache_client_t *client);

    /* Fills *server. INVALID: there is no such index, or its server has left the list. */
    ngx_http_memcache_status_t (*server)(ngx_http_memcache_client_t *client, ngx_uint_t index,
        ngx_http_memcache_server_t *server);

    /* The largest value, in bytes, that the client accepts: "memcache_max_value". */
    size_t (*max_value)(ngx_http_memcache_client_t *client);

    /*
     * Takes a server out of use in this worker, for all users of this client, or back into use. A server out of use is like
     * one that is down, but is not probed. Operations that were sent before are still answered. INVALID: there is no such
     * index.
     */
    ngx_http_memcache_status_t (*set_enabled)(ngx_http_memcache_client_t *client, ngx_uint_t index,
        ngx_uint_t enabled);

    /* since 1.2 */

    /*
     * The client of a block of the configuration, for code without a request: a timer, or init_process, in any order of the
     * modules. Store cf->ctx of a directive's handler, or of postconfiguration, in the sibling's configuration, and pass it
     * in a worker. The context of a location gives the client of its "memcache_use", or of its server block. That of http gives the
     * client of a server block without settings of its own; if there is none, that client is made at the first call.
     * NOT_CONFIGURED: no "memcache_server" applies there, or it is the context of an upstream block. STALE: it belongs to
     * another cycle.
     */
    ngx_http_memcache_status_t (*client_of_conf)(ngx_http_conf_ctx_t *ctx, ngx_http_memcache_client_t **client);

    /*
     * A client with some of the client's servers, given by their indexes. It routes keys like a client that is configured
     * with these servers alone, in the order of the configuration, whatever the order of the indexes. The same servers are
     * always the same subset, and all servers are the client itself. A subset shares connections, health, settings, and
     * statistics with the client. All functions accept it. It counts servers from 0. It lives as long as the client, and is
     * not released. It keeps the servers that it was made of: those that leave the list have gaps, and if all have left,
     * operations fail with SERVER_DOWN until one returns. INVALID: there is no index, an index is given twice, or it does not exist. TOO_MANY: there are MAX_SUBSETS
     * already.
     */
    ngx_http_memcache_status_t (*subset)(ngx_http_memcache_client_t *client, const ngx_uint_t *servers, ngx_uint_t n,
        ngx_http_memcache_client_t **subset);

    /*
     * Accepts gets of many keys as one call, and sets *call, or returns an error. All servers are asked at the same time. The
     * handler runs once, when the last get has ended. An error of one key (INVALID_KEY, BUSY, SERVER_DOWN, TIMEOUT, ...) is the
     * result of that key, and does not affect the others. The values that wait for the last one are bounded, over all such
     * calls of a client: beyond the bound a value is dropped, and the result of its key is BUSY.
     */
    ngx_http_memcache_status_t (*submit_many)(ngx_http_memcache_client_t *client, const ngx_http_memcache_many_t *many,
        ngx_http_memcache_call_t *call);

    /* The index of the server that has a key, whether or not it is up. */
    ngx_http_memcache_status_t (*server_of_key)(ngx_http_memcache_client_t *client, const ngx_str_t *key,
        ngx_uint_t *index);

    /*
     * For the handler of a directive that needs a client: if no "memcache_server" applies, "nginx -t" refuses the
     * configuration, with the name and the line of the directive. In the http block, one server block with a client is
     * enough; there is a warning for the others. INVALID: cf is not at a directive in a block of HTTP.
     */
    ngx_http_memcache_status_t (*require)(ngx_conf_t *cf);

    /* Whether calls may use a request: OK, or INVALID if it has ended; see CALLS. */
    ngx_http_memcache_status_t (*check_request)(ngx_http_request_t *r);

    /* The client of the "memcache_cluster" of this name, in a worker. NOT_CONFIGURED: there is none. */
    ngx_http_memcache_status_t (*client_of_name)(const ngx_str_t *name, ngx_http_memcache_client_t **client);

    /*
     * As require(), for a directive that names a "memcache_cluster": "nginx -t" refuses the configuration if there is none of
     * this name, which is copied.
     */
    ngx_http_memcache_status_t (*require_name)(ngx_conf_t *cf, const ngx_str_t *name);

    /* since 1.3 */

    /*
     * The same client, or subset, for a module: calls with this handle are the module's, see LIMITS. The status shows them
     * under the module's name, "module->name". It costs a few instructions for each module that was asked for before, and is
     * meant to be called where the client is asked for. The same module always has the same handle; functions that return a
     * subset return that module's. With more than MAX_MODULES modules, it is the handle of those that have not said who they
     * are. INVALID: nginx does not have this module.
     */
    ngx_http_memcache_status_t (*client_of_module)(ngx_http_memcache_client_t *client, const ngx_module_t *module,
        ngx_http_memcache_client_t **tagged);
} ngx_http_memcache_api_t;


/* What the module's ctx points to: nginx's own part first, then ours. */
typedef struct {
    ngx_http_module_t               http;
    uint64_t                        magic;
    uint32_t                        major;
    uint32_t                        minor;
    const ngx_http_memcache_api_t  *api;
} ngx_http_memcache_module_ctx_t;


/*
 * Finds the function table. Pass cf->cycle while the configuration is read, and ngx_cycle in a worker. The search takes
 * microseconds: do it once per configuration or worker, not per request.
 */
static ngx_inline ngx_http_memcache_status_t
ngx_http_memcache_api(ngx_cycle_t *cycle, const ngx_http_memcache_api_t **api)
{
    ngx_uint_t                             i;
    const ngx_module_t                    *module;
    const ngx_http_memcache_module_ctx_t  *ctx;

    *api = NULL;

    for (i = 0; i < cycle->modules_n; i++) {

        module = cycle->modules[i];

        if (ngx_strcmp(module->name, NGX_HTTP_MEMCACHE_MODULE_NAME) != 0) {
            continue;
        }

        /* the context of another module with this name may be shorter than ours */
        if (module->spare_hook0 != (uintptr_t) NGX_HTTP_MEMCACHE_MAGIC) {
            return NGX_HTTP_MEMCACHE_NOT_LOADED;
        }

        ctx = (const ngx_http_memcache_module_ctx_t *) module->ctx;

        if (ctx == NULL || ctx->magic != NGX_HTTP_MEMCACHE_MAGIC || ctx->api == NULL) {
            return NGX_HTTP_MEMCACHE_NOT_LOADED;
        }

        if (ctx->major > NGX_HTTP_MEMCACHE_ABI_MAJOR) {
            return NGX_HTTP_MEMCACHE_TOO_NEW;
        }

        if (ctx->major < NGX_HTTP_MEMCACHE_ABI_MAJOR
            || ctx->minor < NGX_HTTP_MEMCACHE_ABI_MINOR
            || ctx->api->size < sizeof(ngx_http_memcache_api_t))
        {
            return NGX_HTTP_MEMCACHE_TOO_OLD;
        }

        *api = ctx->api;

        return NGX_HTTP_MEMCACHE_OK;
    }

    return NGX_HTTP_MEMCACHE_NOT_LOADED;
}


/*
 * Since 1.2: the HTTP status that tells a client of nginx about an error, as Error::http_status() of the crate does: 400, 409,
 * 413, 500, 501, 502, 503 or 504. The result is NULL for what a function has returned.
 */
static ngx_inline ngx_int_t
ngx_http_memcache_http_status(ngx_http_memcache_status_t status, const ngx_http_memcache_result_t *result)
{
    ngx_str_t               text;
    static const ngx_str_t  too_large = ngx_string("object too large for cache");
    static const ngx_str_t  no_number = ngx_string("cannot increment or decrement non-numeric value");

    ngx_str_null(&text);

    if (result != NULL) {
        text = result->value;
    }

    switch (status) {

    case NGX_HTTP_MEMCACHE_INVALID_KEY:
        return NGX_HTTP_BAD_REQUEST;

    case NGX_HTTP_MEMCACHE_TOO_LARGE:      /* the caller's value, or somebody's item */
        return result == NULL ? NGX_HTTP_REQUEST_ENTITY_TOO_LARGE : NGX_HTTP_BAD_GATEWAY;

    case NGX_HTTP_MEMCACHE_SERVER:
        return (text.len == too_large.len && ngx_memcmp(text.data, too_large.data, text.len) == 0)
               ? NGX_HTTP_REQUEST_ENTITY_TOO_LARGE : NGX_HTTP_BAD_GATEWAY;

    case NGX_HTTP_MEMCACHE_CLIENT:
        return (text.len == no_number.len && ngx_memcmp(text.data, no_number.data, text.len) == 0)
               ? NGX_HTTP_CONFLICT : NGX_HTTP_BAD_GATEWAY;

    case NGX_HTTP_MEMCACHE_TIMEOUT:
        return NGX_HTTP_GATEWAY_TIME_OUT;

    case NGX_HTTP_MEMCACHE_UNSUPPORTED:
        return NGX_HTTP_NOT_IMPLEMENTED;

    case NGX_HTTP_MEMCACHE_NOT_SENT:
    case NGX_HTTP_MEMCACHE_BUSY:
    case NGX_HTTP_MEMCACHE_SERVER_DOWN:
    case NGX_HTTP_MEMCACHE_SHUTDOWN:
    case NGX_HTTP_MEMCACHE_RETAIN_LIMIT:
    case NGX_HTTP_MEMCACHE_NOT_AVAILABLE:
    case NGX_HTTP_MEMCACHE_NOT_CONFIGURED:
    case NGX_HTTP_MEMCACHE_NOT_LOADED:
    case NGX_HTTP_MEMCACHE_TOO_OLD:
    case NGX_HTTP_MEMCACHE_TOO_NEW:
        return NGX_HTTP_SERVICE_UNAVAILABLE;

    case NGX_HTTP_MEMCACHE_NO_MEMORY:
    case NGX_HTTP_MEMCACHE_TOO_MANY:
    case NGX_HTTP_MEMCACHE_WRONG_THREAD:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;

    default:
        return NGX_HTTP_BAD_GATEWAY;
    }
}


#ifdef __cplusplus
}
#endif


#endif /* _NGX_HTTP_MEMCACHE_H_INCLUDED_ */

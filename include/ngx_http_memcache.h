/*
 * ngx_http_memcache.h: how other nginx modules use the worker's memcached client.
 *
 * The module ngx_http_memcache_module builds, in every worker, one client for each list of "memcache_server" lines and
 * the settings that apply to it.
 * A sibling module includes this header, links nothing, and finds the module at run time by its name, so the order of
 * "load_module" lines does not matter and a missing module is an answer, not a crash:
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
 * README.md has the whole module that this is a part of, and examples/session one to start from. Like nginx's own
 * headers, this one comes before those of the system.
 *
 *
 * CALLS
 *
 *   - submit() never blocks and never calls the handler itself, whatever it returns. When it returns
 *     NGX_HTTP_MEMCACHE_OK the handler runs exactly once, later, from an event of the module, at the deadline at the
 *     latest, unless the call is cancelled first. When it returns anything else the handler never runs. A deadline of
 *     "memcache_timeout" is put off, up to ten times that, while values of more than 64 KiB come or go on the connection
 *     that the call is on; one of op->timeout is not.
 *   - Key and value are copied by submit(); the caller's memory is free again when it returns.
 *   - A handler may submit, cancel, and finalize its request. As it runs from an event, it has to call
 *     ngx_http_run_posted_requests() after that, with the connection that it has taken from the request before. While it
 *     runs, the whole worker waits for it; the status has the longest time that this took.
 *   - In one turn of the event loop, the handlers of a client get 1024 answers at most, whatever they submit: what is
 *     more comes in the next turn, behind the worker's other events. (Each key of submit_many() counts; one call's are
 *     given together.)
 *   - A call whose op->request is set is cancelled when the main request ends, whatever ends it: the handler does not
 *     run, and never finds its request gone. A call without a request outlives all of them: what op->data points to has
 *     to live until the handler has run or the call was cancelled.
 *   - A main request has ended, for this module, when nginx has run its http cleanups: in the log phase, and in handlers
 *     of cleanups of its pool. A call whose op->request is one that has ended is INVALID then, with COUNT too: what
 *     is to be done there takes no request. A handler of an http cleanup cannot always be told that; what is accepted
 *     there is cancelled with the request, before anything of it is sent. check_request() says how it is.
 *   - What a cancelled call has sent may still be carried out. Its reply is awaited, and thrown away.
 *   - What operations fail with is in the error log already: the module sums it up, in one line for each server and
 *     second, with the server's name. A sibling that logs each of them fills the disk while a server is down. CLIENT and
 *     INVALID_KEY, which are about one request, and the errors of a call, save NO_MEMORY, are the sibling's to log.
 *
 * ORDER
 *
 *   - What the calls of one worker, whoever makes them, submit for one key to one server is carried out in that order: a
 *     call goes behind each write of its key that has no answer yet. So a get sees every write that was submitted before
 *     it, and of two writes the later one stays, whether or not anybody waits for an answer between them. That holds in
 *     the queue, with several connections, and for what is sent again.
 *   - A get that is under way may see a write that was submitted after it.
 *   - A call that ended without an answer, with maybe_applied or cancelled, may be carried out later, behind others.
 *   - There is no order between keys, between calls on servers (FLUSH_ALL) and others, between workers, and between a
 *     server and one that stands in for it. A lease that WAITs is submitted anew each time it asks.
 *
 * THREADS AND PROCESSES
 *
 *   - Everything happens on the worker's event loop thread. A call from another thread, or from a child that the worker
 *     has forked, is refused (NGX_HTTP_MEMCACHE_WRONG_THREAD).
 *   - There are clients in workers, and with "master_process off", from init_process on, whichever module's comes first.
 *     While the configuration is read, in init_module, in the master, the cache manager and loader, calls are refused
 *     (NGX_HTTP_MEMCACHE_NOT_AVAILABLE), save require(), which is for that.
 *   - release() alone may be called from any thread: a value that was retained may be read and released there.
 *
 * LIFETIMES
 *
 *   - The table belongs to the module, which stays loaded: look it up once for a configuration or worker.
 *   - A client, and a subset of one, belong to the configuration of a worker, and live as long as the worker. Asking
 *     for the client of a request costs a few instructions. Handles are looked up, not followed: one that is none, or
 *     no longer, is STALE, and does no harm.
 *   - After a reload, calls of the old worker end there, within their deadlines, and then it exits. When a worker is
 *     told to stop at once, no handler runs: calls are forgotten. In exit_process, submit() is of no use.
 *   - A result, and what it points to, is there while the handler runs. retain() takes its value along, until
 *     release(), which is the only way to free it.
 *
 * LIMITS
 *
 *   - What waits for a server is bounded ("memcache_queue", 64 MiB of values), as is what is under way on a connection;
 *     beyond that, submit() says BUSY at once. A call that waited, and now has to go behind a write of its key where it
 *     is full, ends with BUSY. There is no share of that for each sibling: they are all in one process, and trust each
 *     other. But what one does to a server does not keep the others from other servers.
 *   - op->ttl may be any number: memcached knows moments up to January 2038, and what would live longer lives until then
 *     (where that is less than 30 days away, for 30 days). What is to live for ever has 0. For LEASE and FLUSH_ALL, 30 days
 *     are the most, and more is INVALID.
 *   - op->timeout is milliseconds, and a day at most; what is longer is a day.
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
 * A change of the major number breaks siblings that are already compiled. The minor number grows with every addition
 * at the end of a structure, the table, or a list of numbers; nothing is ever removed or moved within a major number.
 * What a sibling has by an earlier minor number goes on working: its structures are smaller, and say so by "size".
 *
 * 1.1: LEASE, INVALIDATE, INSPECT, NOOP, STATS, FLUSH_ALL; op->recache; what follows "value" in the result; WAIT;
 *      set_enabled() and STATE_DISABLED.
 * 1.2: client_of_conf(), subset(), submit_many(), server_of_key(), require(), check_request(); TOO_MANY, MAX_KEYS,
 *      MAX_SUBSETS, COUNT, UNSUPPORTED, RETAIN_LIMIT; "stand_in" in the result; "cas" of APPEND, PREPEND, INCR, DECR, and in
 *      the result with LOST.
 */
#define NGX_HTTP_MEMCACHE_ABI_MAJOR    1
#define NGX_HTTP_MEMCACHE_ABI_MINOR    2

/*
 * "ngxmemc1", read as a little-endian number: marks our module, in "spare_hook0", which nginx leaves alone, and its
 * extended context.
 */
#define NGX_HTTP_MEMCACHE_MAGIC        0x31636d656d78676eULL

#define NGX_HTTP_MEMCACHE_MODULE_NAME  "ngx_http_memcache_module"


/*
 * Status of a call, or of an operation. The numbers never change. $memcache_status has its names from here, and what the
 * table below says of errors, the crate's Error says, too: its tests compare them.
 */

typedef uint32_t  ngx_http_memcache_status_t;

/* results */
#define NGX_HTTP_MEMCACHE_OK              0   /* done: found, stored, deleted, touched, counted */
#define NGX_HTTP_MEMCACHE_MISS            1   /* there is no such item: a result, not an error */
#define NGX_HTTP_MEMCACHE_NOT_STORED      2   /* add, replace, append, prepend: the condition did not hold */
#define NGX_HTTP_MEMCACHE_EXISTS          3   /* compare-and-swap: the item was changed by somebody else */

/*
 * Errors of an operation. When the server may have carried it out all the same, result->maybe_applied is 1. The module
 * sends again by itself, once, what was not sent, and reads whose connection died; what ends with an error has been
 * tried, or must not be.
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
#define NGX_HTTP_MEMCACHE_INVALID_KEY     25  /* empty, or too long with the prefix and, for binary keys, encoding */
#define NGX_HTTP_MEMCACHE_TOO_LARGE       26  /* the value, given or read, is larger than "memcache_max_value" */
#define NGX_HTTP_MEMCACHE_CANCELLED       27  /* only ever the answer to a misuse: cancelled calls have no handler */
#define NGX_HTTP_MEMCACHE_UNSUPPORTED     28  /* since 1.2: the server's memcached does not do that; not sent */

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
 * Operations. The numbers never change. What each of them may answer, besides errors, and what is in the result then:
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
 * DELETE and INVALIDATE with cas are UNSUPPORTED where the server is memcached 1.6.10, 1.6.11 or 1.6.12, which answer that
 * any version is another one. There a lease cannot be handed back, and ends after its time.
 *
 * An item that was extended may be larger than "memcache_max_value": reading it is TOO_LARGE then. INSPECT says how long it
 * is, and an APPEND or PREPEND with its cas extends just that.
 *
 * A condition or an option that an operation does not have is INVALID; other fields that it does not have are ignored.
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
 * Leases: of all who want an item that is missing, one makes it, and the others know.
 *
 * LEASE reads an item. If it is missing, the first one to ask is given the lease: result->lease is WON, and for op->ttl
 * seconds (1 .. 30 days, anything else is INVALID) whoever else asks is told LOST. The same happens once an item was
 * marked as stale by INVALIDATE: its old value stays, for as long as INVALIDATE said, and comes with WON and LOST. And
 * an item that has less than op->recache seconds left (0 .. 30 days) has one WON as well, before it expires; for
 * everybody else it is as good as before.
 *
 *     status  lease  stale  value  what to do
 *     OK      NONE   0      yes    use it
 *     OK      WON    0      yes    make the item anew; the value is good until it expires
 *     OK      WON    1      yes    make the item anew; the old value can be used if need be
 *     OK      LOST   1      yes    use the old value, or ask again later
 *     MISS    WON    0      no     make the item
 *     MISS    LOST   0      no     do without it, or ask again later
 *
 * With WON and LOST, "cas" is the version of what is to be replaced, also where there is no value; with LOST it is 0 if a
 * LEASE has WAITed in vain. Who has WON stores the item, by SET with the result's cas: the answer is EXISTS or MISS if somebody stored, marked or
 * deleted it meanwhile, and then it is theirs. Who cannot, hands the lease back, so that somebody else is given it at
 * once: after MISS by DELETE with that cas, after "stale" by INVALIDATE with it; otherwise there is nothing to do, the
 * item expires. A LEASE that is cancelled, or whose request ends before the answer, is handed back by the module.
 *
 * For all other operations that read, an item that is stale or still to be made is a MISS. (memcached gives the lease
 * to whoever reads first, also to those; the module hands it back.) An item that somebody was told to make anew before
 * it expires, and whose value is empty, is taken for missing: store at least one byte where "recache" is used.
 *
 * memcached touches such an item as well. A GAT or TOUCH that is a MISS leaves it with the life that it had: the module sets
 * that back, to the second and to 30 days at most, unless the connection is lost before. Two of them at once take each other's
 * time for that life. Ask first, as below, where the callers are not yours.
 *
 * For memcached, such an item is there all the same, and so it is for the operations that change one without reading it:
 *
 *     ADD                    NOT_STORED
 *     REPLACE                stores
 *     APPEND, PREPEND        extend the stale value, or the empty one, and a GET finds the result
 *     INCR, DECR             count on the stale value, which a GET may find then; on an empty one they are CLIENT
 *     DELETE, INVALIDATE     OK, and whoever has the lease finds that out by its cas
 *
 * Memcached cannot do otherwise in one step. Where it matters, ask first (INSPECT: MISS, or OK with "stale", is what a GET
 * misses), and name the version that you were told: SET (for REPLACE), APPEND, INCR and DELETE with that cas change what a
 * GET would have found, or answer EXISTS or MISS. After an ADD that is NOT_STORED, LEASE says by WON or LOST that there is
 * no item, and SET with its cas stores one. examples/kv does all of that. Where INVALIDATE and LEASE are not used, there is
 * nothing to ask for.
 */

/*
 * With WAIT, a lease that is LOST with nothing to use is no answer before the call's deadline: the module asks again,
 * at growing intervals, and at once when the item is stored through this client (or this subset of it) in this worker,
 * until there is an item or the lease is WON.
 * At the deadline the answer is MISS with LOST. Where "memcache_queue" leases of the client wait already, the answer is
 * BUSY. Choose op->timeout by how long it takes to make the item.
 */

/* result->lease */
#define NGX_HTTP_MEMCACHE_LEASE_NONE  0
#define NGX_HTTP_MEMCACHE_LEASE_WON   1
#define NGX_HTTP_MEMCACHE_LEASE_LOST  2

/*
 * Versions ("cas" of an operation and of its result) compare within one memcached process only: each counts from 1. After
 * a restart, on a server that stands in for another one, and where the key is another server's because the list of
 * servers has changed, the same number is the version of something else. Use it in the request that has read it. What
 * outlives that, such as an ETag that a client brings back, needs something of the content beside it: read the item,
 * compare that, and then write with the version that was read just now. (examples/kv does so.)
 */

/* result->ttl: it does not expire */
#define NGX_HTTP_MEMCACHE_NEVER       0xffffffff


typedef struct ngx_http_memcache_client_s  ngx_http_memcache_client_t;

/* A call that was submitted. 0 is never a call. A call that has ended is refused, also when its slot is in use again. */
typedef uint64_t  ngx_http_memcache_call_t;


/*
 * The answer of an operation, valid while the handler runs. A sibling that was compiled with a later header finds out
 * by "size" which fields are there.
 *
 * A server that stands in for another one does not know that one's items, and may have ones of an earlier time when it
 * stood in. With "stand_in", do not conclude from MISS that there is no item: what belongs to the item outside of
 * memcached (the cookie of a session, an entry in an index) has to stay, as the item is back when its server is.
 */
typedef struct {
    size_t                       size;           /* of this structure */
    ngx_http_memcache_status_t   status;
    uint32_t                     maybe_applied;  /* with an error: 1 if the server may have carried it out */
    uint64_t                     cas;            /* get, gat, lease, inspect: the item's version; see WON, LOST */
    uint64_t                     number;         /* incr, decr: the new value */
    uint32_t                     flags;          /* get, gat, lease, inspect: what was stored with the item */
    ngx_str_t                    value;          /* the item's value, version, stats, or the server's error text */

    /* since 1.1 */
    uint32_t                     lease;          /* lease: NGX_HTTP_MEMCACHE_LEASE_NONE ... */
    uint32_t                     stale;          /* lease, inspect: 1 if the item was marked as stale */
    size_t                       length;         /* inspect: of the value */
    uint32_t                     ttl;            /* inspect: seconds until it expires, or NGX_HTTP_MEMCACHE_NEVER */
    uint32_t                     idle;           /* inspect: seconds since it was last used */
    uint32_t                     fetched;        /* inspect: 1 if it was used since it was stored */
    uint32_t                     leased;         /* inspect: 1 if somebody was told to make it anew */

    /* since 1.2 */
    uint32_t                     stand_in;       /* operations on a key: 1 if its own server is down, and another one that
                                                    stands in for it was asked ("memcache_failover next"); see above */
    uint32_t                     reserved;       /* 0 */
} ngx_http_memcache_result_t;

/* Runs once, on the worker's event loop, never inside submit() or cancel(). */
typedef void (*ngx_http_memcache_handler_pt)(void *data, const ngx_http_memcache_result_t *result);


/* What to do. Set all of it to zero (ngx_memzero), then "size" and what the operation needs. */
typedef struct {
    size_t                         size;     /* sizeof(ngx_http_memcache_op_t) */
    uint32_t                       op;       /* NGX_HTTP_MEMCACHE_GET ... */
    uint32_t                       options;
    ngx_str_t                      key;      /* 1-250 bytes with the prefix; binary keys up to 186 bytes */
    ngx_str_t                      value;    /* up to "memcache_max_value" */
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

/*
 * The answers of submit_many(): one for each key, in the order of the keys. They are valid while the handler runs; each
 * of them may be retained.
 */
typedef void (*ngx_http_memcache_many_handler_pt)(void *data, const ngx_http_memcache_result_t *const *results,
    ngx_uint_t n);


/* Gets of many keys. Set all of it to zero, then "size" and what is needed. */
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
#define NGX_HTTP_MEMCACHE_STATE_DISABLED  2  /* by set_enabled() */

/* A server of a client, as configured and as it is now, in this worker. "address" lives as long as the client. */
typedef struct {
    size_t      size;        /* sizeof(ngx_http_memcache_server_t), set by the caller */
    ngx_str_t   address;
    uint32_t    state;
    uint32_t    weight;
    uint32_t    min, smax, max;
    uint32_t    ttl;         /* seconds; 0: idle connections never expire */
    uint32_t    open;        /* connections that are open, handshake included */
    uint32_t    idle;        /* of them, without a pending reply */
    uint32_t    pending;     /* operations whose reply is awaited */
    uint32_t    queued;      /* operations that wait for a connection */
} ngx_http_memcache_server_t;


/* The function table. It only ever grows at the end; "size" says how far it reaches. */
typedef struct {
    size_t  size;

    /* The client of the server block that handles the request. */
    ngx_http_memcache_status_t (*client_of_request)(ngx_http_request_t *r, ngx_http_memcache_client_t **client);

    /* Accepts an operation and sets *call, or says why not. "call" may be NULL. */
    ngx_http_memcache_status_t (*submit)(ngx_http_memcache_client_t *client, const ngx_http_memcache_op_t *op,
        ngx_http_memcache_call_t *call);

    /* After OK the handler will not run. STALE: it has run already, or is running. */
    ngx_http_memcache_status_t (*cancel)(ngx_http_memcache_client_t *client, ngx_http_memcache_call_t call);

    /*
     * In a handler: takes the result's value along. Values up to 1 KiB are copied so that they pin no read buffer.
     * RETAIN_LIMIT: the worker keeps as many bytes of values as "memcache_max_retained" says; the module logs that.
     */
    ngx_http_memcache_status_t (*retain)(const ngx_http_memcache_result_t *result, ngx_http_memcache_value_t *value);

    /*
     * Gives a value back and empties the structure; an empty one is left alone. This alone may be called on any thread:
     * a value that was retained can be read and released there.
     */
    void (*release)(ngx_http_memcache_value_t *value);

    /* The number of servers of the client. */
    ngx_uint_t (*servers)(ngx_http_memcache_client_t *client);

    /* Fills *server. INVALID: there is no such index. */
    ngx_http_memcache_status_t (*server)(ngx_http_memcache_client_t *client, ngx_uint_t index,
        ngx_http_memcache_server_t *server);

    /* The largest value, in bytes, that the client accepts: "memcache_max_value". */
    size_t (*max_value)(ngx_http_memcache_client_t *client);

    /*
     * Takes a server out of use in this worker, for all that use this client, or back into it. Out of use, it is as if
     * it were down, but nothing probes it. What was sent before is still answered. INVALID: there is no such index.
     */
    ngx_http_memcache_status_t (*set_enabled)(ngx_http_memcache_client_t *client, ngx_uint_t index,
        ngx_uint_t enabled);

    /* since 1.2 */

    /*
     * The client of a block of the configuration, for what belongs to no request: a timer, or init_process, ours or
     * the sibling's first. Keep cf->ctx of a directive's handler, or of postconfiguration, in the sibling's own
     * configuration, and ask with it in a worker. The context of a location is that of its server block; that of the
     * http block gives what a server block has that says nothing of its own, and if no server block has that, a client
     * of its own from the first time that it is asked for. NOT_CONFIGURED: no "memcache_server" applies there, or it is
     * the context of an upstream block. STALE: it is of another cycle.
     */
    ngx_http_memcache_status_t (*client_of_conf)(ngx_http_conf_ctx_t *ctx, ngx_http_memcache_client_t **client);

    /*
     * A client with some of the client's servers, given by their indexes. It routes keys as a client does that is
     * configured with just these, in the order of the configuration, whatever the order of the indexes: the same
     * servers are always the same subset, and all servers are the client itself. It shares connections, health,
     * settings, and statistics with the client, all functions take it, and it counts servers from 0. It lives as long
     * as the client; there is nothing to release. INVALID: no index, one twice, or one that there is not. TOO_MANY:
     * there are MAX_SUBSETS already.
     */
    ngx_http_memcache_status_t (*subset)(ngx_http_memcache_client_t *client, const ngx_uint_t *servers, ngx_uint_t n,
        ngx_http_memcache_client_t **subset);

    /*
     * Accepts gets of many keys as one call, and sets *call, or says why not. They are asked for at the same time on
     * all servers; the handler runs once, when the last one has ended. What fails for one key (INVALID_KEY, BUSY,
     * SERVER_DOWN, TIMEOUT, ...) is its result, and does not concern the others. The values that wait for the last one
     * have a bound, for all such calls of a client: beyond it a value is dropped, and BUSY its key's result.
     */
    ngx_http_memcache_status_t (*submit_many)(ngx_http_memcache_client_t *client, const ngx_http_memcache_many_t *many,
        ngx_http_memcache_call_t *call);

    /* The index of the server that has a key, whether or not it is up. */
    ngx_http_memcache_status_t (*server_of_key)(ngx_http_memcache_client_t *client, const ngx_str_t *key,
        ngx_uint_t *index);

    /*
     * For the handler of a directive that is of no use without a client: where no "memcache_server" applies, "nginx -t"
     * refuses the configuration, with the name and the line of the directive. In the http block it is enough that one
     * server block has a client; of the others there is a warning. INVALID: cf is not at a directive in a block of HTTP.
     */
    ngx_http_memcache_status_t (*require)(ngx_conf_t *cf);

    /* Whether a request takes calls: OK, or INVALID when it has ended; see CALLS. */
    ngx_http_memcache_status_t (*check_request)(ngx_http_request_t *r);
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
 * Finds the function table. During configuration pass cf->cycle, in a worker ngx_cycle. The walk over the modules
 * takes microseconds: do it once per configuration or worker, not per request.
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

        /* the context of another module that has this name may end where ours goes on */
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


#ifdef __cplusplus
}
#endif


#endif /* _NGX_HTTP_MEMCACHE_H_INCLUDED_ */

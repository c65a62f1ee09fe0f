/*
 * A sibling that asks as one module or another, and counts what comes of it:
 *
 *     shares?do=fill&who=...[&n=n]       submits so many gets, and does not wait for them: how many were refused as BUSY
 *     shares?do=flood&who=...[&n=n]      keeps so many gets under way until it is told to stop; who is refused tries again
 *     shares?do=ask&who=...[&n=n]        asks every 10 ms, so often
 *     shares?do=say                      of those that ask: how many are answered, their errors, percentiles of the time of
 *                                        an answer in microseconds; of the flood: its answers and what was refused
 *     shares?do=stop
 *     shares?do=wrong                    what client_of_module() says to what is no module, no place, or no client
 *
 * "who" is "flood", "ask", "subset" (as "ask", a subset of all servers), or "none", which says nothing. The modules are
 * two of nginx's own, so that their names are known: ngx_http_core_module and ngx_http_log_module.
 */

#include "sibling.h"

#include <time.h>

extern ngx_module_t  ngx_http_log_module;

#define MAX  10000


static const ngx_http_memcache_api_t  *mc;
static ngx_http_memcache_client_t     *asker, *flooder;

static ngx_uint_t   stop, flooded, refused, waiting, asks, asked, answered, errors;
static uint64_t     times[MAX];
static ngx_event_t  ask_timer, flood_timer;


static uint64_t
now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


/* The client, for who asks. */
static ngx_int_t
client_of(sibling_t *s, ngx_http_memcache_client_t **client)
{
    ngx_str_t           who;
    static ngx_uint_t   first[1] = { 0 };

    *client = s->client;
    mc = s->mc;

    if (sibling_text(s->request, "who", &who) != NGX_OK || who.data[0] == 'n') {
        return NGX_OK;
    }

    if (who.data[0] == 's' && mc->subset(s->client, first, 1, client) != NGX_HTTP_MEMCACHE_OK) {
        return NGX_ERROR;
    }

    return mc->client_of_module(*client, who.data[0] == 'f' ? &ngx_http_core_module : &ngx_http_log_module, client)
           == NGX_HTTP_MEMCACHE_OK ? NGX_OK : NGX_ERROR;
}


static ngx_http_memcache_status_t
get(ngx_http_memcache_client_t *client, const char *key, ngx_http_memcache_handler_pt handler, void *data)
{
    ngx_http_memcache_op_t  op;

    ngx_memzero(&op, sizeof(op));
    op.size = sizeof(op);
    op.op = NGX_HTTP_MEMCACHE_GET;
    op.key.len = ngx_strlen(key);
    op.key.data = (u_char *) key;
    op.handler = handler;
    op.data = data;

    return mc->submit(client, &op, NULL);
}


static void
is_answered(void *data, const ngx_http_memcache_result_t *result)
{
    if (result->status != NGX_HTTP_MEMCACHE_OK && result->status != NGX_HTTP_MEMCACHE_MISS) {
        errors++;
        return;
    }

    if (data != NULL && answered < MAX) {
        times[answered] = now() - *(uint64_t *) data;
    }

    answered++;
}


static ngx_int_t
fill(sibling_t *s)
{
    ngx_uint_t                  i, n, busy;
    ngx_http_memcache_client_t  *client;

    if (client_of(s, &client) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    n = sibling_number(s->request, "n", 1);

    for (i = 0, busy = 0; i < n; i++) {
        busy += get(client, "fill", is_answered, NULL) == NGX_HTTP_MEMCACHE_BUSY;
    }

    sibling_say(s, "busy=%ui", busy);

    return NGX_OK;
}


static void  flood_answered(void *data, const ngx_http_memcache_result_t *result);


static void
flood_on(void)
{
    if (get(flooder, "flood", flood_answered, NULL) != NGX_HTTP_MEMCACHE_OK) {
        refused++;
        waiting++;
    }
}


static void
flood_answered(void *data, const ngx_http_memcache_result_t *result)
{
    (void) data;

    if (result->status == NGX_HTTP_MEMCACHE_OK || result->status == NGX_HTTP_MEMCACHE_MISS) {
        flooded++;
    }

    if (!stop) {
        flood_on();
    }
}


/* Those that were refused try again. */
static void
flood_again(ngx_event_t *event)
{
    ngx_uint_t  n;

    for (n = waiting, waiting = 0; n > 0 && !stop; n--) {
        flood_on();
    }

    if (!stop) {
        ngx_add_timer(event, 1);
    }
}


static void
begin(ngx_event_t *event, ngx_event_handler_pt handler, ngx_msec_t time)
{
    static void  *ident[4] = { NULL, NULL, NULL, (void *) -1 };

    event->handler = handler;
    event->data = ident;
    event->log = ngx_cycle->log;
    event->cancelable = 1;
    ngx_add_timer(event, time);
}


static ngx_int_t
flood(sibling_t *s)
{
    ngx_uint_t  n;

    if (client_of(s, &flooder) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    stop = 0;
    waiting = 0;

    for (n = sibling_number(s->request, "n", 1); n > 0; n--) {
        flood_on();
    }

    begin(&flood_timer, flood_again, 1);
    sibling_say(s, "refused=%ui", refused);

    return NGX_OK;
}


static void
ask_once(ngx_event_t *event)
{
    static uint64_t  since[MAX];

    since[asked % MAX] = now();

    if (get(asker, "ask", is_answered, &since[asked % MAX]) != NGX_HTTP_MEMCACHE_OK) {
        errors++;
    }

    if (++asked < asks) {
        ngx_add_timer(event, 10);
    }
}


static ngx_int_t
ask(sibling_t *s)
{
    if (client_of(s, &asker) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    asks = sibling_number(s->request, "n", 1);
    asked = 0;
    answered = 0;
    errors = 0;
    flooded = 0;
    refused = 0;
    begin(&ask_timer, ask_once, 10);
    sibling_say(s, "asks=%ui", asks);

    return NGX_OK;
}


static int ngx_libc_cdecl
order(const void *one, const void *two)
{
    uint64_t  a = *(const uint64_t *) one, b = *(const uint64_t *) two;

    return (a > b) - (a < b);
}


static ngx_int_t
say(sibling_t *s)
{
    ngx_uint_t  n = ngx_min(answered, MAX);

    ngx_qsort(times, n, sizeof(times[0]), order);
    sibling_say(s, "asked=%ui answered=%ui errors=%ui p50=%uL p99=%uL flooded=%ui refused=%ui", asked, answered, errors,
                n ? times[n / 2] : 0, n ? times[n * 99 / 100] : 0, flooded, refused);

    return NGX_OK;
}


static ngx_int_t
end(sibling_t *s)
{
    stop = 1;

    return say(s);
}


static ngx_int_t
wrong(sibling_t *s)
{
    ngx_module_t                 none;
    ngx_http_memcache_client_t  *client = s->client, *again = NULL;

    ngx_memzero(&none, sizeof(none));

    sibling_say(s, "null=%uD none=%uD place=%uD client=%uD", s->mc->client_of_module(s->client, NULL, &client),
                s->mc->client_of_module(s->client, &none, &client),
                s->mc->client_of_module(s->client, &ngx_http_core_module, NULL),
                s->mc->client_of_module((ngx_http_memcache_client_t *) &none, &ngx_http_core_module, &client));

    (void) s->mc->client_of_module(s->client, &ngx_http_core_module, &client);
    (void) s->mc->client_of_module(client, &ngx_http_core_module, &again);
    sibling_say(s, " same=%d", client == again && client != s->client);

    return NGX_OK;
}


static sibling_action_t  sibling_actions[] = {
    { "fill", fill },
    { "flood", flood },
    { "ask", ask },
    { "say", say },
    { "stop", end },
    { "wrong", wrong },
    { NULL, NULL }
};

SIBLING(shares);

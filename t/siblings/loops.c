/*
 * A sibling whose handlers submit again at once, until it is told to stop, and that counts what happens in each turn of
 * the event loop:
 *
 *     loops?do=submit|many|cancel[&keys=n][&n=n]     begins so many loops of a kind
 *     loops?do=say                                   the most answers in a turn, turns, answers in all, calls
 *     loops?do=stop
 */

#include "sibling.h"


static const ngx_http_memcache_api_t  *mc;
static ngx_http_memcache_client_t     *client;

static ngx_uint_t   stop, keys, turns, answers, in_turn, most, pending;
static ngx_event_t  tick;


static void  answered(void *data, const ngx_http_memcache_result_t *result);
static void  many_answered(void *data, const ngx_http_memcache_result_t *const *results, ngx_uint_t n);


/* Runs once in each turn. */
static void
on_tick(ngx_event_t *event)
{
    turns++;
    most = ngx_max(most, in_turn);
    in_turn = 0;
    ngx_post_event(event, &ngx_posted_next_events);
}


static void
count(ngx_uint_t n)
{
    answers += n;
    in_turn += n;
    pending--;
}


static ngx_uint_t
submit(ngx_http_memcache_handler_pt handler, ngx_http_memcache_call_t *call)
{
    ngx_http_memcache_op_t  op;

    ngx_memzero(&op, sizeof(op));
    op.size = sizeof(op);
    op.op = NGX_HTTP_MEMCACHE_GET;
    ngx_str_set(&op.key, "k");
    op.handler = handler;

    pending++;

    if (mc->submit(client, &op, call) != NGX_HTTP_MEMCACHE_OK) {
        pending--;
        return 1;
    }

    return 0;
}


static ngx_uint_t
submit_many(void)
{
    ngx_uint_t                 i;
    ngx_http_memcache_many_t   many;
    static ngx_str_t           list[NGX_HTTP_MEMCACHE_MAX_KEYS];

    for (i = 0; i < keys; i++) {
        ngx_str_set(&list[i], "k");
    }

    ngx_memzero(&many, sizeof(many));
    many.size = sizeof(many);
    many.op = NGX_HTTP_MEMCACHE_GET;
    many.keys = list;
    many.nkeys = keys;
    many.handler = many_answered;

    pending++;

    if (mc->submit_many(client, &many, NULL) != NGX_HTTP_MEMCACHE_OK) {
        pending--;
        return 1;
    }

    return 0;
}


static void
many_answered(void *data, const ngx_http_memcache_result_t *const *results, ngx_uint_t n)
{
    (void) data;
    (void) results;
    count(n);

    if (!stop) {
        (void) submit_many();
    }
}


static void
answered(void *data, const ngx_http_memcache_result_t *result)
{
    (void) data;
    (void) result;
    count(1);

    if (!stop) {
        (void) submit(answered, NULL);
    }
}


/* One more than it takes back. */
static void
cancels(void *data, const ngx_http_memcache_result_t *result)
{
    ngx_http_memcache_call_t  call;

    (void) data;
    (void) result;
    count(1);

    if (!stop && submit(cancels, &call) == 0) {
        (void) submit(cancels, NULL);
        (void) mc->cancel(client, call);
        pending--;
    }
}


static ngx_int_t
begin(sibling_t *s, const char *what)
{
    ngx_uint_t  i, n, refused;

    if (tick.handler == NULL) {
        static void  *ident[4] = { NULL, NULL, NULL, (void *) -1 };

        tick.handler = on_tick;
        tick.data = ident;
        tick.log = ngx_cycle->log;
        ngx_post_event(&tick, &ngx_posted_next_events);
    }

    mc = s->mc;
    client = s->client;
    stop = 0;
    answers = 0;
    turns = 0;
    most = 0;
    keys = sibling_number(s->request, "keys", 1);
    n = sibling_number(s->request, "n", 1);

    for (i = 0, refused = 0; i < n; i++) {
        refused += (what[0] == 'm' ? submit_many()
                         : submit(what[0] == 'c' ? cancels : answered, NULL));
    }

    sibling_say(s, "begun=%ui refused=%ui", n, refused);

    return NGX_OK;
}


static ngx_int_t
begin_submit(sibling_t *s)
{
    return begin(s, "submit");
}


static ngx_int_t
begin_many(sibling_t *s)
{
    return begin(s, "many");
}


static ngx_int_t
begin_cancel(sibling_t *s)
{
    return begin(s, "cancel");
}


static ngx_int_t
say(sibling_t *s)
{
    sibling_say(s, "most=%ui turns=%ui answers=%ui pending=%ui", most, turns, answers, pending);

    return NGX_OK;
}


static ngx_int_t
end(sibling_t *s)
{
    stop = 1;

    return say(s);
}


static sibling_action_t  sibling_actions[] = {
    { "submit", begin_submit },
    { "many", begin_many },
    { "cancel", begin_cancel },
    { "say", say },
    { "stop", end },
    { NULL, NULL }
};

SIBLING(loops);

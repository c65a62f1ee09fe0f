/* Calls that end, are cancelled, or submit others: A6 to A13. */

#include "misuse.h"


static ngx_uint_t  stop;


/* A6: the caller's memory goes, and its request. */

ngx_int_t
misuse_a6(sibling_t *s)
{
    u_char                  *key, *value;
    ngx_http_memcache_op_t   op;

    key = ngx_alloc(9, s->request->connection->log);
    value = ngx_alloc(100000, s->request->connection->log);
    ngx_memcpy(key, "outlives", 9);
    ngx_memset(value, 'v', 100000);

    misuse_op(&op, NGX_HTTP_MEMCACHE_SET, (char *) key, misuse_count, &misuse_ran);
    op.value.data = value;
    op.value.len = 100000;

    misuse_ran = 0;
    sibling_say(s, "submit=%uD ran=%ui", s->mc->submit(s->client, &op, NULL), misuse_ran);

    ngx_memset(key, 'x', 9);
    ngx_memset(value, 'x', 100000);
    ngx_memset(&op, 0xff, sizeof(op));
    ngx_free(key);
    ngx_free(value);

    return NGX_OK;
}


ngx_int_t
misuse_show_ran(sibling_t *s)
{
    sibling_say(s, "ran=%ui", misuse_ran);

    return NGX_OK;
}


/* A7: a request ends while its calls are under way; it never answers. */

ngx_int_t
misuse_a7(sibling_t *s)
{
    ngx_uint_t              i;
    ngx_http_memcache_op_t  op;

    misuse_ran = 0;

    for (i = 0; i < 40; i++) {
        misuse_op(&op, i % 2 ? NGX_HTTP_MEMCACHE_GET : NGX_HTTP_MEMCACHE_SET, "a7", misuse_count, &misuse_ran);
        op.request = s->request;

        if (s->mc->submit(s->client, &op, NULL) != NGX_HTTP_MEMCACHE_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    s->request->read_event_handler = ngx_http_test_reading;

    return NGX_AGAIN;
}


/* A8: handles that are none. */

static ngx_http_memcache_call_t  ended;

ngx_int_t
misuse_a8(sibling_t *s)
{
    size_t                       i;
    u_char                      *at;
    ngx_http_memcache_op_t       op;
    ngx_http_memcache_call_t     call;
    ngx_http_memcache_client_t  *clients[9];

    at = (u_char *) s->client;
    clients[0] = NULL;
    clients[1] = (void *) 1;
    clients[2] = (void *) -1;
    clients[3] = (void *) misuse_bytes;
    clients[4] = (void *) &op;
    clients[5] = (void *) (at + 3);
    clients[6] = (void *) (at + NGX_HTTP_MEMCACHE_MAX_SUBSETS);
    clients[7] = (void *) (at + NGX_HTTP_MEMCACHE_MAX_SUBSETS + 1);
    clients[8] = (void *) (at - 1);

    for (i = 0; i < 9; i++) {
        s->last = misuse_call_all(s->last, s->end, s->mc, clients[i], NULL, NULL);
        sibling_say(s, "\n");
    }

    /* numbers of calls: of none, of one that has ended, and its neighbours */
    misuse_op(&op, NGX_HTTP_MEMCACHE_GET, "key", misuse_count, &misuse_ran);
    (void) s->mc->submit(s->client, &op, &call);
    sibling_say(s, "calls=%uD,%uD,%uD,%uD,%uD,%uD", s->mc->cancel(s->client, 0), s->mc->cancel(s->client, 1),
                s->mc->cancel(s->client, (uint64_t) -1), s->mc->cancel(s->client, ended),
                s->mc->cancel(s->client, call + 1), s->mc->cancel(s->client, call ^ (1ULL << 32)));
    sibling_say(s, " call=%uD", s->mc->cancel(s->client, call));
    ended = call;

    return NGX_OK;
}


/* A9: cancel, again, too late, one's own, and another's. */

static ngx_http_memcache_call_t  first, second;

static void
cancels(void *data, const ngx_http_memcache_result_t *result)
{
    sibling_t  *s = data;

    sibling_say(s, "first=%uD own=%uD", result->status, s->mc->cancel(s->client, first));
    sibling_say(s, " other=%uD", s->mc->cancel(s->client, second));
    sibling_say(s, " again=%uD", s->mc->cancel(s->client, second));
    ended = first;
}


static void
after_cancels(void *data, const ngx_http_memcache_result_t *result)
{
    sibling_t  *s = data;

    sibling_say(s, " last=%uD late=%uD ran=%ui", result->status, s->mc->cancel(s->client, ended), misuse_ran);
    sibling_finish(s);
}


ngx_int_t
misuse_a9(sibling_t *s)
{
    ngx_http_memcache_op_t  op;

    misuse_ran = 0;
    misuse_op(&op, NGX_HTTP_MEMCACHE_GET, "key", cancels, s);
    op.request = s->request;
    (void) s->mc->submit(s->client, &op, &first);
    misuse_op(&op, NGX_HTTP_MEMCACHE_GET, "key", misuse_count, &misuse_ran);
    op.request = s->request;
    (void) s->mc->submit(s->client, &op, &second);
    misuse_op(&op, NGX_HTTP_MEMCACHE_GET, "key", after_cancels, s);
    op.request = s->request;
    (void) s->mc->submit(s->client, &op, NULL);

    return NGX_AGAIN;
}


/* A10: submit in a handler, also where it is refused. */

static void
submits(void *data, const ngx_http_memcache_result_t *result)
{
    sibling_t               *s = data;
    ngx_uint_t               before;
    ngx_http_memcache_op_t   op;

    s->runs++;

    if (s->runs == 1000) {
        sibling_say(s, "last=%uD", result->status);
        sibling_finish(s);
        return;
    }

    before = s->runs;
    misuse_op(&op, NGX_HTTP_MEMCACHE_GET, "key", submits, s);
    op.request = s->request;

    if (s->mc->submit(s->client, &op, NULL) != NGX_HTTP_MEMCACHE_OK || s->runs != before) {
        sibling_say(s, "refused=%ui runs=%ui", before, s->runs);
        sibling_finish(s);
    }
}


ngx_int_t
misuse_a10(sibling_t *s)
{
    ngx_http_memcache_op_t  op;

    misuse_op(&op, NGX_HTTP_MEMCACHE_GET, "key", submits, s);
    op.request = s->request;

    return s->mc->submit(s->client, &op, NULL) == NGX_HTTP_MEMCACHE_OK ? NGX_AGAIN : NGX_ERROR;
}


/* A11: a handler that submits two for each that ended, until it is told to stop. */

static void
storms(void *data, const ngx_http_memcache_result_t *result)
{
    ngx_uint_t                       i;
    ngx_http_memcache_op_t           op;
    const ngx_http_memcache_api_t   *mc = data;

    (void) result;
    misuse_ran++;

    for (i = 0; i < 2 && !stop; i++) {
        misuse_op(&op, NGX_HTTP_MEMCACHE_GET, "key", storms, data);
        (void) mc->submit(misuse_known, &op, NULL);
    }
}


ngx_int_t
misuse_a11(sibling_t *s)
{
    ngx_http_memcache_op_t  op;

    misuse_ran = 0;
    stop = sibling_number(s->request, "stop", 0);
    misuse_known = s->client;

    if (!stop) {
        misuse_op(&op, NGX_HTTP_MEMCACHE_GET, "key", storms, (void *) s->mc);
        sibling_say(s, "%uD", s->mc->submit(s->client, &op, NULL));
    }

    return NGX_OK;
}


/* A12: the first handler ends the request that others are bound to. */

static void
ends(void *data, const ngx_http_memcache_result_t *result)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r = data;

    (void) result;
    c = r->connection;
    ngx_http_finalize_request(r, NGX_HTTP_NO_CONTENT);
    ngx_http_run_posted_requests(c);
}


ngx_int_t
misuse_a12(sibling_t *s)
{
    ngx_uint_t              i;
    ngx_http_memcache_op_t  op;

    misuse_ran = 0;
    misuse_op(&op, NGX_HTTP_MEMCACHE_GET, "key", ends, s->request);
    op.request = s->request;
    (void) s->mc->submit(s->client, &op, NULL);

    for (i = 0; i < 30; i++) {
        misuse_op(&op, NGX_HTTP_MEMCACHE_GET, "key", misuse_count, &misuse_ran);
        op.request = s->request;
        (void) s->mc->submit(s->client, &op, NULL);
    }

    return NGX_AGAIN;
}


/* A13: a handler that takes its time. */

static void
blocks(void *data, const ngx_http_memcache_result_t *result)
{
    ngx_msleep(300);
    misuse_said(data, result);
}


ngx_int_t
misuse_a13(sibling_t *s)
{
    ngx_uint_t              i;
    ngx_http_memcache_op_t  op;

    for (s->pending = 3, i = 0; i < 3; i++) {
        misuse_op(&op, NGX_HTTP_MEMCACHE_GET, "key", blocks, s);
        op.timeout = 10000;
        op.request = s->request;
        (void) s->mc->submit(s->client, &op, NULL);
    }

    return NGX_AGAIN;
}

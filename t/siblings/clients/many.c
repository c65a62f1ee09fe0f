/* Gets of many keys. */

#include "clients.h"


/* Says each result, and retains the values to see that they stay when the handler has returned. */
static void
answered(void *data, const ngx_http_memcache_result_t *const *results, ngx_uint_t n)
{
    size_t                       same;
    sibling_t                   *s = data;
    ngx_uint_t                   i, hits;
    ngx_http_memcache_value_t    value;
    ngx_http_memcache_result_t   copy;

    s->runs++;
    hits = 0;
    same = 0;

    for (i = 0; i < n; i++) {

        if (n <= 16) {
            sibling_say(s, "%uD:%V:%uD,", results[i]->status, &results[i]->value, results[i]->flags);
        }

        hits += (results[i]->status == NGX_HTTP_MEMCACHE_OK);

        if (results[i]->size == sizeof(ngx_http_memcache_result_t)
            && s->mc->retain(results[i], &value) == NGX_HTTP_MEMCACHE_OK)
        {
            same += (value.bytes.len == results[i]->value.len
                     && ngx_memcmp(value.bytes.data, results[i]->value.data, value.bytes.len) == 0);
            s->mc->release(&value);
        }
    }

    copy = *results[0];
    sibling_say(s, " n=%ui hits=%ui retained=%uz copy=%uD runs=%ui", n, hits, same, s->mc->retain(&copy, &value),
                s->runs);
    sibling_finish(s);
}


static ngx_int_t
get_many(sibling_t *s, ngx_str_t *keys, ngx_uint_t n, ngx_uint_t cancel)
{
    ngx_http_memcache_many_t     many;
    ngx_http_memcache_call_t     call;
    ngx_http_memcache_client_t  *client;
    ngx_http_memcache_status_t   status;

    if (clients_choose(s, &client) != NGX_OK) {
        return NGX_OK;
    }

    ngx_memzero(&many, sizeof(many));
    many.size = sizeof(many);
    many.op = sibling_number(s->request, "op", NGX_HTTP_MEMCACHE_GET);
    many.ttl = sibling_number(s->request, "ttl", 0);
    many.keys = keys;
    many.nkeys = n;
    many.timeout = sibling_number(s->request, "timeout", 0);
    many.handler = answered;
    many.data = s;
    many.request = s->request;

    status = s->mc->submit_many(client, &many, &call);

    if (s->runs != 0) {
        sibling_say(s, "the handler ran inside of submit_many()");
        return NGX_OK;
    }

    if (status != NGX_HTTP_MEMCACHE_OK) {
        sibling_say(s, "refused=%uD", status);
        return NGX_OK;
    }

    if (cancel) {
        status = s->mc->cancel(client, call);
        sibling_say(s, "cancelled=%uD again=%uD", status, s->mc->cancel(client, call));
        return NGX_OK;
    }

    return NGX_AGAIN;
}


ngx_int_t
clients_do_many(sibling_t *s)
{
    ngx_str_t   text, keys[64];

    (void) sibling_text(s->request, "keys", &text);

    return get_many(s, keys, clients_list(&text, keys, 64), 0);
}


ngx_int_t
clients_do_cancel(sibling_t *s)
{
    ngx_str_t   text, keys[64];

    (void) sibling_text(s->request, "keys", &text);

    return get_many(s, keys, clients_list(&text, keys, 64), 1);
}


ngx_int_t
clients_do_numbered(sibling_t *s)
{
    ngx_str_t   *keys;
    ngx_uint_t   i, n;

    n = sibling_number(s->request, "n", 0);
    keys = ngx_palloc(s->request->pool, (n + 1) * sizeof(ngx_str_t));

    for (i = 0; keys != NULL && i < n; i++) {
        keys[i].data = ngx_pnalloc(s->request->pool, 16);
        keys[i].len = ngx_sprintf(keys[i].data, "key%ui", i) - keys[i].data;
    }

    return get_many(s, keys, n, 0);
}

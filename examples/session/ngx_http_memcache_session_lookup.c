
/*
 * Looks up the session of a request, and renews it.
 *
 *   - A get that touches does both at once.  Some servers do not know it, such as
 *     twemproxy.  The module says so before it sends anything, and for each key,
 *     as each server is another one: these keys are read by a get, and the
 *     session that is found is touched.
 *   - Nothing is remembered of a server: it may be another one the next time.
 */

#include "ngx_http_memcache_session.h"


static void ngx_http_session_answered(void *data,
    const ngx_http_memcache_result_t *const *results, ngx_uint_t n);


/* The client of the cluster that the directive names, or of the request, for this module. */
static ngx_http_memcache_status_t
ngx_http_session_client(ngx_http_request_t *r, ngx_http_session_conf_t *conf,
    ngx_http_memcache_client_t **client)
{
    ngx_http_memcache_status_t  status;

    status = conf->cluster.len ? conf->mc->client_of_name(&conf->cluster, client)
                               : conf->mc->client_of_request(r, client);

    return status != NGX_HTTP_MEMCACHE_OK ? status
           : conf->mc->client_of_module(*client, &ngx_http_memcache_session_module, client);
}


static void
ngx_http_session_set(ngx_http_request_t *r, ngx_int_t index, u_char *data,
    size_t len)
{
    ngx_http_variable_value_t  *v = &r->variables[index];

    v->data = data;
    v->len = (unsigned) len;
    v->valid = 1;
    v->not_found = 0;
}


static ngx_int_t
ngx_http_session_found(ngx_http_request_t *r, ngx_http_session_conf_t *conf,
    u_char *id, const ngx_str_t *value)
{
    u_char  *p, *last, *in;

    p = last = ngx_pnalloc(r->pool, value->len + 1);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* it is passed on in headers, where a line end would start another one */
    for (in = value->data; in < value->data + value->len; in++) {
        if ((*in >= ' ' && *in != 0x7f) || *in == '\t') {
            *last++ = *in;
        }
    }

    ngx_http_session_set(r, conf->id, id, SESSION_ID_LEN);
    ngx_http_session_set(r, conf->value, p, last - p);
    ngx_http_session_set(r, conf->state, (u_char *) "found", 5);

    return NGX_DECLINED;
}


/* The keys of these IDs, in a buffer for all of them. */
static void
ngx_http_session_keys(ngx_http_session_conf_t *conf,
    ngx_http_session_ctx_t *ctx, ngx_str_t *keys, u_char *p)
{
    ngx_uint_t  i;

    for (i = 0; i < ctx->nasked; i++) {
        keys[i].data = p;
        keys[i].len = conf->prefix.len + SESSION_ID_LEN;
        p = ngx_cpymem(p, conf->prefix.data, conf->prefix.len);
        p = ngx_cpymem(p, ctx->ids[ctx->asked[i]], SESSION_ID_LEN);
    }
}


static ngx_int_t
ngx_http_session_ask(ngx_http_request_t *r, ngx_http_session_conf_t *conf,
    ngx_http_session_ctx_t *ctx, uint32_t op)
{
    u_char                       buf[SESSION_MAX_COOKIES * SESSION_MAX_KEY];
    ngx_str_t                    keys[SESSION_MAX_COOKIES];
    ngx_http_memcache_many_t     many;
    ngx_http_memcache_client_t  *client;

    ngx_http_session_keys(conf, ctx, keys, buf);

    ngx_memzero(&many, sizeof(many));
    many.size = sizeof(many);
    many.op = op;
    many.ttl = (uint32_t) conf->ttl;
    many.keys = keys;                   /* copied */
    many.nkeys = ctx->nasked;
    many.handler = ngx_http_session_answered;
    many.data = r;
    many.request = r;                   /* its end cancels the call */

    if (ngx_http_session_client(r, conf, &client) != NGX_HTTP_MEMCACHE_OK
        || conf->mc->submit_many(client, &many, NULL) != NGX_HTTP_MEMCACHE_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_session_touched(void *data, const ngx_http_memcache_result_t *result)
{
    ngx_http_session_conf_t  *conf = data;

    if (result->status == NGX_HTTP_MEMCACHE_UNSUPPORTED && !conf->kept) {
        conf->kept = 1;
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "memcache_session \"%V\" does not renew sessions, "
                      "they expire when the application says: %V",
                      &conf->cookie, &result->value);
    }
}


/*
 * Renews the session that a get has found.  The request does not wait for that,
 * and its end does not cancel it.
 */
static void
ngx_http_session_touch(ngx_http_request_t *r, ngx_http_session_conf_t *conf,
    ngx_http_session_ctx_t *ctx, ngx_uint_t id)
{
    u_char                       buf[SESSION_MAX_KEY];
    ngx_http_memcache_op_t       op;
    ngx_http_memcache_client_t  *client;

    ngx_memzero(&op, sizeof(op));
    op.size = sizeof(op);
    op.op = NGX_HTTP_MEMCACHE_TOUCH;
    op.options = NGX_HTTP_MEMCACHE_COUNT;
    op.ttl = (uint32_t) conf->ttl;
    op.handler = ngx_http_session_touched;
    op.data = conf;                     /* lives as long as the worker */
    op.request = r;

    ctx->asked[0] = id;
    ctx->nasked = 1;
    ngx_http_session_keys(conf, ctx, &op.key, buf);

    if (ngx_http_session_client(r, conf, &client) == NGX_HTTP_MEMCACHE_OK) {
        (void) conf->mc->submit(client, &op, NULL);
    }
}


static void
ngx_http_session_answered(void *data,
    const ngx_http_memcache_result_t *const *results, ngx_uint_t n)
{
    ngx_uint_t                i, id, nplain = 0;
    ngx_http_request_t       *r = data;
    ngx_connection_t         *c = r->connection;
    ngx_http_session_ctx_t   *ctx;
    ngx_http_session_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_memcache_session_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_memcache_session_module);

    if (ctx == NULL) {
        return;                         /* it was redirected meanwhile */
    }

    for (i = 0; i < n; i++) {
        id = ctx->asked[i];

        if (results[i]->status == NGX_HTTP_MEMCACHE_OK) {
            ctx->found = ngx_http_session_found(r, conf, ctx->ids[id],
                                                &results[i]->value);
            if (ctx->plain) {
                ngx_http_session_touch(r, conf, ctx, id);
            }
            break;                      /* the first that is known */
        }

        if (results[i]->status == NGX_HTTP_MEMCACHE_UNSUPPORTED && !ctx->plain)
        {
            ctx->asked[nplain++] = id;
            continue;
        }

        /* a server that stands in does not have the session */
        ctx->unknown |= results[i]->status != NGX_HTTP_MEMCACHE_MISS
                        || results[i]->stand_in;
    }

    if (nplain) {
        /* these servers cannot touch what they get: the two one by one */
        ctx->plain = 1;
        ctx->nasked = nplain;

        if (ngx_http_session_ask(r, conf, ctx, NGX_HTTP_MEMCACHE_GET)
            == NGX_OK)
        {
            return;
        }

        ctx->unknown = 1;
    }

    if (ctx->found != NGX_AGAIN) {
        ctx->rc = ctx->found;

    } else if (ctx->unknown) {
        ctx->rc = conf->failed;         /* the module logs the error */

    } else {
        ngx_http_session_set(r, conf->state, (u_char *) "none", 4);
        ctx->rc = NGX_DECLINED;
    }

    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}


/* The last of the preaccess phase.  It runs again when the answer has arrived. */
ngx_int_t
ngx_http_session_handler(ngx_http_request_t *r)
{
    ngx_http_session_ctx_t     *ctx;
    ngx_http_session_conf_t    *conf;
    ngx_http_variable_value_t  *state;

    ctx = ngx_http_get_module_ctx(r, ngx_http_memcache_session_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_memcache_session_module);

    if (ctx != NULL) {
        return ctx->rc;
    }

    if (conf->mc == NULL) {
        return NGX_DECLINED;
    }

    state = &r->variables[conf->state];

    if (state->valid) {
        /* after an internal redirect, and in a subrequest, the result remains,
         * but this location may require a session */
        return state->len == 7 && ngx_strncmp(state->data, "unknown", 7) == 0
               ? conf->failed : NGX_DECLINED;
    }

    if (r != r->main) {
        return NGX_DECLINED;
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_session_ctx_t));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_session_cookies(r, &conf->cookie, ctx);

    if (ctx->n == 0) {
        ngx_http_session_set(r, conf->state, (u_char *) "none", 4);
        return NGX_DECLINED;
    }

    ctx->found = NGX_AGAIN;

    for (ctx->nasked = 0; ctx->nasked < ctx->n; ctx->nasked++) {
        ctx->asked[ctx->nasked] = ctx->nasked;
    }

    /* until there is an answer */
    ngx_http_session_set(r, conf->state, (u_char *) "unknown", 7);

    if (ngx_http_session_ask(r, conf, ctx, NGX_HTTP_MEMCACHE_GAT) != NGX_OK) {
        return conf->failed;
    }

    ctx->rc = NGX_AGAIN;
    ngx_http_set_ctx(r, ctx, ngx_http_memcache_session_module);

    return NGX_AGAIN;
}

/*
 * A sibling that calls when its request is ending: in the log phase, and in handlers of http and pool cleanups. What is
 * said to it is a line in the error log.
 *
 *     ended [log] [cleanup] [pool] [before];      "before": it has had a call of the request before
 */

#include <ngx_http_memcache.h>


enum { IN_LOG = 1, IN_CLEANUP = 2, IN_POOL = 4, BEFORE = 8 };

typedef struct {
    ngx_uint_t  where;
} ended_conf_t;

typedef struct {
    ngx_http_request_t  *request;
    const char          *where;
} ended_t;


extern ngx_module_t  ngx_http_ended_module;


static void
ran(void *data, const ngx_http_memcache_result_t *result)
{
    (void) data;
    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0, "ended: a handler ran, %uD", result->status);
}


static void
many_ran(void *data, const ngx_http_memcache_result_t *const *results, ngx_uint_t n)
{
    (void) n;
    ran(data, results[0]);
}


static void
ignored(void *data, const ngx_http_memcache_result_t *result)
{
    (void) data;
    (void) result;
}


static void
many_ignored(void *data, const ngx_http_memcache_result_t *const *results, ngx_uint_t n)
{
    (void) data;
    (void) results;
    (void) n;
}


/* Tries each call that takes a request, bound to it, and as one that is only counted. */
static void
try_all(ngx_http_request_t *r, const char *where)
{
    ngx_str_t                        key;
    uint32_t                         statuses[4];
    ngx_uint_t                       i, good;
    ngx_http_memcache_op_t           op;
    ngx_http_memcache_many_t         many;
    ngx_http_memcache_status_t       found;
    ngx_http_memcache_client_t      *client;
    const ngx_http_memcache_api_t   *mc;

    if (ngx_http_memcache_api((ngx_cycle_t *) ngx_cycle, &mc) != NGX_HTTP_MEMCACHE_OK) {
        return;
    }

    found = mc->client_of_request(r, &client);

    for (i = 0; i < 4; i++) {

        /* good while the main request lives, and, once accepted, where it is only counted */
        good = r != r->main || i % 2;

        if (good) {
            ngx_str_set(&key, "living");

        } else {
            ngx_str_set(&key, "ended");
        }

        if (i < 2) {
            ngx_memzero(&op, sizeof(op));
            op.size = sizeof(op);
            op.op = NGX_HTTP_MEMCACHE_SET;
            op.key = key;
            op.value = key;
            op.handler = good ? ignored : ran;
            op.request = r;
            op.options = i % 2 ? NGX_HTTP_MEMCACHE_COUNT : 0;
            statuses[i] = mc->submit(client, &op, NULL);
            continue;
        }

        ngx_memzero(&many, sizeof(many));
        many.size = sizeof(many);
        many.op = NGX_HTTP_MEMCACHE_GET;
        many.keys = &key;
        many.nkeys = 1;
        many.handler = good ? many_ignored : many_ran;
        many.request = r;
        many.options = i % 2 ? NGX_HTTP_MEMCACHE_COUNT : 0;
        statuses[i] = mc->submit_many(client, &many, NULL);
    }

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0, "ended: %s%s check=%uD client=%uD submit=%uD,%uD many=%uD,%uD",
                  r == r->main ? "" : "subrequest ", where, mc->check_request(r), found, statuses[0], statuses[1],
                  statuses[2], statuses[3]);
}


static void
try_in_cleanup(void *data)
{
    ended_t  *e = data;

    try_all(e->request, e->where);
}


static ngx_int_t
ended_log(ngx_http_request_t *r)
{
    ended_conf_t  *conf = ngx_http_get_module_loc_conf(r, ngx_http_ended_module);

    if (conf->where & IN_LOG) {
        try_all(r, "log");
    }

    return NGX_OK;
}


static ngx_int_t
ended_rewrite(ngx_http_request_t *r)
{
    ended_t                         *e;
    ended_conf_t                    *conf = ngx_http_get_module_loc_conf(r, ngx_http_ended_module);
    ngx_pool_cleanup_t              *pcln;
    ngx_http_cleanup_t              *cln;
    ngx_http_memcache_op_t           op;
    ngx_http_memcache_client_t      *client;
    const ngx_http_memcache_api_t   *mc;

    if (conf->where & IN_CLEANUP) {
        e = ngx_palloc(r->pool, sizeof(ended_t));
        cln = ngx_http_cleanup_add(r, 0);
        e->request = r;
        e->where = "cleanup";
        cln->data = e;
        cln->handler = try_in_cleanup;
    }

    if (conf->where & IN_POOL) {
        pcln = ngx_pool_cleanup_add(r->pool, sizeof(ended_t));
        e = pcln->data;
        e->request = r;
        e->where = "pool";
        pcln->handler = try_in_cleanup;
    }

    if ((conf->where & BEFORE) && ngx_http_memcache_api((ngx_cycle_t *) ngx_cycle, &mc) == NGX_HTTP_MEMCACHE_OK
        && mc->client_of_request(r, &client) == NGX_HTTP_MEMCACHE_OK)
    {
        ngx_memzero(&op, sizeof(op));
        op.size = sizeof(op);
        op.op = NGX_HTTP_MEMCACHE_GET;
        ngx_str_set(&op.key, "before");
        op.handler = ignored;
        op.request = r;
        (void) mc->submit(client, &op, NULL);
    }

    return NGX_DECLINED;
}


static void *
ended_create(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ended_conf_t));
}


static char *
ended_merge(ngx_conf_t *cf, void *parent, void *child)
{
    ended_conf_t  *outer = parent, *inner = child;

    (void) cf;
    inner->where = inner->where ? inner->where : outer->where;

    return NGX_CONF_OK;
}


static char *
ended(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t     *words = cf->args->elts;
    ngx_uint_t     i;
    ended_conf_t  *c = conf;

    (void) cmd;

    for (i = 1; i < cf->args->nelts; i++) {
        switch (words[i].data[0]) {
        case 'l':
            c->where |= IN_LOG;
            break;
        case 'c':
            c->where |= IN_CLEANUP;
            break;
        case 'p':
            c->where |= IN_POOL;
            break;
        case 'b':
            c->where |= BEFORE;
            break;
        default:
            return "has a word that it does not know";
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ended_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    *h = ended_log;
    h = ngx_array_push(&cmcf->phases[NGX_HTTP_REWRITE_PHASE].handlers);
    *h = ended_rewrite;

    return NGX_OK;
}


static ngx_command_t  ended_commands[] = {
    { ngx_string("ended"), NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE, ended,
      NGX_HTTP_LOC_CONF_OFFSET, 0, NULL },
    ngx_null_command
};

static ngx_http_module_t  ended_ctx = {
    NULL, ended_init, NULL, NULL, NULL, NULL, ended_create, ended_merge
};

ngx_module_t  ngx_http_ended_module = {
    NGX_MODULE_V1, &ended_ctx, ended_commands, NGX_HTTP_MODULE, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};

ngx_module_t  *ngx_modules[] = { &ngx_http_ended_module, NULL };
char          *ngx_module_names[] = { "ngx_http_ended_module", NULL };
char          *ngx_module_order[] = { NULL };

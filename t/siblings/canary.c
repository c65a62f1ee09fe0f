/*
 * A sibling that uses memory after its end, for t/canary.pl: in nginx, in the module, or here, as the directive's
 * argument says; or one that forgets memory.
 */

#include <ngx_http_memcache.h>


static char *ngx_http_canary_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


static ngx_command_t  ngx_http_canary_commands[] = {
    { ngx_string("canary"), NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1, ngx_http_canary_directive, 0, 0, NULL },
    ngx_null_command
};


static ngx_http_module_t  ngx_http_canary_module_ctx = { NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL };


ngx_module_t  ngx_http_canary_module = {
    NGX_MODULE_V1,
    &ngx_http_canary_module_ctx,
    ngx_http_canary_commands,
    NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


ngx_module_t  *ngx_modules[] = { &ngx_http_canary_module, NULL };
char          *ngx_module_names[] = { "ngx_http_canary_module", NULL };
char          *ngx_module_order[] = { NULL };


/* Eight bytes of a pool that is gone. Pools' memory is nginx's to give back, so it must have told. */
static u_char *
stale_bytes(ngx_log_t *log)
{
    u_char      *bytes;
    ngx_pool_t  *pool;

    pool = ngx_create_pool(1024, log);

    if (pool == NULL) {
        return NULL;
    }

    bytes = ngx_pcalloc(pool, 8);
    ngx_destroy_pool(pool);

    return bytes;
}


static void
never_answered(void *data, const ngx_http_memcache_result_t *result)
{
    (void) data;
    (void) result;
}


static ngx_int_t
in_nginx(ngx_http_request_t *r)
{
    u_char  *bytes = stale_bytes(r->connection->log);

    return ngx_hash_key(bytes, 8) == 1 ? NGX_HTTP_NOT_FOUND : NGX_HTTP_NO_CONTENT;
}


static ngx_int_t
in_module(ngx_http_request_t *r)
{
    ngx_http_memcache_op_t          *op, *volatile stale;
    const ngx_http_memcache_api_t   *mc;
    ngx_http_memcache_client_t      *client;

    op = (ngx_http_memcache_op_t *) ngx_alloc(sizeof(*op), r->connection->log);

    if (op == NULL
        || ngx_http_memcache_api((ngx_cycle_t *) ngx_cycle, &mc) != NGX_HTTP_MEMCACHE_OK
        || mc->client_of_request(r, &client) != NGX_HTTP_MEMCACHE_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(op, sizeof(*op));
    op->size = sizeof(*op);
    op->op = NGX_HTTP_MEMCACHE_GET;
    op->handler = never_answered;
    stale = op;
    ngx_free(op);

    /* reads the size */
    return mc->submit(client, stale, NULL) == NGX_HTTP_MEMCACHE_OK ? NGX_HTTP_NOT_FOUND : NGX_HTTP_NO_CONTENT;
}


static ngx_int_t
in_sibling(ngx_http_request_t *r)
{
    volatile u_char  *bytes = stale_bytes(r->connection->log);

    return bytes[3] == 1 ? NGX_HTTP_NOT_FOUND : NGX_HTTP_NO_CONTENT;
}


static ngx_int_t
forgets(ngx_http_request_t *r)
{
    u_char *volatile  bytes = ngx_alloc(1000, r->connection->log);

    bytes = NULL;

    return bytes == NULL ? NGX_HTTP_NO_CONTENT : NGX_HTTP_NOT_FOUND;
}


static char *
ngx_http_canary_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                 *place;
    ngx_http_core_loc_conf_t  *clcf;

    (void) cmd;
    (void) conf;

    place = (ngx_str_t *) cf->args->elts + 1;
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (ngx_strcmp(place->data, "nginx") == 0) {
        clcf->handler = in_nginx;

    } else if (ngx_strcmp(place->data, "module") == 0) {
        clcf->handler = in_module;

    } else if (ngx_strcmp(place->data, "sibling") == 0) {
        clcf->handler = in_sibling;

    } else if (ngx_strcmp(place->data, "leak") == 0) {
        clcf->handler = forgets;

    } else {
        return "has an unknown place";
    }

    return NGX_CONF_OK;
}

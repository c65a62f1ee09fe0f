
/*
 * Sessions in memcached: a cookie names the item "session:ID", which lives on
 * with each request.  Who comes without one gets a new session, an empty one.
 */

#include <ngx_http_memcache.h>
#include <sys/random.h>

#define ID_LEN  32                      /* 128 random bits, in hexadecimal */

typedef struct {
    const ngx_http_memcache_api_t  *mc;
    ngx_str_t                       cookie;
    ngx_int_t                       cookie_index, id_index, value_index;
    time_t                          ttl;
    ngx_int_t                       failed;     /* what a failure comes to */
} ngx_http_session_conf_t;

typedef struct {
    ngx_int_t                       rc;         /* NGX_AGAIN: wait for it */
    ngx_uint_t                      added;      /* it is a new session */
    u_char                          id[ID_LEN + 1];
} ngx_http_session_ctx_t;

extern ngx_module_t  ngx_http_memcache_session_module;

static void ngx_http_session_answered(void *data,
    const ngx_http_memcache_result_t *result);


/* Reads the session, or adds one under an ID that nobody can guess. */
static ngx_int_t
ngx_http_session_submit(ngx_http_request_t *r, ngx_http_session_ctx_t *ctx,
    ngx_http_session_conf_t *conf)
{
    u_char                       bits[ID_LEN / 2], key[64];
    ngx_http_memcache_op_t       op;
    ngx_http_memcache_client_t  *client;

    if (ctx->added) {
        if (getrandom(bits, sizeof(bits), 0) != sizeof(bits)) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_hex_dump(ctx->id, bits, sizeof(bits));
    }

    ngx_memzero(&op, sizeof(op));
    op.size = sizeof(op);
    op.op = ctx->added ? NGX_HTTP_MEMCACHE_ADD : NGX_HTTP_MEMCACHE_GAT;
    op.key.data = key;                  /* copied, as a value would be */
    op.key.len = ngx_sprintf(key, "session:%s", ctx->id) - key;
    op.ttl = (uint32_t) conf->ttl;
    op.handler = ngx_http_session_answered;
    op.data = r;
    op.request = r;                     /* the call ends with it */

    if (conf->mc->client_of_request(r, &client) != NGX_HTTP_MEMCACHE_OK
        || conf->mc->submit(client, &op, NULL) != NGX_HTTP_MEMCACHE_OK)
    {
        return conf->failed;
    }

    return NGX_AGAIN;
}


/* In the access phase, and there again when the answer has come. */
static ngx_int_t
ngx_http_session_handler(ngx_http_request_t *r)
{
    ngx_http_session_ctx_t     *ctx;
    ngx_http_session_conf_t    *conf;
    ngx_http_variable_value_t  *v;

    ctx = ngx_http_get_module_ctx(r, ngx_http_memcache_session_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_memcache_session_module);

    /* variables, unlike contexts, survive an internal redirect */
    if (ctx != NULL || conf->mc == NULL || r != r->main
        || r->variables[conf->id_index].valid)
    {
        return ctx ? ctx->rc : NGX_DECLINED;
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_session_ctx_t));
    v = ngx_http_get_indexed_variable(r, conf->cookie_index);
    if (ctx == NULL || v == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* of what a client says, only what may be an ID becomes a key */
    if (v->valid && v->len == ID_LEN) {
        ngx_memcpy(ctx->id, v->data, ID_LEN);
    }

    ctx->added = (strspn((char *) ctx->id, "0123456789abcdef") != ID_LEN);
    ctx->rc = ngx_http_session_submit(r, ctx, conf);
    ngx_http_set_ctx(r, ctx, ngx_http_memcache_session_module);

    return ctx->rc;
}


static void
ngx_http_session_set(ngx_http_variable_value_t *v, u_char *data, size_t len)
{
    v->data = data;
    v->len = (unsigned) len;
    v->valid = 1;
    v->not_found = 0;
}


static ngx_int_t
ngx_http_session_found(ngx_http_request_t *r, ngx_http_session_ctx_t *ctx,
    ngx_http_session_conf_t *conf, const ngx_str_t *value)
{
    u_char           *p;
    ngx_table_elt_t  *h;

    p = ngx_pnalloc(r->pool, value->len + conf->cookie.len + 128);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_session_set(&r->variables[conf->id_index], ctx->id, ID_LEN);
    ngx_http_session_set(&r->variables[conf->value_index], p, value->len);
    p = ngx_cpymem(p, value->data, value->len);

    if (ctx->added) {
        h = ngx_list_push(&r->headers_out.headers);
        if (h == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_memzero(h, sizeof(ngx_table_elt_t));
        h->hash = 1;
        ngx_str_set(&h->key, "Set-Cookie");
        h->value.data = p;
        h->value.len = ngx_sprintf(p, "%V=%s; Path=/; Secure; HttpOnly; "
                                   "SameSite=Lax", &conf->cookie, ctx->id) - p;
    }

    return NGX_DECLINED;
}


static void
ngx_http_session_answered(void *data, const ngx_http_memcache_result_t *result)
{
    ngx_http_request_t       *r = data;
    ngx_connection_t         *c = r->connection;
    ngx_http_session_ctx_t   *ctx;
    ngx_http_session_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_memcache_session_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_memcache_session_module);

    if (result->status == NGX_HTTP_MEMCACHE_OK) {
        ctx->rc = ngx_http_session_found(r, ctx, conf, &result->value);

    } else if (result->status == NGX_HTTP_MEMCACHE_MISS && !ctx->added) {
        ctx->added = 1;
        ctx->rc = ngx_http_session_submit(r, ctx, conf);

    } else {
        ctx->rc = conf->failed;         /* the error log says why, once */
    }

    ngx_http_core_run_phases(r);        /* on NGX_AGAIN it waits again */
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_session_unset(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    v->not_found = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_session_index(ngx_conf_t *cf, const char *name)
{
    ngx_str_t             s = { ngx_strlen(name), (u_char *) name };
    ngx_http_variable_t  *v;

    v = ngx_http_add_variable(cf, &s, NGX_HTTP_VAR_CHANGEABLE);
    if (v == NULL) {
        return NGX_ERROR;
    }

    v->get_handler = ngx_http_session_unset;

    return ngx_http_get_variable_index(cf, &s);
}


/* memcache_session cookie [time [optional]] */
static char *
ngx_http_session(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                 name, *value = cf->args->elts;
    ngx_http_session_conf_t  *scf = conf;

    if (scf->mc != NULL) {
        return "is duplicate";
    }

    if (ngx_http_memcache_api(cf->cycle, &scf->mc) != NGX_HTTP_MEMCACHE_OK) {
        return "needs ngx_http_memcache_module, which is not loaded or too old";
    }

    if (scf->mc->require(cf) != NGX_HTTP_MEMCACHE_OK) {
        return "cannot be used here";
    }

    scf->cookie = value[1];
    scf->ttl = cf->args->nelts > 2 ? ngx_parse_time(&value[2], 1) : 1800;
    scf->failed = cf->args->nelts > 3 ? NGX_DECLINED
                                      : NGX_HTTP_SERVICE_UNAVAILABLE;

    if (scf->ttl == (time_t) NGX_ERROR || scf->ttl == 0) {
        return "has an invalid time, it must be 1s or longer";
    }

    if (cf->args->nelts > 3 && ngx_strcmp(value[3].data, "optional") != 0) {
        return "has an invalid parameter, there is \"optional\"";
    }

    name.data = ngx_pnalloc(cf->pool, sizeof("cookie_") + value[1].len);
    if (name.data == NULL) {
        return NGX_CONF_ERROR;
    }

    name.len = ngx_sprintf(name.data, "cookie_%V", &value[1]) - name.data;
    scf->cookie_index = ngx_http_get_variable_index(cf, &name);
    scf->id_index = ngx_http_session_index(cf, "memcache_session_id");
    scf->value_index = ngx_http_session_index(cf, "memcache_session");

    return scf->cookie_index < 0 || scf->id_index < 0 || scf->value_index < 0
           ? NGX_CONF_ERROR : NGX_CONF_OK;
}


static void *
ngx_http_session_create_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_session_conf_t));
}


static char *
ngx_http_session_merge_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_session_conf_t  *prev = parent, *conf = child;

    if (conf->mc == NULL) {
        *conf = *prev;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_session_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_session_handler;

    return NGX_OK;
}


static ngx_command_t  ngx_http_session_commands[] = {
    { ngx_string("memcache_session"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE123,
      ngx_http_session, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL },
    ngx_null_command
};

static ngx_http_module_t  ngx_http_session_module_ctx = {
    NULL, ngx_http_session_init, NULL, NULL, NULL, NULL,
    ngx_http_session_create_conf, ngx_http_session_merge_conf
};

ngx_module_t  ngx_http_memcache_session_module = {
    NGX_MODULE_V1, &ngx_http_session_module_ctx, ngx_http_session_commands,
    NGX_HTTP_MODULE, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};

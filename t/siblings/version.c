/*
 * A sibling that says what it finds: for t/version.t, which compiles it with headers of other versions.
 */

#include <ngx_http_memcache.h>


static ngx_int_t
version_handler(ngx_http_request_t *r)
{
    u_char                          *text;
    ngx_http_complex_value_t         cv;
    const ngx_http_memcache_api_t   *mc;

    text = ngx_pnalloc(r->pool, 64);

    if (text == NULL || ngx_http_discard_request_body(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&cv, sizeof(cv));
    cv.value.data = text;
    cv.value.len = ngx_sprintf(text, "%uD", ngx_http_memcache_api((ngx_cycle_t *) ngx_cycle, &mc)) - text;
    cv.value.len = ngx_sprintf(text + cv.value.len, " %s", mc == NULL ? "none" : "there") - text;

    return ngx_http_send_response(r, NGX_HTTP_OK, NULL, &cv);
}


static char *
version(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = version_handler;

    return NGX_CONF_OK;
}


static ngx_command_t  version_commands[] = {
    { ngx_string("version"), NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS, version, 0, 0, NULL },
    ngx_null_command
};

static ngx_http_module_t  version_ctx;

ngx_module_t  ngx_http_version_module = {
    NGX_MODULE_V1, &version_ctx, version_commands, NGX_HTTP_MODULE, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};

ngx_module_t  *ngx_modules[] = { &ngx_http_version_module, NULL };
char          *ngx_module_names[] = { "ngx_http_version_module", NULL };
char          *ngx_module_order[] = { NULL };

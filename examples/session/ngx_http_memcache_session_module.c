
/*
 * Sessions in memcached: a cookie names the item "session:ID", or one with
 * another prefix.  Each request renews the item's time to live.
 *
 *   - The session of a client with a cookie is read before the access phase, in
 *     which other modules may use it.
 *   - An application that begins a session, or renews its ID at login, uses the
 *     ID that it is offered.  It stores an item with this ID, and sends a header
 *     in its answer.  A filter turns the header into the cookie.
 *   - An ID that memcached does not have is no session.
 */

#include "ngx_http_memcache_session.h"


/* characters of a cookie's name */
#define TOKEN        "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz" \
                     "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


/* memcache_session cookie [time] [prefix=text] [cluster=name] [required], or off */
static char *
ngx_http_session(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                *value = cf->args->elts;
    ngx_uint_t                i, n = cf->args->nelts, prefixed = 0;
    ngx_http_session_conf_t  *scf = conf;
    ngx_http_variable_t      *v = ngx_http_session_variables;

    if (scf->set) {
        return "is duplicate";
    }

    scf->set = 1;

    if (ngx_http_session_is(&value[1], "off")) {
        return n == 2 ? NGX_CONF_OK : "has a parameter beside \"off\"";
    }

    if (ngx_http_memcache_api(cf->cycle, &scf->mc) != NGX_HTTP_MEMCACHE_OK) {
        return "needs ngx_http_memcache_module, which is not loaded or too old";
    }

    if (ngx_http_session_is(&value[1], "on")) {
        return "needs the name of a cookie in place of \"on\"";
    }

    if (value[1].len == 0
        || strspn((char *) value[1].data, TOKEN) != value[1].len)
    {
        return "has an invalid name of a cookie";
    }

    scf->cookie = value[1];
    scf->ttl = 1800;
    ngx_str_set(&scf->prefix, SESSION_PREFIX);
    scf->failed = NGX_DECLINED;

    for (i = 2; i < n; i++) {
        if (i == n - 1 && ngx_http_session_is(&value[i], "required")) {
            /* elsewhere it would also apply to files and to the status */
            if (cf->cmd_type != NGX_HTTP_LOC_CONF) {
                return "has \"required\" outside of a location";
            }

            scf->failed = NGX_HTTP_SERVICE_UNAVAILABLE;
            continue;
        }

        if (ngx_strncmp(value[i].data, "prefix=", 7) == 0 && !prefixed) {
            prefixed = 1;
            scf->prefix.data = value[i].data + 7;
            scf->prefix.len = value[i].len - 7;

            if (scf->prefix.len > SESSION_MAX_PREFIX) {
                return "has a \"prefix\" of more than 128 bytes";
            }

            if (ngx_strlchr(scf->prefix.data,
                            scf->prefix.data + scf->prefix.len, '$'))
            {
                return "takes no variables in \"prefix\"";
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "cluster=", 8) == 0
            && value[i].len > 8 && scf->cluster.len == 0)
        {
            scf->cluster.data = value[i].data + 8;
            scf->cluster.len = value[i].len - 8;
            continue;
        }

        scf->ttl = i == 2 ? ngx_parse_time(&value[i], 1) : 0;
        if (scf->ttl == (time_t) NGX_ERROR || scf->ttl == 0
            || scf->ttl > NGX_MAX_INT32_VALUE)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in \"%V\" directive, there are "
                               "a time from 1s to 68y, \"prefix=\", \"cluster=\" "
                               "and \"required\", in this order",
                               &value[i], &cmd->name);
            return NGX_CONF_ERROR;
        }
    }

    if ((scf->cluster.len ? scf->mc->require_name(cf, &scf->cluster)
                          : scf->mc->require(cf)) != NGX_HTTP_MEMCACHE_OK)
    {
        return "cannot be used here";
    }

    scf->value = ngx_http_get_variable_index(cf, &v[0].name);
    scf->id = ngx_http_get_variable_index(cf, &v[1].name);
    scf->state = ngx_http_get_variable_index(cf, &v[2].name);
    scf->offer = ngx_http_get_variable_index(cf, &v[3].name);

    return (scf->value | scf->id | scf->state | scf->offer) < 0 ? NGX_CONF_ERROR
                                                                : NGX_CONF_OK;
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

    if (!conf->set) {
        *conf = *prev;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_session_init(ngx_conf_t *cf)
{
    ngx_array_t                *handlers;
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    /*
     * Before the access phase, so that handlers there can use the session,
     * whatever the order of the modules.  The first of the list is called last,
     * so requests that "limit_req" refuses do not look up a session.
     */
    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    handlers = &cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers;
    if (ngx_array_push(handlers) == NULL) {
        return NGX_ERROR;
    }

    h = handlers->elts;
    ngx_memmove(h + 1, h, (handlers->nelts - 1) * sizeof(ngx_http_handler_pt));
    *h = ngx_http_session_handler;

    return ngx_http_session_filter_init(cf);
}


static ngx_command_t  ngx_http_session_commands[] = {
    { ngx_string("memcache_session"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_session, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL },
    ngx_null_command
};

static ngx_http_module_t  ngx_http_session_module_ctx = {
    ngx_http_session_add_variables, ngx_http_session_init, NULL, NULL, NULL, NULL,
    ngx_http_session_create_conf, ngx_http_session_merge_conf
};

ngx_module_t  ngx_http_memcache_session_module = {
    NGX_MODULE_V1, &ngx_http_session_module_ctx, ngx_http_session_commands,
    NGX_HTTP_MODULE, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};

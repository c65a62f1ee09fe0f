
/* The variables, as they are before the session is known. */

#include "ngx_http_memcache_session.h"
#include <sys/random.h>


/* $memcache_session_new: an ID that nobody can guess, one for each request. */
static ngx_int_t
ngx_http_session_offer(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char  bits[SESSION_ID_LEN / 2];

    v->data = ngx_pnalloc(r->pool, SESSION_ID_LEN);
    if (v->data == NULL || getrandom(bits, sizeof(bits), 0) != sizeof(bits)) {
        return NGX_ERROR;
    }

    ngx_hex_dump(v->data, bits, sizeof(bits));
    v->len = SESSION_ID_LEN;
    v->valid = 1;

    return NGX_OK;
}


/*
 * The others, until the session is known.  A variable that is read before that
 * is empty; this is logged once for each location.
 */
static ngx_int_t
ngx_http_session_unset(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_http_session_conf_t  *conf;

    v->not_found = 1;
    conf = ngx_http_get_module_loc_conf(r, ngx_http_memcache_session_module);

    if (conf->mc == NULL || r != r->main || r->variables[conf->state].valid
        || r->headers_out.status != 0 || conf->early)
    {
        return NGX_OK;
    }

    conf->early = 1;
    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "a variable of \"memcache_session\" is read, and empty, "
                  "before the session is known: by \"set\", \"if\", "
                  "\"limit_req\", \"limit_conn\" or the like; this is logged "
                  "once for each location and worker");

    return NGX_OK;
}


ngx_http_variable_t  ngx_http_session_variables[] = {
    { ngx_string("memcache_session"), NULL, ngx_http_session_unset, 0, 0, 0 },
    { ngx_string("memcache_session_id"), NULL, ngx_http_session_unset,
      0, 0, 0 },
    { ngx_string("memcache_session_state"), NULL, ngx_http_session_unset,
      0, 0, 0 },
    { ngx_string("memcache_session_new"), NULL, ngx_http_session_offer,
      0, 0, 0 },
    { ngx_null_string, NULL, NULL, 0, 0, 0 }
};


ngx_int_t
ngx_http_session_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *v, *added;

    for (v = ngx_http_session_variables; v->name.len; v++) {
        added = ngx_http_add_variable(cf, &v->name, v->flags);
        if (added == NULL) {
            return NGX_ERROR;
        }

        added->get_handler = v->get_handler;
    }

    return NGX_OK;
}


/*
 * The cookie: the one that a client sends, and the one that it gets when the
 * application begins a session.
 */

#include "ngx_http_memcache_session.h"

/* A position in a list of headers. */
typedef struct {
    ngx_list_part_t  *part;
    ngx_uint_t        i;
} ngx_http_session_at_t;

static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


/* The next header of this name in the list. */
static ngx_table_elt_t *
ngx_http_session_next(ngx_http_session_at_t *at, const char *name)
{
    ngx_table_elt_t  *h;

    for ( /* void */ ; at->part; at->part = at->part->next, at->i = 0) {
        while (at->i < at->part->nelts) {
            h = (ngx_table_elt_t *) at->part->elts + at->i++;

            if (h->key.len == ngx_strlen(name)
                && ngx_strncasecmp(h->key.data, (u_char *) name, h->key.len)
                   == 0)
            {
                return h;
            }
        }
    }

    return NULL;
}


ngx_uint_t
ngx_http_session_is(const ngx_str_t *text, const char *other)
{
    return text->len == ngx_strlen(other)
           && ngx_memcmp(text->data, other, text->len) == 0;
}


/*
 * Collects the cookies of this name.  There may be one of this path, one of the
 * domain, and others that an attacker has set.  Only a value that may be an ID
 * becomes a key.
 */
static void
ngx_http_session_cookies_of(ngx_str_t *header, ngx_str_t *name,
    ngx_http_session_ctx_t *ctx)
{
    u_char  *id, *last, *p = header->data, *end = p + header->len;

    for ( /* void */ ; p < end && ctx->n < SESSION_MAX_COOKIES; p = last + 1) {
        while (p < end && *p == ' ') {
            p++;
        }

        last = ngx_strlchr(p, end, ';');
        if (last == NULL) {
            last = end;
        }

        id = p + name->len + 1;
        if (last - p != (ssize_t) name->len + 1 + SESSION_ID_LEN
            || id[-1] != '=' || ngx_memcmp(p, name->data, name->len) != 0)
        {
            continue;
        }

        for (p = id; p < last; p++) {
            if ((*p < '0' || *p > '9') && (*p < 'a' || *p > 'f')) {
                break;
            }
        }

        if (p == last) {
            ngx_memcpy(ctx->ids[ctx->n++], id, SESSION_ID_LEN);
        }
    }
}


void
ngx_http_session_cookies(ngx_http_request_t *r, ngx_str_t *name,
    ngx_http_session_ctx_t *ctx)
{
    ngx_table_elt_t        *h;
    ngx_http_session_at_t   at = { &r->headers_in.headers.part, 0 };

    while ((h = ngx_http_session_next(&at, "Cookie")) != NULL) {
        ngx_http_session_cookies_of(&h->value, name, ctx);
    }
}


/*
 * Whether the application begins a session.  Its header is removed from the
 * response.  "new" does not replace a session that exists, or that is unknown
 * while its server is down; "renew", at login, does.
 */
static ngx_uint_t
ngx_http_session_begins(ngx_http_request_t *r, ngx_http_session_conf_t *conf)
{
    ngx_uint_t                  begins = 0;
    ngx_table_elt_t            *h;
    ngx_http_session_at_t       at = { &r->headers_out.headers.part, 0 };
    ngx_http_variable_value_t  *v = &r->variables[conf->state];
    ngx_str_t                   state = { v->valid ? v->len : 0, v->data };

    while ((h = ngx_http_session_next(&at, "X-Accel-Session")) != NULL) {
        begins |= ngx_http_session_is(&h->value, "renew")
                  || (ngx_http_session_is(&h->value, "new")
                      && ngx_http_session_is(&state, "none"));
        h->hash = 0;
    }

#if (NGX_HTTP_CACHE)
    if (r->cached) {
        return 0;                   /* from the cache: for another client */
    }
#endif

    if (begins && !r->variables[conf->offer].valid) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "\"X-Accel-Session\" of an application that was not given "
                      "$memcache_session_new");
        return 0;
    }

    return begins;
}


static ngx_int_t
ngx_http_session_push(ngx_http_request_t *r, const char *name, u_char *value,
    size_t len)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));
    h->hash = 1;
    h->key.len = ngx_strlen(name);
    h->key.data = (u_char *) name;
    h->value.len = len;
    h->value.data = value;

    return NGX_OK;
}


static ngx_int_t
ngx_http_session_header_filter(ngx_http_request_t *r)
{
    u_char                     *p;
    ngx_table_elt_t            *h;
    ngx_http_session_at_t       at = { &r->headers_out.headers.part, 0 };
    ngx_http_session_conf_t    *conf;
    ngx_http_variable_value_t  *id;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_memcache_session_module);

    if (conf->mc == NULL || r != r->main || !ngx_http_session_begins(r, conf)) {
        return ngx_http_next_header_filter(r);
    }

    /*
     * Only the client with the cookie may get this response.  Headers that
     * "expires" and "add_header" add later do not make it less private.
     */
    while ((h = ngx_http_session_next(&at, "Cache-Control")) != NULL) {
        h->hash = 0;
    }

    id = &r->variables[conf->offer];
    p = ngx_pnalloc(r->pool, conf->cookie.len + id->len + 64);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_session_push(r, "Set-Cookie", p,
            ngx_sprintf(p, "%V=%v; Path=/; Secure; HttpOnly; SameSite=Lax",
                        &conf->cookie, id) - p)
        != NGX_OK
        || ngx_http_session_push(r, "Cache-Control",
               (u_char *) "private, no-store", sizeof("private, no-store") - 1)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_next_header_filter(r);
}


ngx_int_t
ngx_http_session_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_session_header_filter;

    return NGX_OK;
}


/* What the files of this module have in common. */

#ifndef _NGX_HTTP_MEMCACHE_SESSION_H_INCLUDED_
#define _NGX_HTTP_MEMCACHE_SESSION_H_INCLUDED_

#include <ngx_http_memcache.h>

#define SESSION_ID_LEN       32     /* 128 random bits, in hexadecimal */
#define SESSION_MAX_COOKIES  8      /* of the name, that are looked up */
#define SESSION_PREFIX       "session:"     /* unless "prefix=" is set */
#define SESSION_MAX_PREFIX   128
#define SESSION_MAX_KEY      (SESSION_MAX_PREFIX + SESSION_ID_LEN)

typedef struct {
    const ngx_http_memcache_api_t  *mc;         /* NULL: "off" */
    ngx_str_t                       cookie;
    ngx_str_t                       prefix;     /* of the keys */
    ngx_str_t                       cluster;    /* empty: that of the request */
    time_t                          ttl;
    ngx_uint_t                      set;
    ngx_int_t                       failed;     /* result of a failed lookup */
    ngx_uint_t                      early;      /* it was logged: see unset() */
    ngx_uint_t                      kept;       /* it was logged: no touch */

    /*
     * Variables: they hold the state of a request, since contexts do not
     * survive an internal redirect.
     */
    ngx_int_t                       value;      /* $memcache_session */
    ngx_int_t                       id;         /* $memcache_session_id */
    ngx_int_t                       state;      /* $memcache_session_state */
    ngx_int_t                       offer;      /* $memcache_session_new */
} ngx_http_session_conf_t;

typedef struct {
    ngx_int_t                       rc;         /* NGX_AGAIN: wait for it */
    ngx_int_t                       found;      /* NGX_AGAIN: none so far */
    ngx_uint_t                      unknown;    /* a server did not tell */
    ngx_uint_t                      plain;      /* they are asked by get */
    ngx_uint_t                      nasked;
    ngx_uint_t                      asked[SESSION_MAX_COOKIES];  /* of ids */
    ngx_uint_t                      n;
    u_char                          ids[SESSION_MAX_COOKIES][SESSION_ID_LEN];
} ngx_http_session_ctx_t;

extern ngx_module_t         ngx_http_memcache_session_module;
extern ngx_http_variable_t  ngx_http_session_variables[];

void ngx_http_session_cookies(ngx_http_request_t *r, ngx_str_t *name,
    ngx_http_session_ctx_t *ctx);
ngx_uint_t ngx_http_session_is(const ngx_str_t *text, const char *other);
ngx_int_t ngx_http_session_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_session_add_variables(ngx_conf_t *cf);
ngx_int_t ngx_http_session_filter_init(ngx_conf_t *cf);

#endif /* _NGX_HTTP_MEMCACHE_SESSION_H_INCLUDED_ */

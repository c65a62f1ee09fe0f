
/* What the two files of this module have in common. */

#ifndef _NGX_HTTP_MEMCACHE_SESSION_H_INCLUDED_
#define _NGX_HTTP_MEMCACHE_SESSION_H_INCLUDED_

#include <ngx_http_memcache.h>

#define NGX_HTTP_SESSION_ID_LEN       32    /* 128 random bits, in hexadecimal */
#define NGX_HTTP_SESSION_MAX_COOKIES  8     /* that are looked for, of the name */

typedef struct {
    const ngx_http_memcache_api_t  *mc;         /* NULL: "off" */
    ngx_str_t                       cookie;
    time_t                          ttl;
    ngx_uint_t                      set;
    ngx_int_t                       failed;     /* what a failure comes to */

    /*
     * Variables: what is known of a request is in them, as they, unlike
     * contexts, survive an internal redirect.
     */
    ngx_int_t                       value;      /* $memcache_session */
    ngx_int_t                       id;         /* $memcache_session_id */
    ngx_int_t                       state;      /* $memcache_session_state */
    ngx_int_t                       offer;      /* $memcache_session_new */
} ngx_http_session_conf_t;

/* A place in a list of headers. */
typedef struct {
    ngx_list_part_t                *part;
    ngx_uint_t                      i;
} ngx_http_session_at_t;

extern ngx_module_t  ngx_http_memcache_session_module;

ngx_table_elt_t *ngx_http_session_next(ngx_http_session_at_t *at,
    const char *name);
ngx_uint_t ngx_http_session_is(const ngx_str_t *text, const char *other);
ngx_int_t ngx_http_session_filter_init(ngx_conf_t *cf);

#endif /* _NGX_HTTP_MEMCACHE_SESSION_H_INCLUDED_ */

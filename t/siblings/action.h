/* What an action of a sibling has to work with, also in a file of its own. */

#ifndef SIBLING_ACTION_H
#define SIBLING_ACTION_H

#include <ngx_http_memcache.h>


typedef struct {
    ngx_http_request_t              *request;
    const ngx_http_memcache_api_t   *mc;
    ngx_http_memcache_client_t      *client;
    u_char                          *text, *last, *end;
    ngx_uint_t                       pending;   /* handlers that have to run before the answer */
    ngx_uint_t                       runs;      /* handlers that have run */
    void                            *state;     /* the action's own */
} sibling_t;


/* NGX_OK: the answer is complete; NGX_AGAIN: sibling_finish() will be called */
typedef ngx_int_t (*sibling_action_pt)(sibling_t *s);

typedef struct {
    const char         *name;
    sibling_action_pt   action;
} sibling_action_t;


static ngx_inline ngx_int_t
sibling_text(ngx_http_request_t *r, const char *name, ngx_str_t *text)
{
    ngx_str_null(text);

    return ngx_http_arg(r, (u_char *) name, ngx_strlen(name), text);
}


/* A decimal number; with a "-" in front of it, what is so much below 0 in 64 bits. */
static ngx_inline uint64_t
sibling_number(ngx_http_request_t *r, const char *name, uint64_t otherwise)
{
    size_t     i;
    uint64_t   n;
    ngx_str_t  text;

    if (sibling_text(r, name, &text) != NGX_OK || text.len == 0) {
        return otherwise;
    }

    n = 0;

    for (i = (text.data[0] == '-'); i < text.len; i++) {
        n = n * 10 + (text.data[i] - '0');
    }

    return text.data[0] == '-' ? 0 - n : n;
}


static ngx_inline void
sibling_say(sibling_t *s, const char *format, ...)
{
    va_list  args;

    va_start(args, format);
    s->last = ngx_vslprintf(s->last, s->end, format, args);
    va_end(args);
}


static ngx_inline ngx_int_t
sibling_send(sibling_t *s)
{
    ngx_http_complex_value_t  cv;

    ngx_memzero(&cv, sizeof(cv));
    cv.value.len = s->last - s->text;
    cv.value.data = s->text;

    return ngx_http_send_response(s->request, NGX_HTTP_OK, NULL, &cv);
}


/* From a handler of the module, or any other event. */
static ngx_inline void
sibling_finish(sibling_t *s)
{
    ngx_connection_t  *c;

    c = s->request->connection;
    ngx_http_finalize_request(s->request, sibling_send(s));
    ngx_http_run_posted_requests(c);
}

#endif

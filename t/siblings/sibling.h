/*
 * What the siblings of the tests have in common: a content handler that does what the argument "do" of a request names,
 * and says what came of it, "name=number" by "name=number".
 *
 * A sibling defines sibling_actions, a list with an empty name at its end, and names itself by SIBLING(name), which is
 * also its directive.
 */

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


static sibling_action_t  sibling_actions[];


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


static ngx_int_t
sibling_handler(ngx_http_request_t *r)
{
    ngx_int_t          rc;
    ngx_str_t          name;
    sibling_t         *s;
    sibling_action_t  *action;

    s = ngx_pcalloc(r->pool, sizeof(sibling_t));
    rc = ngx_http_discard_request_body(r);

    if (s == NULL || rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s->request = r;
    s->text = ngx_pnalloc(r->pool, 65536);
    s->last = s->text;
    s->end = s->text + 65536;

    if (s->text == NULL || ngx_http_memcache_api((ngx_cycle_t *) ngx_cycle, &s->mc) != NGX_HTTP_MEMCACHE_OK) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    (void) s->mc->client_of_request(r, &s->client);
    (void) sibling_text(r, "do", &name);

    for (action = sibling_actions; action->name != NULL; action++) {

        if (ngx_strlen(action->name) != name.len || ngx_strncmp(action->name, name.data, name.len) != 0) {
            continue;
        }

        rc = action->action(s);

        if (rc == NGX_AGAIN) {
            r->main->count++;
            return NGX_DONE;
        }

        return rc == NGX_OK ? sibling_send(s) : rc;
    }

    return NGX_HTTP_NOT_FOUND;
}


static ngx_inline char *
sibling_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    (void) cmd;
    (void) conf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = sibling_handler;

    return NGX_CONF_OK;
}


/* A module with these commands, context, and functions for the start of the master, and of a process, and for its end. */
#define SIBLING_WITH(name, commands, ctx, init_module, init_process, exit_process)                                       \
    ngx_module_t  ngx_http_##name##_module = {                                                                           \
        NGX_MODULE_V1, ctx, commands, NGX_HTTP_MODULE, NULL, init_module, init_process, NULL, NULL, exit_process, NULL,  \
        NGX_MODULE_V1_PADDING                                                                                            \
    };                                                                                                                   \
                                                                                                                         \
    ngx_module_t  *ngx_modules[] = { &ngx_http_##name##_module, NULL };                                                  \
    char          *ngx_module_names[] = { "ngx_http_" #name "_module", NULL };                                           \
    char          *ngx_module_order[] = { NULL }

#define SIBLING(name)                                                                                                    \
    static ngx_command_t  sibling_commands[] = {                                                                         \
        { ngx_string(#name), NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS, sibling_directive, 0, 0, NULL },                         \
        ngx_null_command                                                                                                 \
    };                                                                                                                   \
                                                                                                                         \
    static ngx_http_module_t  sibling_ctx;                                                                               \
                                                                                                                         \
    SIBLING_WITH(name, sibling_commands, &sibling_ctx, NULL, NULL, NULL)

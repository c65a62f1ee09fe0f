/*
 * What the siblings of the tests have in common: a content handler that does what the argument "do" of a request names,
 * and says what came of it, "name=number" by "name=number".
 *
 * A sibling defines sibling_actions, a list with an empty name at its end, and names itself by SIBLING(name), which is
 * also its directive.
 */

#include "action.h"


static sibling_action_t  sibling_actions[];


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

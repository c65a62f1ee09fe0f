/*
 * A sibling that uses clients of the configuration, subsets, and gets of many keys, for t/clients.t and t/many.t.
 *
 * "clients_conf label" keeps the context of its block under that label. When the process starts, the label is stored as
 * the value of the key "init" through the client of each block: before the module starts, if the sibling is loaded
 * first. The client of the label "late" is not asked for before a request does.
 *
 * "clients_cluster name" requires the memcache_cluster of this name.
 *
 *     do=conf         the client of the block called "label"
 *     do=subset       the number of servers of a subset, and what they are
 *     do=all          makes "n" subsets of one server each
 *     do=where        which server has "key"
 *     do=store        stores "value" under "key"
 *     do=many         gets the keys from "keys", which are divided by commas; "op", "ttl", "timeout"
 *     do=numbered     gets "n" keys, "key0" and so on
 *     do=cancel       the same as many, and cancels it
 *
 * All of them do so with the client of the request, or of the block called "label", or of the memcache_cluster called
 * "cluster", and if there is "servers", with the subset of it that has these, divided by commas.
 */

#include "sibling.h"
#include "clients/clients.h"


#define MAX_BLOCKS  8

typedef struct {
    ngx_uint_t            n;
    ngx_str_t             labels[MAX_BLOCKS];
    ngx_http_conf_ctx_t  *ctx[MAX_BLOCKS];
    uint32_t              status[MAX_BLOCKS];   /* of the store when the process started */
} clients_main_conf_t;


static void *clients_create_main_conf(ngx_conf_t *cf);
static char *clients_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *clients_cluster(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static ngx_int_t clients_init_module(ngx_cycle_t *cycle);
static ngx_int_t clients_init_process(ngx_cycle_t *cycle);


static ngx_command_t  clients_commands[] = {

    { ngx_string("clients"), NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS, sibling_directive, 0, 0, NULL },

    { ngx_string("clients_conf"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_HTTP_UPS_CONF|NGX_CONF_TAKE1,
      clients_conf, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL },

    { ngx_string("clients_cluster"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      clients_cluster, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL },

    ngx_null_command
};

static ngx_http_module_t  clients_ctx = { NULL, NULL, clients_create_main_conf, NULL, NULL, NULL, NULL, NULL };

SIBLING_WITH(clients, clients_commands, &clients_ctx, clients_init_module, clients_init_process, NULL);


static void *
clients_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(clients_main_conf_t));
}


static char *
clients_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t            *value = cf->args->elts;
    clients_main_conf_t  *cmcf = conf;

    (void) cmd;

    if (cmcf->n == MAX_BLOCKS) {
        return "is too often there";
    }

    cmcf->labels[cmcf->n] = value[1];
    cmcf->ctx[cmcf->n++] = cf->ctx;

    return NGX_CONF_OK;
}


static char *
clients_cluster(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                       *value = cf->args->elts;
    const ngx_http_memcache_api_t   *mc;

    (void) cmd;
    (void) conf;

    if (ngx_http_memcache_api(cf->cycle, &mc) != NGX_HTTP_MEMCACHE_OK
        || mc->require_name(cf, &value[1]) != NGX_HTTP_MEMCACHE_OK)
    {
        return "is refused";
    }

    return NGX_CONF_OK;
}


/* Not in a worker: there is no client for any block, whatever the order. */
static ngx_int_t
clients_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t                       i;
    clients_main_conf_t             *cmcf;
    ngx_http_memcache_client_t      *client;
    const ngx_http_memcache_api_t   *mc;

    cmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_clients_module);

    if (ngx_http_memcache_api(cycle, &mc) != NGX_HTTP_MEMCACHE_OK) {
        return NGX_ERROR;
    }

    for (i = 0; cmcf != NULL && i < cmcf->n; i++) {
        client = (ngx_http_memcache_client_t *) cmcf;

        if (mc->client_of_conf(cmcf->ctx[i], &client) != NGX_HTTP_MEMCACHE_NOT_AVAILABLE || client != NULL) {
            ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "a client in the master");
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
stored(void *data, const ngx_http_memcache_result_t *result)
{
    *(uint32_t *) data = result->status;
}


static ngx_int_t
clients_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                       i;
    clients_main_conf_t             *cmcf;
    ngx_http_memcache_op_t           op;
    ngx_http_memcache_client_t      *client;
    const ngx_http_memcache_api_t   *mc;

    cmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_clients_module);
    (void) ngx_http_memcache_api(cycle, &mc);

    for (i = 0; cmcf != NULL && i < cmcf->n; i++) {
        if (cmcf->labels[i].len == 4 && ngx_memcmp(cmcf->labels[i].data, "late", 4) == 0) {
            continue;
        }

        ngx_memzero(&op, sizeof(op));
        op.size = sizeof(op);
        op.op = NGX_HTTP_MEMCACHE_SET;
        ngx_str_set(&op.key, "init");
        op.value = cmcf->labels[i];
        op.handler = stored;
        op.data = &cmcf->status[i];

        cmcf->status[i] = mc->client_of_conf(cmcf->ctx[i], &client);

        if (cmcf->status[i] == NGX_HTTP_MEMCACHE_OK) {
            cmcf->status[i] = 1000 + mc->submit(client, &op, NULL);
        }
    }

    return NGX_OK;
}


/* What is divided by commas; at most n of them. */
ngx_uint_t
clients_list(ngx_str_t *text, ngx_str_t *items, ngx_uint_t n)
{
    u_char      *p, *last, *comma;
    ngx_uint_t   i;

    p = text->data;
    last = p + text->len;

    for (i = 0; i < n; i++) {
        comma = ngx_strlchr(p, last, ',');
        items[i].data = p;
        items[i].len = (comma ? comma : last) - p;

        if (comma == NULL) {
            return i + 1;
        }

        p = comma + 1;
    }

    return n;
}


/* Says the status of what did not work. */
ngx_int_t
clients_choose(sibling_t *s, ngx_http_memcache_client_t **client)
{
    ngx_str_t                    text, items[64];
    ngx_uint_t                   i, n, servers[64];
    clients_main_conf_t         *cmcf;
    ngx_http_memcache_status_t   status;

    cmcf = ngx_http_get_module_main_conf(s->request, ngx_http_clients_module);
    *client = s->client;

    if (sibling_text(s->request, "label", &text) == NGX_OK) {

        for (i = 0; i < cmcf->n; i++) {
            if (cmcf->labels[i].len == text.len && ngx_strncmp(cmcf->labels[i].data, text.data, text.len) == 0) {
                break;
            }
        }

        if (i == cmcf->n) {
            return NGX_ERROR;
        }

        status = s->mc->client_of_conf(cmcf->ctx[i], client);

        if (status != NGX_HTTP_MEMCACHE_OK) {
            sibling_say(s, "refused=%uD start=%uD", status, cmcf->status[i]);
            return NGX_ERROR;
        }

        sibling_say(s, "start=%uD same=%ui ", cmcf->status[i], (ngx_uint_t) (*client == s->client));
    }

    if (sibling_text(s->request, "cluster", &text) == NGX_OK) {
        status = s->mc->client_of_name(&text, client);

        if (status != NGX_HTTP_MEMCACHE_OK) {
            sibling_say(s, "refused=%uD null=%ui", status, (ngx_uint_t) (*client == NULL));
            return NGX_ERROR;
        }
    }

    if (sibling_text(s->request, "servers", &text) == NGX_OK) {
        n = clients_list(&text, items, 64);

        for (i = 0; i < n; i++) {
            servers[i] = ngx_atoi(items[i].data, items[i].len);
        }

        status = s->mc->subset(*client, servers, text.len ? n : 0, client);

        if (status != NGX_HTTP_MEMCACHE_OK) {
            sibling_say(s, "refused=%uD null=%ui", status, (ngx_uint_t) (*client == NULL));
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
do_conf(sibling_t *s)
{
    ngx_http_memcache_client_t  *client;

    if (clients_choose(s, &client) == NGX_OK) {
        sibling_say(s, "servers=%ui", s->mc->servers(client));
    }

    return NGX_OK;
}


static ngx_int_t
do_where(sibling_t *s)
{
    ngx_str_t                    key;
    ngx_uint_t                   index;
    ngx_http_memcache_client_t  *client;
    ngx_http_memcache_status_t   status;

    if (clients_choose(s, &client) != NGX_OK) {
        return NGX_OK;
    }

    (void) sibling_text(s->request, "key", &key);
    index = 4711;
    status = s->mc->server_of_key(client, &key, &index);
    sibling_say(s, "status=%uD index=%ui", status, index);

    return NGX_OK;
}


static void
one_stored(void *data, const ngx_http_memcache_result_t *result)
{
    sibling_t  *s = data;

    sibling_say(s, "status=%uD", result->status);
    sibling_finish(s);
}


static ngx_int_t
do_store(sibling_t *s)
{
    ngx_http_memcache_op_t       op;
    ngx_http_memcache_client_t  *client;
    ngx_http_memcache_status_t   status;

    if (clients_choose(s, &client) != NGX_OK) {
        return NGX_OK;
    }

    ngx_memzero(&op, sizeof(op));
    op.size = sizeof(op);
    op.op = NGX_HTTP_MEMCACHE_SET;
    (void) sibling_text(s->request, "key", &op.key);
    (void) sibling_text(s->request, "value", &op.value);
    op.handler = one_stored;
    op.data = s;
    op.request = s->request;

    status = s->mc->submit(client, &op, NULL);

    if (status != NGX_HTTP_MEMCACHE_OK) {
        sibling_say(s, "refused=%uD", status);
        return NGX_OK;
    }

    return NGX_AGAIN;
}


static sibling_action_t  sibling_actions[] = {
    { "conf", do_conf },
    { "subset", clients_do_subset },
    { "all", clients_do_all },
    { "where", do_where },
    { "store", do_store },
    { "many", clients_do_many },
    { "cancel", clients_do_cancel },
    { "numbered", clients_do_numbered },
    { NULL, NULL }
};

/*
 * A sibling that misuses the interface, or uses it in a surprising way, for t/misuse.t. Each row of the list of misuse
 * has an action of its name. Here are those about where a function is called from; misuse/ has the others.
 */

#include "sibling.h"
#include "misuse/misuse.h"

#include <sys/wait.h>


ngx_uint_t                   misuse_ran;
u_char                       misuse_bytes[MISUSE_BYTES];
ngx_http_memcache_client_t  *misuse_known;


void
misuse_op(ngx_http_memcache_op_t *op, uint32_t what, const char *key, ngx_http_memcache_handler_pt handler, void *data)
{
    ngx_memzero(op, sizeof(ngx_http_memcache_op_t));
    op->size = sizeof(ngx_http_memcache_op_t);
    op->op = what;
    op->key.data = (u_char *) key;
    op->key.len = ngx_strlen(key);
    op->handler = handler;
    op->data = data;
}


void
misuse_count(void *data, const ngx_http_memcache_result_t *result)
{
    (void) result;
    ++*(ngx_uint_t *) data;
}


/* Answers the request when as many handlers have run as were to be waited for. */
void
misuse_said(void *data, const ngx_http_memcache_result_t *result)
{
    sibling_t  *s = data;

    s->runs++;
    sibling_say(s, " %uD", result->status);

    if (s->runs == s->pending) {
        sibling_finish(s);
    }
}


/*
 * Every function of the table, from where none may be called, or with a client that is none. What they say, one number
 * for each; those that say no status say how much there is of something.
 */
u_char *
misuse_call_all(u_char *p, u_char *last, const ngx_http_memcache_api_t *mc, ngx_http_memcache_client_t *client,
    ngx_http_request_t *r, ngx_http_conf_ctx_t *ctx)
{
    ngx_str_t                     key = ngx_string("key");
    ngx_uint_t                    index;
    ngx_http_memcache_op_t        op;
    ngx_http_memcache_call_t      call;
    ngx_http_memcache_many_t      many;
    ngx_http_memcache_value_t     value;
    ngx_http_memcache_client_t   *other;
    ngx_http_memcache_server_t    server;
    ngx_http_memcache_result_t    result;

    index = 0;
    ngx_memzero(&value, sizeof(value));
    ngx_memzero(&result, sizeof(result));
    ngx_memzero(&server, sizeof(server));
    server.size = sizeof(server);
    misuse_op(&op, NGX_HTTP_MEMCACHE_SET, "key", misuse_count, &misuse_ran);
    ngx_memzero(&many, sizeof(many));
    many.size = sizeof(many);
    many.op = NGX_HTTP_MEMCACHE_GET;
    many.keys = &key;
    many.nkeys = 1;
    many.handler = (ngx_http_memcache_many_handler_pt) (void *) misuse_count;
    many.data = &misuse_ran;

    if (r != NULL) {
        p = ngx_slprintf(p, last, "request=%uD ", mc->client_of_request(r, &other));
    }

    if (ctx != NULL) {
        p = ngx_slprintf(p, last, "conf=%uD ", mc->client_of_conf(ctx, &other));
    }

    p = ngx_slprintf(p, last, "submit=%uD many=%uD cancel=%uD", mc->submit(client, &op, &call),
                     mc->submit_many(client, &many, &call), mc->cancel(client, 1));
    p = ngx_slprintf(p, last, " servers=%ui server=%uD max=%uz enabled=%uD", mc->servers(client),
                     mc->server(client, 0, &server), mc->max_value(client), mc->set_enabled(client, 0, 0));
    p = ngx_slprintf(p, last, " subset=%uD key=%uD retain=%uD", mc->subset(client, &index, 1, &other),
                     mc->server_of_key(client, &key, &index), mc->retain(&result, &value));
    mc->release(&value);
    mc->release(NULL);

    return p;
}


/* A2, A3, A19: where there is no client. */

static ngx_int_t
log_all(ngx_cycle_t *cycle, ngx_log_t *log, const char *where, ngx_http_conf_ctx_t *ctx)
{
    u_char                          text[512];
    const ngx_http_memcache_api_t  *mc;

    if (ngx_http_memcache_api(cycle, &mc) != NGX_HTTP_MEMCACHE_OK) {
        return NGX_ERROR;
    }

    *misuse_call_all(text, text + sizeof(text) - 1, mc, (ngx_http_memcache_client_t *) misuse_bytes, NULL, ctx) = '\0';
    ngx_log_error(NGX_LOG_WARN, log, 0, "misuse in %s: %s", where, text);

    return NGX_OK;
}


static ngx_int_t
in_postconfiguration(ngx_conf_t *cf)
{
    const ngx_http_memcache_api_t  *mc;

    if (ngx_http_memcache_api(cf->cycle, &mc) == NGX_HTTP_MEMCACHE_OK) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0, "misuse without a directive: require=%uD", mc->require(cf));
    }

    return log_all(cf->cycle, cf->log, "postconfiguration", cf->ctx);
}


static ngx_int_t
in_init_module(ngx_cycle_t *cycle)
{
    return log_all(cycle, cycle->log, "init_module", NULL);
}


static ngx_int_t
in_init_process(ngx_cycle_t *cycle)
{
    return ngx_process == NGX_PROCESS_HELPER ? log_all(cycle, cycle->log, "helper", NULL) : NGX_OK;
}


static void
late(void *data, const ngx_http_memcache_result_t *result)
{
    (void) data;
    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0, "misuse: handler ran, %uD", result->status);
}


static void
in_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_memcache_op_t          op;
    const ngx_http_memcache_api_t  *mc;

    if (misuse_known == NULL || ngx_http_memcache_api(cycle, &mc) != NGX_HTTP_MEMCACHE_OK) {
        return;
    }

    misuse_op(&op, NGX_HTTP_MEMCACHE_SET, "exit", late, NULL);
    ngx_log_error(NGX_LOG_WARN, cycle->log, 0, "misuse in exit_process: %uD", mc->submit(misuse_known, &op, NULL));
}


static ngx_int_t
a19(sibling_t *s)
{
    ngx_http_memcache_op_t  op;

    misuse_known = s->client;
    misuse_op(&op, NGX_HTTP_MEMCACHE_GET, "key", late, NULL);
    sibling_say(s, "%uD", s->mc->submit(s->client, &op, NULL));

    return NGX_OK;
}


/* A4: another thread, and another process. */

static void
in_thread(void *data, ngx_log_t *log)
{
    sibling_t  *s = *(sibling_t **) data;

    (void) log;
    s->last = misuse_call_all(s->last, s->end, s->mc, s->client, s->request, NULL);
}


static void
after_thread(ngx_event_t *event)
{
    sibling_finish(event->data);
}


static ngx_int_t
a4(sibling_t *s)
{
    ngx_str_t           name = ngx_string("default");
    ngx_thread_task_t  *task;
    ngx_thread_pool_t  *pool;

    pool = ngx_thread_pool_get((ngx_cycle_t *) ngx_cycle, &name);
    task = ngx_thread_task_alloc(s->request->pool, sizeof(sibling_t *));

    if (pool == NULL || task == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    *(sibling_t **) task->ctx = s;
    task->handler = in_thread;
    task->event.handler = after_thread;
    task->event.data = s;

    return ngx_thread_task_post(pool, task) == NGX_OK ? NGX_AGAIN : NGX_ERROR;
}


static ngx_int_t
a4_fork(sibling_t *s)
{
    int      fd[2];
    pid_t    pid;
    u_char   text[512], *last;
    ssize_t  n;

    if (pipe(fd) == -1) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    pid = fork();

    if (pid == 0) {
        last = misuse_call_all(text, text + sizeof(text), s->mc, s->client, s->request, NULL);
        n = write(fd[1], text, last - text);
        _exit(n > 0 ? 0 : 1);
    }

    close(fd[1]);
    n = read(fd[0], text, sizeof(text));
    close(fd[0]);
    waitpid(pid, NULL, 0);

    sibling_say(s, "%*s", (size_t) ngx_max(n, 0), text);

    return NGX_OK;
}


static sibling_action_t  sibling_actions[] = {
    { "a4", a4 }, { "a4_fork", a4_fork }, { "a6", misuse_a6 }, { "ran", misuse_show_ran }, { "a7", misuse_a7 },
    { "a8", misuse_a8 }, { "a9", misuse_a9 }, { "a10", misuse_a10 }, { "a11", misuse_a11 }, { "a12", misuse_a12 },
    { "a13", misuse_a13 }, { "a16", misuse_a16 }, { "a16_later", misuse_a16_later }, { "a17", misuse_a17 },
    { "a19", a19 }, { "a22", misuse_a22 }, { "a23", misuse_a23 }, { "other", misuse_other }, { NULL, NULL }
};


static ngx_command_t  misuse_commands[] = {
    { ngx_string("misuse"), NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS, sibling_directive, 0, 0, NULL },
    ngx_null_command
};

static ngx_http_module_t  misuse_ctx = { NULL, in_postconfiguration, NULL, NULL, NULL, NULL, NULL, NULL };

SIBLING_WITH(misuse, misuse_commands, &misuse_ctx, in_init_module, in_init_process, in_exit_process);

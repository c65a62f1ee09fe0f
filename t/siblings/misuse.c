/*
 * A sibling that does what the contract forbids, or allows to one's surprise, for t/misuse.t: an action for each row of
 * the list of misuse, called after it.
 */

#include "sibling.h"

#include <sys/wait.h>


static ngx_uint_t   ran;          /* handlers that ran for nobody's request */
static ngx_uint_t   stop;
static u_char       bytes[2 * 1024 * 1024];


static void
op_init(ngx_http_memcache_op_t *op, uint32_t what, const char *key, ngx_http_memcache_handler_pt handler, void *data)
{
    ngx_memzero(op, sizeof(ngx_http_memcache_op_t));
    op->size = sizeof(ngx_http_memcache_op_t);
    op->op = what;
    op->key.data = (u_char *) key;
    op->key.len = ngx_strlen(key);
    op->handler = handler;
    op->data = data;
}


static void
count(void *data, const ngx_http_memcache_result_t *result)
{
    (void) result;
    ++*(ngx_uint_t *) data;
}


/* Answers the request when as many handlers have run as were to be waited for. */
static void
said(void *data, const ngx_http_memcache_result_t *result)
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
static u_char *
call_all(u_char *p, u_char *last, const ngx_http_memcache_api_t *mc, ngx_http_memcache_client_t *client,
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
    op_init(&op, NGX_HTTP_MEMCACHE_SET, "key", count, &ran);
    ngx_memzero(&many, sizeof(many));
    many.size = sizeof(many);
    many.op = NGX_HTTP_MEMCACHE_GET;
    many.keys = &key;
    many.nkeys = 1;
    many.handler = (ngx_http_memcache_many_handler_pt) (void *) count;
    many.data = &ran;

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

    *call_all(text, text + sizeof(text) - 1, mc, (ngx_http_memcache_client_t *) bytes, NULL, ctx) = '\0';
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


static ngx_http_memcache_client_t  *known;     /* of the last request */

static void
in_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_memcache_op_t          op;
    const ngx_http_memcache_api_t  *mc;

    if (known == NULL || ngx_http_memcache_api(cycle, &mc) != NGX_HTTP_MEMCACHE_OK) {
        return;
    }

    op_init(&op, NGX_HTTP_MEMCACHE_SET, "exit", late, NULL);
    ngx_log_error(NGX_LOG_WARN, cycle->log, 0, "misuse in exit_process: %uD", mc->submit(known, &op, NULL));
}


static ngx_int_t
a19(sibling_t *s)
{
    ngx_http_memcache_op_t  op;

    known = s->client;
    op_init(&op, NGX_HTTP_MEMCACHE_GET, "key", late, NULL);
    sibling_say(s, "%uD", s->mc->submit(s->client, &op, NULL));

    return NGX_OK;
}


/* A4: another thread, and another process. */

static void
in_thread(void *data, ngx_log_t *log)
{
    sibling_t  *s = *(sibling_t **) data;

    (void) log;
    s->last = call_all(s->last, s->end, s->mc, s->client, s->request, NULL);
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
        last = call_all(text, text + sizeof(text), s->mc, s->client, s->request, NULL);
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


/* A6: the caller's memory goes, and its request. */

static ngx_int_t
a6(sibling_t *s)
{
    u_char                  *key, *value;
    ngx_http_memcache_op_t   op;

    key = ngx_alloc(9, s->request->connection->log);
    value = ngx_alloc(100000, s->request->connection->log);
    ngx_memcpy(key, "outlives", 9);
    ngx_memset(value, 'v', 100000);

    op_init(&op, NGX_HTTP_MEMCACHE_SET, (char *) key, count, &ran);
    op.value.data = value;
    op.value.len = 100000;

    ran = 0;
    sibling_say(s, "submit=%uD ran=%ui", s->mc->submit(s->client, &op, NULL), ran);

    ngx_memset(key, 'x', 9);
    ngx_memset(value, 'x', 100000);
    ngx_memset(&op, 0xff, sizeof(op));
    ngx_free(key);
    ngx_free(value);

    return NGX_OK;
}


static ngx_int_t
show_ran(sibling_t *s)
{
    sibling_say(s, "ran=%ui", ran);

    return NGX_OK;
}


/* A7: a request ends while its calls are under way; it never answers. */

static ngx_int_t
a7(sibling_t *s)
{
    ngx_uint_t              i;
    ngx_http_memcache_op_t  op;

    ran = 0;

    for (i = 0; i < 40; i++) {
        op_init(&op, i % 2 ? NGX_HTTP_MEMCACHE_GET : NGX_HTTP_MEMCACHE_SET, "a7", count, &ran);
        op.request = s->request;

        if (s->mc->submit(s->client, &op, NULL) != NGX_HTTP_MEMCACHE_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    s->request->read_event_handler = ngx_http_test_reading;

    return NGX_AGAIN;
}


/* A8: handles that are none. */

static ngx_http_memcache_call_t  ended;

static ngx_int_t
a8(sibling_t *s)
{
    size_t                       i;
    u_char                      *at;
    ngx_http_memcache_op_t       op;
    ngx_http_memcache_call_t     call;
    ngx_http_memcache_client_t  *clients[9];

    at = (u_char *) s->client;
    clients[0] = NULL;
    clients[1] = (void *) 1;
    clients[2] = (void *) -1;
    clients[3] = (void *) bytes;
    clients[4] = (void *) &op;
    clients[5] = (void *) (at + 3);
    clients[6] = (void *) (at + NGX_HTTP_MEMCACHE_MAX_SUBSETS);
    clients[7] = (void *) (at + NGX_HTTP_MEMCACHE_MAX_SUBSETS + 1);
    clients[8] = (void *) (at - 1);

    for (i = 0; i < 9; i++) {
        s->last = call_all(s->last, s->end, s->mc, clients[i], NULL, NULL);
        sibling_say(s, "\n");
    }

    /* numbers of calls: of none, of one that has ended, and its neighbours */
    op_init(&op, NGX_HTTP_MEMCACHE_GET, "key", count, &ran);
    (void) s->mc->submit(s->client, &op, &call);
    sibling_say(s, "calls=%uD,%uD,%uD,%uD,%uD,%uD", s->mc->cancel(s->client, 0), s->mc->cancel(s->client, 1),
                s->mc->cancel(s->client, (uint64_t) -1), s->mc->cancel(s->client, ended),
                s->mc->cancel(s->client, call + 1), s->mc->cancel(s->client, call ^ (1ULL << 32)));
    sibling_say(s, " call=%uD", s->mc->cancel(s->client, call));
    ended = call;

    return NGX_OK;
}


/* A9: cancel, again, too late, one's own, and another's. */

static ngx_http_memcache_call_t  first, second;

static void
cancels(void *data, const ngx_http_memcache_result_t *result)
{
    sibling_t  *s = data;

    sibling_say(s, "first=%uD own=%uD", result->status, s->mc->cancel(s->client, first));
    sibling_say(s, " other=%uD", s->mc->cancel(s->client, second));
    sibling_say(s, " again=%uD", s->mc->cancel(s->client, second));
    ended = first;
}


static void
after_cancels(void *data, const ngx_http_memcache_result_t *result)
{
    sibling_t  *s = data;

    sibling_say(s, " last=%uD late=%uD ran=%ui", result->status, s->mc->cancel(s->client, ended), ran);
    sibling_finish(s);
}


static ngx_int_t
a9(sibling_t *s)
{
    ngx_http_memcache_op_t  op;

    ran = 0;
    op_init(&op, NGX_HTTP_MEMCACHE_GET, "key", cancels, s);
    op.request = s->request;
    (void) s->mc->submit(s->client, &op, &first);
    op_init(&op, NGX_HTTP_MEMCACHE_GET, "key", count, &ran);
    op.request = s->request;
    (void) s->mc->submit(s->client, &op, &second);
    op_init(&op, NGX_HTTP_MEMCACHE_GET, "key", after_cancels, s);
    op.request = s->request;
    (void) s->mc->submit(s->client, &op, NULL);

    return NGX_AGAIN;
}


/* A10: submit in a handler, also where it is refused. */

static void
submits(void *data, const ngx_http_memcache_result_t *result)
{
    sibling_t               *s = data;
    ngx_uint_t               before;
    ngx_http_memcache_op_t   op;

    s->runs++;

    if (s->runs == 1000) {
        sibling_say(s, "last=%uD", result->status);
        sibling_finish(s);
        return;
    }

    before = s->runs;
    op_init(&op, NGX_HTTP_MEMCACHE_GET, "key", submits, s);
    op.request = s->request;

    if (s->mc->submit(s->client, &op, NULL) != NGX_HTTP_MEMCACHE_OK || s->runs != before) {
        sibling_say(s, "refused=%ui runs=%ui", before, s->runs);
        sibling_finish(s);
    }
}


static ngx_int_t
a10(sibling_t *s)
{
    ngx_http_memcache_op_t  op;

    op_init(&op, NGX_HTTP_MEMCACHE_GET, "key", submits, s);
    op.request = s->request;

    return s->mc->submit(s->client, &op, NULL) == NGX_HTTP_MEMCACHE_OK ? NGX_AGAIN : NGX_ERROR;
}


/* A11: a handler that submits two for each that ended, until it is told to stop. */

static void
storms(void *data, const ngx_http_memcache_result_t *result)
{
    ngx_uint_t                       i;
    ngx_http_memcache_op_t           op;
    const ngx_http_memcache_api_t   *mc = data;

    (void) result;
    ran++;

    for (i = 0; i < 2 && !stop; i++) {
        op_init(&op, NGX_HTTP_MEMCACHE_GET, "key", storms, data);
        (void) mc->submit(known, &op, NULL);
    }
}


static ngx_int_t
a11(sibling_t *s)
{
    ngx_http_memcache_op_t  op;

    ran = 0;
    stop = sibling_number(s->request, "stop", 0);
    known = s->client;

    if (!stop) {
        op_init(&op, NGX_HTTP_MEMCACHE_GET, "key", storms, (void *) s->mc);
        sibling_say(s, "%uD", s->mc->submit(s->client, &op, NULL));
    }

    return NGX_OK;
}


/* A12: the first handler ends the request that others are bound to. */

static void
ends(void *data, const ngx_http_memcache_result_t *result)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r = data;

    (void) result;
    c = r->connection;
    ngx_http_finalize_request(r, NGX_HTTP_NO_CONTENT);
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
a12(sibling_t *s)
{
    ngx_uint_t              i;
    ngx_http_memcache_op_t  op;

    ran = 0;
    op_init(&op, NGX_HTTP_MEMCACHE_GET, "key", ends, s->request);
    op.request = s->request;
    (void) s->mc->submit(s->client, &op, NULL);

    for (i = 0; i < 30; i++) {
        op_init(&op, NGX_HTTP_MEMCACHE_GET, "key", count, &ran);
        op.request = s->request;
        (void) s->mc->submit(s->client, &op, NULL);
    }

    return NGX_AGAIN;
}


/* A13: a handler that takes its time. */

static void
blocks(void *data, const ngx_http_memcache_result_t *result)
{
    ngx_msleep(300);
    said(data, result);
}


static ngx_int_t
a13(sibling_t *s)
{
    ngx_uint_t              i;
    ngx_http_memcache_op_t  op;

    for (s->pending = 3, i = 0; i < 3; i++) {
        op_init(&op, NGX_HTTP_MEMCACHE_GET, "key", blocks, s);
        op.timeout = 10000;
        op.request = s->request;
        (void) s->mc->submit(s->client, &op, NULL);
    }

    return NGX_AGAIN;
}


/* A16: values beyond their handler. */

static ngx_http_memcache_value_t          kept[3];
static const ngx_http_memcache_result_t  *gone;

static void
retains(void *data, const ngx_http_memcache_result_t *result)
{
    sibling_t                   *s = data;
    ngx_http_memcache_value_t    value;
    ngx_http_memcache_result_t   copy = *result;

    gone = result;
    sibling_say(s, "retain=%uD again=%uD", s->mc->retain(result, &kept[0]), s->mc->retain(result, &kept[1]));
    sibling_say(s, " copy=%uD null=%uD none=%uD", s->mc->retain(&copy, &value), s->mc->retain(result, NULL),
                s->mc->retain(NULL, &value));
    sibling_finish(s);
}


static ngx_int_t
a16(sibling_t *s)
{
    ngx_http_memcache_op_t  op;

    op_init(&op, NGX_HTTP_MEMCACHE_GET, "", retains, s);
    (void) sibling_text(s->request, "key", &op.key);
    op.request = s->request;

    return s->mc->submit(s->client, &op, NULL) == NGX_HTTP_MEMCACHE_OK ? NGX_AGAIN : NGX_ERROR;
}


/* Later: what was kept is still there, and is given back, once and again. */
static ngx_int_t
a16_later(sibling_t *s)
{
    ngx_http_memcache_value_t  value;

    ngx_memzero(&value, sizeof(value));
    sibling_say(s, "late=%uD length=%uz crc=%08xD", s->mc->retain(gone, &value), kept[0].bytes.len,
                ngx_crc32_short(kept[0].bytes.data, kept[0].bytes.len));
    s->mc->release(&kept[0]);
    s->mc->release(&kept[0]);
    sibling_say(s, " released=%uz other=%uz crc=%08xD", kept[0].bytes.len, kept[1].bytes.len,
                ngx_crc32_short(kept[1].bytes.data, kept[1].bytes.len));
    s->mc->release(&kept[1]);
    s->mc->release(&kept[2]);
    s->mc->release(NULL);
    s->mc->release((void *) (bytes + 1));

    return NGX_OK;
}


/* A17: arguments. "what" says which; the answer is that of submit(), or that of the operation. */

static ngx_int_t
a17(sibling_t *s)
{
    ngx_str_t                    what, key;
    ngx_uint_t                   number;
    ngx_http_memcache_op_t       op;
    ngx_http_memcache_many_t     many;
    ngx_http_memcache_call_t    *call;
    ngx_http_memcache_server_t   server;
    ngx_http_memcache_status_t   status;

#define IS(name)  (what.len == sizeof(name) - 1 && ngx_strncmp(what.data, name, what.len) == 0)

    (void) sibling_text(s->request, "what", &what);
    number = sibling_number(s->request, "n", 0);
    ngx_memset(bytes, 'x', sizeof(bytes));

    s->pending = 1;
    call = NULL;
    op_init(&op, NGX_HTTP_MEMCACHE_SET, "args", said, s);
    op.value = op.key;
    op.request = s->request;

    if (IS("op")) { op.op = number;
    } else if (IS("set")) { op.op = NGX_HTTP_MEMCACHE_SET;
    } else if (IS("size")) { op.size = number;
    } else if (IS("handler")) { op.handler = NULL;
    } else if (IS("options")) { op.options = number;
    } else if (IS("key-null")) { op.key.data = NULL; op.key.len = number;
    } else if (IS("key")) { op.key.data = bytes; op.key.len = number;
    } else if (IS("key-byte")) { op.key.data = bytes; op.key.len = 187; bytes[100] = (u_char) number;
    } else if (IS("key-byte-fits")) { op.key.data = bytes; op.key.len = 186; bytes[100] = (u_char) number;
    } else if (IS("value-null")) { op.value.data = NULL; op.value.len = number;
    } else if (IS("value")) { op.value.data = bytes; op.value.len = number;
    } else if (IS("ttl")) { op.ttl = number;
    } else if (IS("flags")) { op.flags = number;
    } else if (IS("cas")) { op.op = NGX_HTTP_MEMCACHE_GET; op.cas = number;
    } else if (IS("incr")) { ngx_str_set(&op.key, "counter"); op.op = NGX_HTTP_MEMCACHE_INCR; op.delta = number; op.options = NGX_HTTP_MEMCACHE_INITIAL;
    } else if (IS("timeout")) { op.op = NGX_HTTP_MEMCACHE_GET; op.timeout = number;
    } else if (IS("server")) { op.op = NGX_HTTP_MEMCACHE_VERSION; op.server = number;
    } else if (IS("request")) { op.request = (ngx_http_request_t *) bytes;
    } else if (IS("call")) { call = (ngx_http_memcache_call_t *) (bytes + 1);
    } else if (IS("op-null")) { sibling_say(s, "%uD", s->mc->submit(s->client, NULL, NULL)); return NGX_OK;
    } else if (IS("op-odd")) {
        sibling_say(s, "%uD", s->mc->submit(s->client, (void *) (bytes + 1), NULL)); return NGX_OK;
    } else if (IS("server-null")) {
        sibling_say(s, "%uD", s->mc->server(s->client, 0, NULL)); return NGX_OK;
    } else if (IS("server-index")) {
        server.size = sizeof(server);
        sibling_say(s, "%uD", s->mc->server(s->client, number, &server)); return NGX_OK;
    } else if (IS("enabled-index")) {
        sibling_say(s, "%uD", s->mc->set_enabled(s->client, number, 0)); return NGX_OK;
    } else if (IS("client-null")) {
        sibling_say(s, "%uD", s->mc->client_of_request(s->request, NULL)); return NGX_OK;
    } else if (IS("request-null")) {
        sibling_say(s, "%uD", s->mc->client_of_request(NULL, &s->client)); return NGX_OK;
    } else if (IS("request-none")) {
        sibling_say(s, "%uD", s->mc->client_of_request((void *) bytes, &s->client)); return NGX_OK;
    } else if (IS("conf-null")) {
        sibling_say(s, "%uD", s->mc->client_of_conf(NULL, &s->client)); return NGX_OK;
    } else if (IS("require-null")) {
        sibling_say(s, "%uD", s->mc->require(NULL)); return NGX_OK;
    } else if (IS("subset-null")) {
        sibling_say(s, "%uD", s->mc->subset(s->client, NULL, 1, &s->client)); return NGX_OK;
    } else if (IS("subset-length")) {
        sibling_say(s, "%uD", s->mc->subset(s->client, &number, number, &s->client)); return NGX_OK;
    } else if (IS("key-of")) {
        sibling_say(s, "%uD", s->mc->server_of_key(s->client, NULL, &number)); return NGX_OK;
    } else if (IS("many-null") || IS("many-keys") || IS("many-key") || IS("many-size") || IS("many-handler")
               || IS("many-options"))
    {
        ngx_memzero(&many, sizeof(many));
        many.size = IS("many-size") ? number : sizeof(many);
        many.op = NGX_HTTP_MEMCACHE_GET;
        many.handler = IS("many-handler") ? NULL : (ngx_http_memcache_many_handler_pt) (void *) said;
        key.data = IS("many-options") ? bytes : NULL;
        key.len = 3;
        many.keys = IS("many-keys") ? NULL : &key;
        many.nkeys = 1;
        many.options = IS("many-options") ? number : 0;
        sibling_say(s, "%uD", s->mc->submit_many(s->client, IS("many-null") ? NULL : &many, NULL));
        return NGX_OK;
    } else {
        return NGX_HTTP_BAD_REQUEST;
    }

    status = s->mc->submit(s->client, &op, call);

    if (status != NGX_HTTP_MEMCACHE_OK) {
        sibling_say(s, "%uD", status);
        return NGX_OK;
    }

    sibling_say(s, "ok");

    return NGX_AGAIN;
}


/* A22: how long a call may take: "timeout" of as many milliseconds, and it is there until then. */

static ngx_int_t
a22(sibling_t *s)
{
    ngx_http_memcache_op_t  op;

    s->pending = 1;
    op_init(&op, NGX_HTTP_MEMCACHE_GET, "key", said, s);
    op.timeout = sibling_number(s->request, "timeout", 0);
    op.request = s->request;
    s->request->read_event_handler = ngx_http_test_reading;

    return s->mc->submit(s->client, &op, NULL) == NGX_HTTP_MEMCACHE_OK ? NGX_AGAIN : NGX_ERROR;
}


/* A23: as many as there is room for, on one server: how many were accepted, and what the next one is told. */

static ngx_int_t
a23(sibling_t *s)
{
    ngx_uint_t                   i;
    ngx_http_memcache_op_t       op;
    ngx_http_memcache_client_t  *client;
    ngx_http_memcache_status_t   status;

    i = 0;
    (void) s->mc->subset(s->client, &i, 1, &client);

    for (i = 0, status = 0; status == NGX_HTTP_MEMCACHE_OK && i < 100000; i++) {
        op_init(&op, NGX_HTTP_MEMCACHE_GET, "key", count, &ran);
        op.timeout = sibling_number(s->request, "timeout", 0);
        status = s->mc->submit(client, &op, NULL);
    }

    sibling_say(s, "accepted=%ui next=%uD", i - 1, status);

    return NGX_OK;
}


static ngx_int_t
other(sibling_t *s)
{
    ngx_uint_t                   i;
    ngx_http_memcache_op_t       op;
    ngx_http_memcache_client_t  *client;

    i = sibling_number(s->request, "server", 0);
    (void) s->mc->subset(s->client, &i, 1, &client);
    s->pending = 1;
    op_init(&op, NGX_HTTP_MEMCACHE_GET, "key", said, s);
    op.request = s->request;

    i = s->mc->submit(client, &op, NULL);

    if (i != NGX_HTTP_MEMCACHE_OK) {
        sibling_say(s, "refused %ui", i);
        return NGX_OK;
    }

    return NGX_AGAIN;
}


static sibling_action_t  sibling_actions[] = {
    { "a4", a4 }, { "a4_fork", a4_fork }, { "a6", a6 }, { "ran", show_ran }, { "a7", a7 }, { "a8", a8 }, { "a9", a9 },
    { "a10", a10 }, { "a11", a11 }, { "a12", a12 }, { "a13", a13 }, { "a16", a16 }, { "a16_later", a16_later },
    { "a17", a17 }, { "a19", a19 }, { "a22", a22 }, { "a23", a23 }, { "other", other }, { NULL, NULL }
};


static ngx_command_t  misuse_commands[] = {
    { ngx_string("misuse"), NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS, sibling_directive, 0, 0, NULL },
    ngx_null_command
};

static ngx_http_module_t  misuse_ctx = { NULL, in_postconfiguration, NULL, NULL, NULL, NULL, NULL, NULL };

SIBLING_WITH(misuse, misuse_commands, &misuse_ctx, in_init_module, in_init_process, in_exit_process);

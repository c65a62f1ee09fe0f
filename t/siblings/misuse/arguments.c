/* Arguments, values, and numbers: A16, A17, A22 and A23. */

#include "misuse.h"


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


ngx_int_t
misuse_a16(sibling_t *s)
{
    ngx_http_memcache_op_t  op;

    misuse_op(&op, NGX_HTTP_MEMCACHE_GET, "", retains, s);
    (void) sibling_text(s->request, "key", &op.key);
    op.request = s->request;

    return s->mc->submit(s->client, &op, NULL) == NGX_HTTP_MEMCACHE_OK ? NGX_AGAIN : NGX_ERROR;
}


/* Later: what was kept is still there, and is given back, once and again. */
ngx_int_t
misuse_a16_later(sibling_t *s)
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
    s->mc->release((void *) (misuse_bytes + 1));

    return NGX_OK;
}


/* A17: arguments. "what" says which; the answer is that of submit(), or that of the operation. */

ngx_int_t
misuse_a17(sibling_t *s)
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
    ngx_memset(misuse_bytes, 'x', sizeof(misuse_bytes));

    s->pending = 1;
    call = NULL;
    misuse_op(&op, NGX_HTTP_MEMCACHE_SET, "args", misuse_said, s);
    op.value = op.key;
    op.request = s->request;

    if (IS("op")) { op.op = number;
    } else if (IS("set")) { op.op = NGX_HTTP_MEMCACHE_SET;
    } else if (IS("size")) { op.size = number;
    } else if (IS("handler")) { op.handler = NULL;
    } else if (IS("options")) { op.options = number;
    } else if (IS("key-null")) { op.key.data = NULL; op.key.len = number;
    } else if (IS("key")) { op.key.data = misuse_bytes; op.key.len = number;
    } else if (IS("key-byte")) { op.key.data = misuse_bytes; op.key.len = 187; misuse_bytes[100] = (u_char) number;
    } else if (IS("key-byte-fits")) { op.key.data = misuse_bytes; op.key.len = 186; misuse_bytes[100] = (u_char) number;
    } else if (IS("value-null")) { op.value.data = NULL; op.value.len = number;
    } else if (IS("value")) { op.value.data = misuse_bytes; op.value.len = number;
    } else if (IS("ttl")) { op.ttl = number;
    } else if (IS("flags")) { op.flags = number;
    } else if (IS("cas")) { op.op = NGX_HTTP_MEMCACHE_GET; op.cas = number;
    } else if (IS("incr")) { ngx_str_set(&op.key, "counter"); op.op = NGX_HTTP_MEMCACHE_INCR; op.delta = number; op.options = NGX_HTTP_MEMCACHE_INITIAL;
    } else if (IS("timeout")) { op.op = NGX_HTTP_MEMCACHE_GET; op.timeout = number;
    } else if (IS("server")) { op.op = NGX_HTTP_MEMCACHE_VERSION; op.server = number;
    } else if (IS("request")) { op.request = (ngx_http_request_t *) misuse_bytes;
    } else if (IS("call")) { call = (ngx_http_memcache_call_t *) (misuse_bytes + 1);
    } else if (IS("op-null")) { sibling_say(s, "%uD", s->mc->submit(s->client, NULL, NULL)); return NGX_OK;
    } else if (IS("op-odd")) {
        sibling_say(s, "%uD", s->mc->submit(s->client, (void *) (misuse_bytes + 1), NULL)); return NGX_OK;
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
        sibling_say(s, "%uD", s->mc->client_of_request((void *) misuse_bytes, &s->client)); return NGX_OK;
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
        many.handler = IS("many-handler") ? NULL : (ngx_http_memcache_many_handler_pt) (void *) misuse_said;
        key.data = IS("many-options") ? misuse_bytes : NULL;
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

ngx_int_t
misuse_a22(sibling_t *s)
{
    ngx_http_memcache_op_t  op;

    s->pending = 1;
    misuse_op(&op, NGX_HTTP_MEMCACHE_GET, "key", misuse_said, s);
    op.timeout = sibling_number(s->request, "timeout", 0);
    op.request = s->request;
    s->request->read_event_handler = ngx_http_test_reading;

    return s->mc->submit(s->client, &op, NULL) == NGX_HTTP_MEMCACHE_OK ? NGX_AGAIN : NGX_ERROR;
}


/* A23: as many as there is room for, on one server: how many were accepted, and what the next one is told. */

ngx_int_t
misuse_a23(sibling_t *s)
{
    ngx_uint_t                   i;
    ngx_http_memcache_op_t       op;
    ngx_http_memcache_client_t  *client;
    ngx_http_memcache_status_t   status;

    i = 0;
    (void) s->mc->subset(s->client, &i, 1, &client);

    for (i = 0, status = 0; status == NGX_HTTP_MEMCACHE_OK && i < 100000; i++) {
        misuse_op(&op, NGX_HTTP_MEMCACHE_GET, "key", misuse_count, &misuse_ran);
        op.timeout = sibling_number(s->request, "timeout", 0);
        status = s->mc->submit(client, &op, NULL);
    }

    sibling_say(s, "accepted=%ui next=%uD", i - 1, status);

    return NGX_OK;
}


ngx_int_t
misuse_other(sibling_t *s)
{
    ngx_uint_t                   i;
    ngx_http_memcache_op_t       op;
    ngx_http_memcache_client_t  *client;

    i = sibling_number(s->request, "server", 0);
    (void) s->mc->subset(s->client, &i, 1, &client);
    s->pending = 1;
    misuse_op(&op, NGX_HTTP_MEMCACHE_GET, "key", misuse_said, s);
    op.request = s->request;

    i = s->mc->submit(client, &op, NULL);

    if (i != NGX_HTTP_MEMCACHE_OK) {
        sibling_say(s, "refused %ui", i);
        return NGX_OK;
    }

    return NGX_AGAIN;
}

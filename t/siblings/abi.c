/*
 * A sibling that calls the module with what the arguments of a request say, for t/abi.t.
 *
 *     op options ttl cas server           fields of the operation
 *     recache reserved                    the same, if its size says that they are there
 *     key value                           the same, as text
 *     size                                what it says of its size; what is behind that many bytes is 0xff
 *     place                               instead asks about a server, into a place of so many bytes
 */

#include <ngx_http_memcache.h>


static char *ngx_http_abi_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


static ngx_command_t  ngx_http_abi_commands[] = {
    { ngx_string("abi"), NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS, ngx_http_abi_directive, 0, 0, NULL },
    ngx_null_command
};


static ngx_http_module_t  ngx_http_abi_module_ctx = { NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL };


ngx_module_t  ngx_http_abi_module = {
    NGX_MODULE_V1,
    &ngx_http_abi_module_ctx,
    ngx_http_abi_commands,
    NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


ngx_module_t  *ngx_modules[] = { &ngx_http_abi_module, NULL };
char          *ngx_module_names[] = { "ngx_http_abi_module", NULL };
char          *ngx_module_order[] = { NULL };


static uint64_t
number(ngx_http_request_t *r, const char *name, uint64_t otherwise)
{
    size_t     i;
    uint64_t   n;
    ngx_str_t  text;

    if (ngx_http_arg(r, (u_char *) name, ngx_strlen(name), &text) != NGX_OK) {
        return otherwise;
    }

    n = 0;

    for (i = 0; i < text.len; i++) {
        n = n * 10 + (text.data[i] - '0');
    }

    return n;
}


static ngx_int_t
send_text(ngx_http_request_t *r, u_char *text, size_t len)
{
    ngx_http_complex_value_t  cv;

    ngx_memzero(&cv, sizeof(cv));
    cv.value.len = len;
    cv.value.data = text;

    return ngx_http_send_response(r, NGX_HTTP_OK, NULL, &cv);
}


static void
answered(void *data, const ngx_http_memcache_result_t *result)
{
    u_char              *text, *end;
    ngx_connection_t    *c;
    ngx_http_request_t  *r = data;

    c = r->connection;
    text = ngx_pnalloc(r->pool, 512 + result->value.len);

    if (text == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    end = ngx_sprintf(text, "size=%uz status=%uD lease=%uD stale=%uD cas=%uL number=%uL flags=%uD length=%uz ttl=%uD idle=%uD"
                      " fetched=%uD leased=%uD value=%V",
                      result->size, result->status, result->lease, result->stale, result->cas, result->number,
                      result->flags, result->length, result->ttl, result->idle, result->fetched, result->leased, &result->value);

    ngx_http_finalize_request(r, send_text(r, text, end - text));
    ngx_http_run_posted_requests(c);
}


/* Asks for a server, with a place of as many bytes as it says among others that must stay as they are. */
static ngx_int_t
show_server(ngx_http_request_t *r, const ngx_http_memcache_api_t *mc, ngx_http_memcache_client_t *client)
{
    size_t                       size, i, kept;
    u_char                      *text, *end;
    ngx_http_memcache_status_t   status;
    union {
        ngx_http_memcache_server_t  server;
        u_char                      bytes[256];
    } place;

    size = number(r, "place", 0);
    text = ngx_pnalloc(r->pool, 256);

    if (text == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memset(&place, 0xff, sizeof(place));
    place.server.size = size;
    status = mc->server(client, number(r, "server", 0), &place.server);

    for (i = sizeof(place), kept = 0; i > 0 && place.bytes[i - 1] == 0xff; i--) {
        kept++;
    }

    end = ngx_sprintf(text, "status=%uD size=%uz written=%uz", status, place.server.size, sizeof(place) - kept);

    return send_text(r, text, end - text);
}


static ngx_int_t
ngx_http_abi_handler(ngx_http_request_t *r)
{
    size_t                           size;
    u_char                          *text, *end;
    ngx_http_memcache_status_t       status;
    const ngx_http_memcache_api_t   *mc;
    ngx_http_memcache_client_t      *client;
    union {
        ngx_http_memcache_op_t  op;
        u_char                  bytes[256];
    } place;

    status = ngx_http_memcache_api((ngx_cycle_t *) ngx_cycle, &mc);

    if (status == NGX_HTTP_MEMCACHE_OK) {
        status = mc->client_of_request(r, &client);
    }

    if (status != NGX_HTTP_MEMCACHE_OK) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    if (number(r, "place", 0) != 0) {
        return show_server(r, mc, client);
    }

    size = number(r, "size", sizeof(ngx_http_memcache_op_t));

    ngx_memset(&place, 0xff, sizeof(place));
    ngx_memzero(&place, ngx_min(size, sizeof(place)));

    place.op.size = size;
    place.op.op = (uint32_t) number(r, "op", 0);
    place.op.options = (uint32_t) number(r, "options", 0);
    place.op.cas = number(r, "cas", 0);
    place.op.delta = number(r, "delta", 0);
    place.op.initial = 0;
    place.op.flags = 0;
    place.op.ttl = (uint32_t) number(r, "ttl", 0);
    place.op.timeout = 0;
    place.op.server = number(r, "server", 0);
    place.op.handler = answered;
    place.op.data = r;
    place.op.request = r;
    ngx_http_arg(r, (u_char *) "key", 3, &place.op.key);
    ngx_http_arg(r, (u_char *) "value", 5, &place.op.value);

    if (size > offsetof(ngx_http_memcache_op_t, recache)) {
        place.op.recache = (uint32_t) number(r, "recache", 0);
        place.op.reserved = (uint32_t) number(r, "reserved", 0);
    }

    status = mc->submit(client, &place.op, NULL);

    if (status == NGX_HTTP_MEMCACHE_OK) {
        r->main->count++;
        /* a client that goes away is noticed */
        r->read_event_handler = ngx_http_test_reading;
        return NGX_DONE;
    }

    text = ngx_pnalloc(r->pool, 64);

    if (text == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    end = ngx_sprintf(text, "refused=%uD", status);

    return send_text(r, text, end - text);
}


static char *
ngx_http_abi_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    (void) cmd;
    (void) conf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_abi_handler;

    return NGX_CONF_OK;
}

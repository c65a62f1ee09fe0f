/*
 * The Apache way, for the benchmark: a content handler on apr_memcache, used as mod_memcache made it: one client for
 * the server, made when a child starts, with a pool of connections per memcached (min=0 smax=16 max=threads ttl=600, in
 * microseconds as apr_memcache takes it).
 *
 *     BenchMemcached HOST:PORT [HOST:PORT]...
 *     <Location "/"> SetHandler bench-memcache </Location>
 *
 * GET /get/KEY, PUT /set/KEY, GET /multi/KEY for the ten items KEY0 to KEY9.
 */

#include "httpd.h"
#include "http_config.h"
#include "http_protocol.h"
#include "ap_config.h"
#include "ap_mpm.h"
#include "apr_memcache.h"
#include "apr_strings.h"

#define PARTS 10
#define MAX_SERVERS 16
#define MAX_BODY (4 * 1024 * 1024)

module AP_MODULE_DECLARE_DATA bench_memcache_module;

static apr_memcache_t *memcache;
static const char *names[MAX_SERVERS];
static int names_n;

static const char *add_server(cmd_parms *cmd, void *dummy, const char *name) {
    if (names_n == MAX_SERVERS) {
        return "too many servers";
    }
    names[names_n++] = name;
    return NULL;
}

static const command_rec commands[] = {
    AP_INIT_ITERATE("BenchMemcached", add_server, NULL, RSRC_CONF, "host:port of each memcached"),
    { NULL }
};

static void child_init(apr_pool_t *pool, server_rec *s) {
    int threads = 64;
    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    if (apr_memcache_create(pool, MAX_SERVERS, 0, &memcache) != APR_SUCCESS) {
        return;
    }
    for (int i = 0; i < names_n; i++) {
        char *host, *scope;
        apr_port_t port;
        apr_memcache_server_t *server;
        if (apr_parse_addr_port(&host, &scope, &port, names[i], pool) == APR_SUCCESS
            && apr_memcache_server_create(pool, host, port, 0, 16, threads, apr_time_from_sec(600), &server) == APR_SUCCESS) {
            apr_memcache_add_server(memcache, server);
        }
    }
}

static int answer(request_rec *r, const char *bytes, apr_size_t length) {
    ap_set_content_type(r, "application/octet-stream");
    ap_set_content_length(r, length);
    ap_rwrite(bytes, (int) length, r);
    return OK;
}

static int get(request_rec *r, const char *key) {
    char *value;
    apr_size_t length;
    apr_status_t status = apr_memcache_getp(memcache, r->pool, key, &value, &length, NULL);
    if (status == APR_NOTFOUND) {
        return HTTP_NOT_FOUND;
    }
    return status == APR_SUCCESS ? answer(r, value, length) : HTTP_BAD_GATEWAY;
}

static int set(request_rec *r, const char *key) {
    apr_size_t length = 0;
    long n;
    int status = ap_setup_client_block(r, REQUEST_CHUNKED_ERROR);
    if (status != OK) {
        return status;
    }
    if (!ap_should_client_block(r) || r->remaining > MAX_BODY) {
        return HTTP_BAD_REQUEST;
    }
    char *body = apr_palloc(r->pool, r->remaining + 1);
    apr_size_t room = r->remaining;
    while (length < room && (n = ap_get_client_block(r, body + length, room - length)) > 0) {
        length += n;
    }
    if (apr_memcache_set(memcache, key, body, length, 0, 0) != APR_SUCCESS) {
        return HTTP_BAD_GATEWAY;
    }
    r->status = HTTP_NO_CONTENT;
    return OK;
}

static int multi(request_rec *r, const char *prefix) {
    apr_hash_t *values = NULL;
    apr_pool_t *temp;
    apr_size_t length = 0;
    char *page, *keys[PARTS];
    for (int i = 0; i < PARTS; i++) {
        keys[i] = apr_psprintf(r->pool, "%s%d", prefix, i);
        apr_memcache_add_multget_key(r->pool, keys[i], &values);
    }
    apr_pool_create(&temp, r->pool);
    if (apr_memcache_multgetp(memcache, temp, r->pool, values) != APR_SUCCESS) {
        return HTTP_BAD_GATEWAY;
    }
    for (int i = 0; i < PARTS; i++) {
        apr_memcache_value_t *value = apr_hash_get(values, keys[i], APR_HASH_KEY_STRING);
        length += value && value->status == APR_SUCCESS ? value->len : 0;
    }
    page = apr_palloc(r->pool, length + 1);
    length = 0;
    for (int i = 0; i < PARTS; i++) {
        apr_memcache_value_t *value = apr_hash_get(values, keys[i], APR_HASH_KEY_STRING);
        if (value && value->status == APR_SUCCESS) {
            memcpy(page + length, value->data, value->len);
            length += value->len;
        }
    }
    return answer(r, page, length);
}

static int handle(request_rec *r) {
    if (strcmp(r->handler, "bench-memcache")) {
        return DECLINED;
    }
    if (memcache == NULL) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (!strncmp(r->uri, "/get/", 5)) {
        return get(r, r->uri + 5);
    }
    if (!strncmp(r->uri, "/set/", 5)) {
        return set(r, r->uri + 5);
    }
    if (!strncmp(r->uri, "/multi/", 7)) {
        return multi(r, r->uri + 7);
    }
    return HTTP_NOT_FOUND;
}

static void hooks(apr_pool_t *pool) {
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(handle, NULL, NULL, APR_HOOK_MIDDLE);
}

module AP_MODULE_DECLARE_DATA bench_memcache_module = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, commands, hooks
};

/* apr_memcache, the client of Apache's mod_memcache: its only hash is "modulo", without weights. */

#include <apr_general.h>
#include <apr_memcache.h>

#include "peer.h"

static apr_pool_t *pool;
static apr_memcache_t *mc;

static void check(const char *what, apr_status_t rc)
{
    char text[256];

    if (rc != APR_SUCCESS)
        fail(what, apr_strerror(rc, text, sizeof(text)));
}

static void prepare(const char *hash, const struct server *servers, unsigned count)
{
    unsigned i;

    check("apr", apr_initialize());
    check("pool", apr_pool_create(&pool, NULL));
    check("client", apr_memcache_create(pool, (apr_uint16_t) count, 0, &mc));
    if (strcmp(hash, "modulo") != 0)
        fail(hash, "apr_memcache has no such hash");
    for (i = 0; i < count; i++) {
        apr_memcache_server_t *server;

        if (servers[i].weight != 1)
            fail(servers[i].host, "apr_memcache has no weights");
        check(servers[i].host, apr_memcache_server_create(pool, servers[i].host, (apr_port_t) servers[i].port,
            0, 1, 1, 60 * 1000 * 1000, &server));
        check(servers[i].host, apr_memcache_add_server(mc, server));
    }
}

static unsigned route(const char *key, size_t length)
{
    apr_memcache_server_t *server = apr_memcache_find_server_hash(mc, apr_memcache_hash(mc, key, length));
    unsigned i;

    for (i = 0; i < mc->ntotal; i++)
        if (mc->live_servers[i] == server)
            return i;
    fail(key, "no server");
    return 0;
}

static void set(const char *key, size_t length, char *value, size_t value_length)
{
    (void) length;
    check(key, apr_memcache_set(mc, key, value, value_length, 0, 0));
}

static char *get(const char *key, size_t length)
{
    apr_pool_t *temporary;
    char *value, *copy = NULL;
    apr_size_t value_length;
    apr_status_t rc;

    (void) length;
    check("pool", apr_pool_create(&temporary, pool));
    rc = apr_memcache_getp(mc, temporary, key, &value, &value_length, NULL);
    if (rc != APR_NOTFOUND) {
        check(key, rc);
        copy = strndup(value, value_length);
    }
    apr_pool_destroy(temporary);
    return copy;
}

/* libmemcached: hash "ketama" is MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, "modulo" is MODULA with CRC, "one_at_a_time" is its default. */

#include <libmemcached/memcached.h>

#include "peer.h"

static memcached_st *mc;

static void check(const char *what, memcached_return_t rc)
{
    if (rc != MEMCACHED_SUCCESS)
        fail(what, memcached_strerror(mc, rc));
}

static void prepare(const char *hash, const struct server *servers, unsigned count)
{
    unsigned i;

    mc = memcached_create(NULL);
    if (strcmp(hash, "ketama") == 0) {
        check(hash, memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, 1));
    } else if (strcmp(hash, "modulo") == 0) {
        check(hash, memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_DISTRIBUTION, MEMCACHED_DISTRIBUTION_MODULA));
        check(hash, memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_HASH, MEMCACHED_HASH_CRC));
    } else if (strcmp(hash, "one_at_a_time") != 0) {
        fail(hash, "libmemcached has no such hash");
    }
    for (i = 0; i < count; i++) {
        const struct server *s = &servers[i];

        /* PHP adds sockets by this function too; memcached_server_add_unix_socket() gives them other points. */
        check(s->host, memcached_server_add_with_weight(mc, s->host, (in_port_t) s->port, s->weight));
    }
}

static unsigned route(const char *key, size_t length)
{
    return memcached_generate_hash(mc, key, length);
}

static void set(const char *key, size_t length, char *value, size_t value_length)
{
    check(key, memcached_set(mc, key, length, value, value_length, 0, 0));
}

static char *get(const char *key, size_t length)
{
    size_t value_length;
    uint32_t flags;
    memcached_return_t rc;
    char *value = memcached_get(mc, key, length, &value_length, &flags, &rc);

    if (rc != MEMCACHED_NOTFOUND)
        check(key, rc);
    return value;
}

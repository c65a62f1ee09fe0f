/* Subsets of the servers of a client. */

#include "clients.h"


ngx_int_t
clients_do_subset(sibling_t *s)
{
    ngx_uint_t                   i, n;
    ngx_http_memcache_client_t  *client, *again;
    ngx_http_memcache_server_t   server;

    if (clients_choose(s, &client) != NGX_OK) {
        return NGX_OK;
    }

    n = s->mc->servers(client);
    sibling_say(s, "servers=%ui same=%ui list=", n, (ngx_uint_t) (client == s->client));

    for (i = 0; i < n; i++) {
        server.size = sizeof(server);

        if (s->mc->server(client, i, &server) == NGX_HTTP_MEMCACHE_OK) {
            sibling_say(s, "%V=%uD,", &server.address, server.weight);
        }
    }

    server.size = sizeof(server);
    sibling_say(s, " behind=%uD", s->mc->server(client, n, &server));

    /* a subset of a subset: its last server */
    i = n - 1;
    sibling_say(s, " last=%uD", s->mc->subset(client, &i, 1, &again));

    server.size = sizeof(server);
    if (s->mc->server(again, 0, &server) == NGX_HTTP_MEMCACHE_OK) {
        sibling_say(s, " address=%V max=%uz", &server.address, s->mc->max_value(again));
    }

    return NGX_OK;
}


ngx_int_t
clients_do_all(sibling_t *s)
{
    ngx_uint_t                   i, n, made;
    ngx_http_memcache_client_t  *client;
    ngx_http_memcache_status_t   status;

    n = sibling_number(s->request, "n", 0);
    made = 0;
    status = NGX_HTTP_MEMCACHE_OK;

    for (i = 0; i < n && status == NGX_HTTP_MEMCACHE_OK; i++) {
        status = s->mc->subset(s->client, &i, 1, &client);
        made += (status == NGX_HTTP_MEMCACHE_OK);
    }

    sibling_say(s, "made=%ui status=%uD", made, status);

    /* those that there are may be asked for as often as one likes */
    i = 0;
    sibling_say(s, " first=%uD", s->mc->subset(s->client, &i, 1, &client));

    return NGX_OK;
}

/* nginx's structures for TLS, which it has only where it was configured with SSL. */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


#if (NGX_SSL)

size_t
memcache_bits_ssl_size(void)
{
    return sizeof(ngx_ssl_t);
}


void
memcache_bits_ssl_set_log(ngx_ssl_t *ssl, ngx_log_t *log)
{
    ssl->log = log;
}


void *
memcache_bits_ssl_ctx(ngx_ssl_t *ssl)
{
    return ssl->ctx;
}


void *
memcache_bits_ssl_of(ngx_connection_t *c)
{
    return c->ssl ? c->ssl->connection : NULL;
}


void
memcache_bits_ssl_no_wait_shutdown(ngx_connection_t *c)
{
    c->ssl->no_wait_shutdown = 1;
}


void
memcache_bits_ssl_no_send_shutdown(ngx_connection_t *c)
{
    c->ssl->no_send_shutdown = 1;
}


void
memcache_bits_ssl_save_session(ngx_connection_t *c, void (*save)(ngx_connection_t *c))
{
    c->ssl->save_session = save;
}

#else

size_t
memcache_bits_ssl_size(void)
{
    return 0;
}


void
memcache_bits_ssl_set_log(void *ssl, ngx_log_t *log)
{
}


void *
memcache_bits_ssl_ctx(void *ssl)
{
    return NULL;
}


void *
memcache_bits_ssl_of(ngx_connection_t *c)
{
    return NULL;
}


void
memcache_bits_ssl_no_wait_shutdown(ngx_connection_t *c)
{
}


void
memcache_bits_ssl_no_send_shutdown(ngx_connection_t *c)
{
}


void
memcache_bits_ssl_save_session(ngx_connection_t *c, void (*save)(ngx_connection_t *c))
{
}

#endif

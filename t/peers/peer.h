/* What the programs of the peers have in common:
 *
 *     PROGRAM route|set|get HASH SERVER[=WEIGHT]... <KEYS
 *
 * reads keys, one a line.  "route" prints the number of each one's server, counted from 0; "set" stores the key itself
 * in angle brackets and prints "ok"; "get" prints what is stored, or an empty line.  Servers are named as in
 * nginx.conf: host:port, [IPv6]:port, unix:/path.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct server {
    char *host; /* without brackets; the path of a socket begins with a slash */
    unsigned port; /* 0 with a socket */
    unsigned weight;
};

/* To be written for each peer. */
static void prepare(const char *hash, const struct server *servers, unsigned count);
static unsigned route(const char *key, size_t length);
static void set(const char *key, size_t length, char *value, size_t value_length);
static char *get(const char *key, size_t length); /* a string to free, or NULL */

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static struct server parse_server(char *text)
{
    struct server server = { text, 0, 1 };
    char *weight = strrchr(text, '=');
    char *port;

    if (weight) {
        *weight = 0;
        server.weight = (unsigned) strtoul(weight + 1, NULL, 10);
    }
    if (strncmp(text, "unix:", 5) == 0) {
        server.host = text + 5;
        return server;
    }
    port = strrchr(text, ':');
    if (!port)
        fail(text, "no port");
    *port = 0;
    server.port = (unsigned) strtoul(port + 1, NULL, 10);
    if (*text == '[') {
        server.host = text + 1;
        port[-1] = 0;
    }
    return server;
}

int main(int argc, char **argv)
{
    static struct server servers[4096];
    static char key[1024], value[1024 + 2];
    unsigned count = 0;
    int i;

    if (argc < 4 || argc - 3 > 4096)
        fail(argv[0], "route|set|get HASH SERVER[=WEIGHT]... <KEYS");
    for (i = 3; i < argc; i++)
        servers[count++] = parse_server(argv[i]);
    prepare(argv[2], servers, count);

    while (fgets(key, sizeof(key), stdin)) {
        size_t length = strcspn(key, "\n");

        key[length] = 0;
        if (strcmp(argv[1], "route") == 0) {
            printf("%u\n", route(key, length));
        } else if (strcmp(argv[1], "set") == 0) {
            snprintf(value, sizeof(value), "<%s>", key);
            set(key, length, value, length + 2);
            puts("ok");
        } else {
            char *found = get(key, length);

            puts(found ? found : "");
            free(found);
        }
    }
    return 0;
}

<?php

// PHP's class Memcached with OPT_LIBKETAMA_COMPATIBLE, or as it is by default ("one_at_a_time"), used like the programs of peer.h. A
// word behind the hash is a prefix.

[, $action] = $argv;
[$hash, $prefix] = explode(' ', $argv[2] . ' ');
if ($hash !== 'ketama' && $hash !== 'one_at_a_time') {
    fwrite(STDERR, "no such hash: $hash\n");
    exit(1);
}

$mc = new Memcached();
if ($hash === 'ketama') {
    $mc->setOption(Memcached::OPT_LIBKETAMA_COMPATIBLE, true);
}
if ($prefix !== '') {
    $mc->setOption(Memcached::OPT_PREFIX_KEY, $prefix);
}
$numbers = [];
foreach (array_slice($argv, 3) as $number => $text) {
    preg_match('/^(?:unix:(\/.*?)|(.*?):(\d+))(?:=(\d+))?$/', $text, $part);
    [, $path, $host, $port, $weight] = $part + ['', '', '', 0, 1];
    $host = $path !== '' ? $path : trim($host, '[]');
    $mc->addServer($host, (int) $port, (int) $weight);
    $numbers["$host:" . ((int) $port ?: 11211)] = $number;
}

while (($line = fgets(STDIN)) !== false) {
    $key = rtrim($line, "\n");
    switch ($action) {
    case 'route':
        $server = $mc->getServerByKey($key);
        echo $numbers["$server[host]:$server[port]"], "\n";
        break;
    case 'set':
        echo $mc->set($key, "<$key>") ? 'ok' : $mc->getResultMessage(), "\n";
        break;
    case 'get':
        echo $mc->get($key), "\n";
        break;
    }
}

<?php

// PHP's own session handler for memcached: "session.php write|read NAME=VALUE...", with settings of php.ini. Each line of the input
// has an ID and a value. The output is what the session has then.

foreach (array_slice($argv, 2) as $setting) {
    [$name, $value] = explode('=', $setting, 2);
    ini_set($name, $value);
}
ini_set('session.save_handler', 'memcached');
ini_set('session.use_cookies', '0');
ini_set('session.cache_limiter', '');

while (($line = fgets(STDIN)) !== false) {
    [$id, $value] = explode(' ', rtrim($line, "\n"));
    session_id($id);
    session_start();
    if ($argv[1] === 'write') {
        $_SESSION['value'] = $value;
    }
    $found = $_SESSION['value'] ?? '';
    session_write_close();
    echo "$found\n";
}

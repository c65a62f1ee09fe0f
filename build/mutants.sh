#!/bin/bash
# mutants.sh [SECONDS]: breaks the engine in one place at a time, in a copy, and has the simulation look for it for so
# long. A mutant that is not found, or a place that is not there any more, is a failure.

set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/mutants

# What is broken | file below engine/src | sed command that breaks it
mutants() {
    cat <<'LIST'
any token is right | connection/expect.rs | s/Some(token) if token == u64::from(pending.token) => {}/Some(_) => {}/
any key is right | connection/expect.rs | s/if !key.wire(|wire| wire == echoed)/if key.wire(|_| false)/
any key is right for the usual reply | wire/hit.rs | s/strip_prefix(key)?/get(key.len()..)?/
what gave up leaves no placeholder | connection.rs | s/if index < self.encoded {/if index > self.encoded {/
what is not written at once is forgotten | connection.rs | s/self.out.len() > 0 || self.encoded < /self.out.len() > 0 \&\& self.encoded < /
operations have no deadline | client/submit.rs | s/let deadline = now.after(timeout);/let deadline = now.after(Duration::MAX);/
max is no bound | client/pool.rs | s/&& server.connections.len() < max as usize/\&\& max > 0/
written writes are sent again | client/outcome.rs | s/let maybe_applied = written && writes;/let maybe_applied = false;/
overdue connections are kept | client/timeout.rs | s/if connection.is_overdue(now) {/if connection.is_overdue(now) \&\& false {/
a queue without a bound | client/submit.rs | s/server.queued >= self.config.queue/server.queued > usize::MAX - 1/
LIST
}

missed=0
while IFS='|' read -r what file edit; do
    what=${what% } file=engine/src/${file// /} edit=${edit# }
    rm -rf "$dir/copy"
    mkdir "$dir/copy"
    git ls-files -z | tar --null -T - -c | tar -x -C "$dir/copy"
    sed -i "$edit" "$dir/copy/$file"
    if cmp -s "$file" "$dir/copy/$file"; then
        echo "mutants: there is nothing to break in $file: $what" >&2
        missed=$((missed + 1))
        continue
    fi
    log=$dir/log
    cargo test --manifest-path "$dir/copy/Cargo.toml" --release -p memcache-engine --test sim --no-run >"$log" 2>&1 ||
        { cat "$log" >&2; exit 1; }
    if SIM_SECONDS=$seconds cargo test --manifest-path "$dir/copy/Cargo.toml" --release -p memcache-engine --test sim \
        -- --nocapture simulation >"$log" 2>&1; then
        echo "mutants: NOT FOUND in $seconds s: $what"
        missed=$((missed + 1))
    else
        echo "mutants: $what: found $(grep -o 'after .* runs, .* s: run again with SIM_SEED=.*' "$log" | head -n 1)"
    fi
done < <(mutants)

((missed == 0))

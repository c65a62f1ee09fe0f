#!/bin/bash
# mutants.sh [SECONDS] [WORD]: breaks the engine in one place at a time, in a copy, and has the simulation look for it for
# so long, and the tests beside it; with a word only those that have it in their names. A mutant that is not found, or a
# place that is not there any more, is a failure. With 0 seconds it only looks whether the places are there.

set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
word=${2:-}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/mutants

# What is broken | file below engine/src | sed command that breaks it
mutants() {
    cat <<'LIST'
any token is right | protocol/meta/check.rs | s/Some(echoed) if echoed == u64::from(token) => {}/Some(_) => {}/
any key is right | protocol/meta/check.rs | s/if !own.is_named(name, line.binary) =>/if false \&\& own.is_named(name, line.binary) =>/
text: any key is right | protocol/text/check.rs | s/if name == own.raw() => Ok/if !name.is_empty() \&\& !own.raw().is_empty() => Ok/
any key is right for the usual reply | protocol/meta/hit.rs | s/strip_prefix(key)?/get(key.len()..)?/
what gave up leaves no placeholder | connection/due.rs | s/if index < self.encoded {/if index > self.encoded {/
what is not written at once is forgotten | connection/output.rs | s/self.out.len() > 0 || (self.encoded < /self.out.len() > 0 \&\& (self.encoded < /
what nobody may want is sent all the same | connection/ahead.rs | s/self.values == 0 || .*/true/
operations have no deadline | client/submit.rs | s/let deadline = now.after(timeout);/let deadline = now.after(Duration::MAX);/
max is no bound | server/pool.rs | s/\&\& connections < self.settings.pool.max() as usize/\&\& connections < usize::MAX/
written writes are sent again | operation/retry.rs | s/let maybe_applied = written && writes;/let maybe_applied = false;/
overdue connections are kept | client/timeout.rs | s/if !connection.is_overdue(now) {/if !connection.is_overdue(now) || true {/
a queue without a bound | server/admit.rs | s/Target::Queue if !self.has_room_for(load.module, \&share)/Target::Queue if false/
R1: a key that is named as it is cannot be read | protocol/dialect.rs | s/(Dialect::Meta, Some(key)) => .*/(Dialect::Meta, Some(_)) => decoder.line(buffer),/
R6: who shares an exchange waits for it however late it is | client/share.rs | s/let in_time = is_down || .*/let in_time = true;/
R7: what has ended is sent out of the queue | client/dispatch.rs | s/let waits = |id| calls.get(id).is_some_and(|call| call.stage == Stage::Queued);/let waits = |id| calls.contains_key(id);/
R13: the queue is overtaken | server/order.rs | s/if !self.queue.is_empty() {/if self.queue.len() > usize::MAX - 1 {/
R13: a key goes to any connection | server/order.rs | s/if self.connections.len() < 2 {/if self.connections.len() < 2000 {/
R13: the queue waits for a connection that is full | client/dispatch.rs | s/None if target == Target::Queue => break/None if target.connection().is_none() => break/
R13: a connection is never full | server/order.rs | s/return if load < most {/return if load < most || true {/
R14: waiting leases without a bound | front/lease_wait.rs | s/let full = self.count >= most;/let full = false;/
R18: what goes alone has others behind it | client/dispatch.rs | s/if is_alone \&\& server.lets_wait() {/if false {/
F38: more than a question is sent before the authentication | protocol/greeting.rs | s/Begin::Meta if self.credentials.is_none() =>/Begin::Meta =>/
F38: bytes are sent behind the authentication | protocol/text/encode.rs | s/out.put_shared(credentials.token());/out.put_shared(credentials.token()); out.put(b"\r\nversion");/
F38: who does not ask for the password gets it | protocol/greeting.rs | s/(Due::Version, Line::Version(text)) => return/(Due::Version, Line::Version(_)) if self.credentials.is_some() => Next::Ask(Due::Authentication),\n            &/
F40: connects without a limit | server/throttle.rs | s/return Err(now.after(wait));/let _ = wait;/
F40: all workers come back at once | server/health.rs | s/pause.mul_f64(policy.jitter.clamp(0.0, 1.0) \/ 4.0)/Duration::ZERO/
F48: what nginx closes as it exits is sent again | client/again.rs | s/if self.network.draining => End::Exit/if false => End::Exit/
F53: without sockets a server is down | server/failure.rs | s/Cause::Lost(Loss::NoResources) => {/Cause::Lost(Loss::NoResources) if false => {/
K: what waits for a server that leaves is dropped | client/reroute.rs | s/for call in server.empty_queue() {/for call in server.empty_queue().take(0) {/
K: what waits for a server that leaves fails | client/reroute.rs | s/if self.servers.get(server).is_some_and(Server::is_live) {/if false {/
K: a server that leaves gets operations | server/health.rs | s/if self.disabled || self.away || /if self.disabled || /
K: connections to a server that has left stay open | server/pool.rs | s/if network.draining || self.is_out_of_use() {/if network.draining || self.is_out_of_use() \&\& !self.has_left() {/
K: a server that has left is never forgotten | server/leave.rs | s/self.has_left() \&\& self.connections.is_empty()/false \&\& self.connections.is_empty()/
K: an id means a new server | server/places.rs | s/if self.empty.len() > MAX_GONE {/if !self.empty.is_empty() {/
K: the id of a server that has left is accepted | client/submit.rs | s/if self.servers.member(server).is_none() {/if self.servers.get(server).is_none() {/
K: keys are routed by the former list | client/members.rs | s/self.routes.follow(&self.config, &ids);/let _ = \&ids;/
K: a subset keeps those that have left | route/subset.rs | s/for route in &mut self.subsets {/for route in self.subsets.iter_mut().take(1) {/
K: a changed address keeps its connections | server/resolve.rs | s/None => self.move_to(0, network, now),/None => self.leave_all(|_| false, network, now),/
K: what the operator has taken out gets operations | server/health.rs | s/ || self.switch != Switch::Up {/ {/
K: what waits stays with a server that is taken out | client/switch.rs | s/Switch::Down => self.give_up_queue(id, now),/Switch::Down => {}/
K: a worker that is asked nothing does not notice the operator | client/switch.rs | s/self.follow_switches(now);/let _ = now;/
K: connections stay open to what the operator has taken out | server/pool.rs | s/if network.draining || self.is_out_of_use() {/if network.draining || self.has_left() {/
K: an address is asked for before one is known | server/pool.rs | s/self.has_addresses() \&\& connections/connections/
K: a name that is not resolved brings a server with addresses down | server/resolve.rs | s/if self.has_addresses() || self.has_left() {/if self.has_left() {/
K: the number of an address is of any list | server/arrive.rs | s/let is_known = shared.is_of(self.addresses.list()) \&\& /let is_known = /
K: a module takes the whole queue | server/share.rs | s/(taken < all \/ 2 || own < share())/(true || own < share())/
K: modules have no turns | server/queue.rs | s/self.turn = index.saturating_add(1);/self.turn = index;/
K: a module passes the write of another | server/queue.rs | s/map_or(Line(module), |held| held.line)/map_or(Line(module), |_| Line(module))/
K: a module takes all connections | front/modules.rs | s/is_heavy && self.others(module, now) > 0/is_heavy \&\& self.others(module, now) > 99/
K: a module that has to wait is not passed | client/dispatch.rs | s/Some(line) if target == Target::Queue => {/Some(_) if target == Target::Queue => break,\n                Some(line) if false => {/
K: an item lives for long on a backup server | client/link.rs | s/and_then(Server::longest_life)/and_then(|_| None)/
K: what is touched lives for long on a backup server | operation/life.rs | s/^            | Verb::Touch { ttl }$//; s/| Verb::Inspect$/| Verb::Inspect | Verb::Touch { .. }/
K: the place of a lease lives for long on a backup server | operation/life.rs | s/\*vivify = .*//
K: no item lives for long, on whatever server | server/settings.rs | s/filter(|_| server.backup)/filter(|_| config.failover == crate::config::Failover::Backup)/
K: backup servers have keys of their own | route/subset.rs | s/!config.backup \&\& is_part(id)/is_part(id)/
K: a key's backup is asked whether it is up or not | route/subset.rs | s/self.backups.stand_in(key, live)/self.backups.home(key).filter(|_| live(0) || true)/
F55: without memory operations are accepted | server/admit.rs | s/_ if !has_memory =>/_ if false =>/
LIST
}

missed=0
while IFS='|' read -r what file edit; do
    what=${what% } file=engine/src/${file// /} edit=${edit# }
    [[ $what == *"$word"* ]] || continue
    if sed "$edit" "$file" | cmp -s - "$file"; then
        echo "mutants: there is nothing to break in $file: $what" >&2
        missed=$((missed + 1))
        continue
    fi
    ((seconds > 0)) || continue
    rm -rf "$dir/copy"
    mkdir "$dir/copy"
    git ls-files -z | tar --null -T - -c | tar -x -C "$dir/copy"
    sed -i "$edit" "$dir/copy/$file"
    log=$dir/log
    tests=(--manifest-path "$dir/copy/Cargo.toml" --release -p memcache-engine --test memory --test sim)
    cargo test "${tests[@]}" --no-run >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
    if SIM_SECONDS=$seconds cargo test "${tests[@]}" -- --nocapture >"$log" 2>&1; then
        echo "mutants: NOT FOUND in $seconds s: $what"
        missed=$((missed + 1))
    else
        how=$(grep -Eo "after .* runs, .* s: run again with SIM_SEED=.*" "$log" ||
            grep -Eo "^thread '[^']*' .*panicked|^memory allocation of .* failed" "$log" || echo "the tests fail")
        how=$(head -n 1 <<<"$how")
        echo "mutants: $what: found, $how"
    fi
done < <(mutants)

((missed == 0))

#!/bin/bash
# clean-room.sh RELEASE ARGUMENT...: "make ARGUMENT..." on a Debian that has nothing but make, git, cargo and
# certificates, in a fresh clone of HEAD. RELEASE is 12 (bookworm), 13 (trixie) or sid. Everything is thrown away.
#
# The Debian is a folder in $TMPDIR, by default /var/tmp, made by debootstrap from the mirror of this machine. How the
# machine reaches the registries is carried over: proxies, certificates, apt's and cargo's settings. Cargo is Debian's
# where that is as new as Cargo.toml says, otherwise the one of this machine.
#
# What is mounted is mounted in a namespace of the processes in there, and ends with them: when the folder is removed,
# nothing of this machine is below it.

set -euo pipefail

here=$(realpath "$0")

main() {
    (($# > 1)) || { echo "usage: clean-room.sh RELEASE ARGUMENT..." >&2; exit 2; }
    local suite
    case $1 in
        12 | bookworm) suite=bookworm ;;
        13 | trixie) suite=trixie ;;
        sid | unstable) suite=sid ;;
        *) echo "clean-room: RELEASE is 12, 13 or sid, and not \"$1\"" >&2; exit 2 ;;
    esac
    shift
    ((EUID == 0)) || { echo "clean-room: only root can chroot" >&2; exit 1; }
    [[ -z $(git status --porcelain) ]] || echo "clean-room: what is not committed is not looked at" >&2
    bash build/deps.sh debootstrap

    dir=$(mktemp -d -p "${TMPDIR:-/var/tmp}" "clean-room.$suite.XXXXXX")
    inside=
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP

    git clone -q --no-hardlinks "$PWD" "$dir/clone"
    # A command that takes its time is waited for in the background: only so are signals handled at once. It ends with
    # this script, even if that is killed.
    setpriv --pdeathsig KILL -- unshare --mount --propagation private --pid --fork --kill-child --mount-proc -- \
        bash "$here" --inside "$dir" "$suite" "$@" </dev/null &
    inside=$!
    wait "$inside" || { local status=$?; inside=; exit "$status"; }
    inside=
    say "passed; it took $(du -sxm "$dir" | cut -f 1) MB"
}

clean_up() {
    local status=$?
    trap '' INT TERM HUP
    if [[ $inside ]] && kill -0 "$inside" 2>/dev/null; then
        # With it go all processes in there: that is --kill-child, and the end of their namespace.
        kill -KILL "$inside"
        wait "$inside" 2>/dev/null || true
    fi
    ((status == 0)) || say "failed, with $status"
    rm -rf --one-file-system "$dir" 2>/dev/null || { sleep 1; rm -rf --one-file-system "$dir"; }
}

say() {
    printf 'clean-room: %s, %d s: %s\n' "${suite:-}" "$SECONDS" "$*"
}

# As the first process of the namespaces.
inside() {
    local dir=$1
    suite=$2 root=$dir/root
    shift 2

    local mirror
    mirror=$(bash build/mirror.sh)
    say "debootstrap, from $mirror"
    debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$mirror" >"$dir/log" 2>&1 ||
        { tail -n 20 "$dir/log" >&2; exit 1; }

    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/dev/shm"
    mv "$dir/clone" "$root/root/ngx-memcache"
    carry_over
    install_rust

    say "make $*"
    in_there 'cd ~/ngx-memcache && make "$@"' - "$@"
}

in_there() {
    chroot "$root" env -i "${keep[@]}" bash -c "$@"
}

# How this machine reaches the mirror and the registries.
carry_over() {
    local file name
    cp -L /etc/resolv.conf /etc/hosts "$root/etc"
    apt-config dump | grep -E '^Acquire::(https?|Check-|Retries|ForceIPv)' >"$root/etc/apt/apt.conf.d/99machine" || true
    for file in auth.conf auth.conf.d; do
        [[ ! -e /etc/apt/$file ]] || cp -rT "/etc/apt/$file" "$root/etc/apt/$file"
    done
    mkdir "$root/root/.cargo"
    for file in config config.toml; do
        file=${CARGO_HOME:-$HOME/.cargo}/$file
        [[ ! -e $file ]] || cp "$file" "$root/root/.cargo"
    done
    # All authorities that this machine trusts: a proxy may have one of its own.
    cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/machine.crt"

    keep=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
        CARGO_HTTP_CAINFO=/etc/ssl/machine.crt SSL_CERT_FILE=/etc/ssl/machine.crt)
    while IFS= read -r name; do
        keep+=("$name=${!name}")
    done < <(compgen -e | grep -Ei '^(https?|ftp|all|no)_proxy$|^CARGO_(NET|REGISTR|SOURCE|PROFILE|BUILD_JOBS)')
}

install_rust() {
    local promised debian packages=(make git)
    promised=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    in_there 'apt-get update -q=2'
    debian=$(in_there "apt-cache show --no-all-versions rustc | sed -n 's/^Version: //p'")

    if dpkg --compare-versions "$debian" ge "$promised"; then
        packages+=(cargo rustc)
    else
        say "rustc of Debian is $debian, which is older than $promised: that of this machine is taken"
        mkdir "$root/opt/rust"
        mount --bind "$(rustc --print sysroot)" "$root/opt/rust"
        mount -o remount,bind,ro "$root/opt/rust"
        keep[0]+=:/opt/rust/bin
    fi
    say "apt-get install ${packages[*]}"
    in_there 'DEBIAN_FRONTEND=noninteractive apt-get install -y -q=2 --no-install-recommends "$@" >/tmp/log 2>&1 ||
        { cat /tmp/log >&2; exit 1; }' - "${packages[@]}"
    in_there 'rustc -V'
}

if [[ ${1:-} == --inside ]]; then
    shift
    inside "$@"
else
    main "$@"
fi

# A private PostgreSQL cluster for as long as the calling script runs. Source this, then:
#
#   postgres_start   sets POSTGRES_URL (a superuser, TCP on 127.0.0.1) and puts psql on the PATH
#   postgres_stop    stops it and removes its data; call it from an EXIT trap
#
# Whatever server happens to run on the machine is never used.

# shellcheck source=scripts/lib/install.sh
. "${BASH_SOURCE[0]%/*}/install.sh"

postgres_dir=
postgres_bin=
postgres_user=

# Sets postgres_bin to the newest folder of server programs. Debian keeps them off the PATH.
postgres_find() {
    local dir
    for dir in $(printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin | sort -rV) \
        "$(pg_config --bindir 2>/dev/null)" "$(dirname "$(command -v initdb)")"; do
        if [[ -x $dir/initdb && -x $dir/pg_ctl && -x $dir/psql ]]; then
            postgres_bin=$dir
            return
        fi
    done
    return 1
}

# The server refuses to run as root, so root runs it as another user.
postgres_run() {
    if [[ -z $postgres_user ]]; then
        "$postgres_bin/$1" "${@:2}"
    else
        (cd "$postgres_dir" && exec setpriv --reuid="$postgres_user" --regid="$(id -g "$postgres_user")" --clear-groups \
            "$postgres_bin/$1" "${@:2}")
    fi
}

postgres_start() {
    postgres_find || install_package "PostgreSQL's server (initdb, pg_ctl)" postgresql || return
    postgres_find

    local password port
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    postgres_dir=$(mktemp -d "${TMPDIR:-/tmp}/latchkey-postgres.XXXXXXXX")
    (umask 077 && echo "$password" >"$postgres_dir/password")
    if ((EUID == 0)); then
        postgres_user=postgres
        id -u postgres >/dev/null 2>&1 || postgres_user=nobody
        chown -R "$postgres_user" "$postgres_dir"
    fi

    if ! postgres_run initdb --pgdata="$postgres_dir/data" --username=latchkey_test --pwfile="$postgres_dir/password" \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C >"$postgres_dir/initdb.log" 2>&1; then
        cat "$postgres_dir/initdb.log" >&2
        return 1
    fi
    # The ports lie below those that the kernel gives to outgoing connections. One that is taken costs another try.
    for _ in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 10000))
        if postgres_run pg_ctl start --silent --wait --pgdata="$postgres_dir/data" --log="$postgres_dir/server.log" \
            --options="-p $port -h 127.0.0.1 -k '' -N 200" >/dev/null 2>&1; then
            POSTGRES_URL="postgres://latchkey_test:$password@127.0.0.1:$port/postgres"
            PATH="$PATH:$postgres_bin"
            echo "PostgreSQL $(psql "$POSTGRES_URL" -Atc 'SHOW server_version') on 127.0.0.1:$port"
            return
        fi
    done
    echo "PostgreSQL did not start:" >&2
    tail -n 20 "$postgres_dir/server.log" >&2
    return 1
}

postgres_stop() {
    [[ -n $postgres_dir ]] || return 0
    # The data goes, so nothing need be flushed.
    [[ ! -f $postgres_dir/data/postmaster.pid ]] ||
        postgres_run pg_ctl stop --silent --mode=immediate --pgdata="$postgres_dir/data" || true
    rm -rf "$postgres_dir"
    postgres_dir=
}

# PgBouncer for the tests of several nodes. Source this, then:
#
#   pgbouncer_find   sets PGBOUNCER to a program that keeps prepared statements apart (1.21 or newer); builds it if need be
#
# Debian 12 has an older one, so it is built from the source package of Debian 13.

# shellcheck source=scripts/lib/install.sh
. "${BASH_SOURCE[0]%/*}/install.sh"

pgbouncer_version=1.24.1
pgbouncer_source=http://deb.debian.org/debian/pool/main/p/pgbouncer/pgbouncer_$pgbouncer_version.orig.tar.gz
pgbouncer_sha256=da72a3aba13072876d055a3e58dd4aba4a5de4ed6148e73033185245598fd3e0

# Whether it is there and new enough.
pgbouncer_fits() {
    local version
    version=$("$1" --version 2>/dev/null | sed -n 's/^PgBouncer //p')
    [[ -n $version && $(printf '%s\n' 1.21 "$version" | sort -V | head -n 1) == 1.21 ]]
}

pgbouncer_find() {
    local dir="${CARGO_TARGET_DIR:-$PWD/target}/pgbouncer"
    for PGBOUNCER in "$(command -v pgbouncer)" /usr/sbin/pgbouncer "$dir/pgbouncer"; do
        if [[ -x $PGBOUNCER ]] && pgbouncer_fits "$PGBOUNCER"; then
            echo "$("$PGBOUNCER" --version | head -n 1) in $PGBOUNCER"
            return
        fi
    done
    command -v curl >/dev/null && pkg-config --exists libevent openssl 2>/dev/null ||
        install_package "PgBouncer 1.21 or newer, or what it is built with," build-essential curl libevent-dev libssl-dev \
            pkg-config || return
    echo "Building PgBouncer $pgbouncer_version in $dir"
    rm -rf "$dir" && mkdir -p "$dir/source"
    curl --silent --show-error --fail --retry 3 --output "$dir/source.tar.gz" "$pgbouncer_source"
    echo "$pgbouncer_sha256  $dir/source.tar.gz" | sha256sum --check --quiet
    tar --extract --gzip --file="$dir/source.tar.gz" --directory="$dir/source" --strip-components=1
    (cd "$dir/source" && ./configure --without-cares --without-pam --without-systemd && make pgbouncer) >"$dir/log" 2>&1 ||
        { tail -n 20 "$dir/log" >&2 && return 1; }
    cp "$dir/source/pgbouncer" "$dir/pgbouncer"
    rm -rf "$dir/source"
    PGBOUNCER=$dir/pgbouncer
}

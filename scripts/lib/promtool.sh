# promtool, which tests the alerts. Source this, then:
#
#   promtool_find   sets PROMTOOL to it; takes it out of Debian's package if need be
#
# Debian has it in the package of the whole server, which would be started where it is installed.

promtool_find() {
    local dir="${CARGO_TARGET_DIR:-$PWD/target}/promtool"
    for PROMTOOL in "$(command -v promtool)" "$dir/promtool"; do
        if [[ -x $PROMTOOL ]]; then
            echo "promtool in $PROMTOOL"
            return
        fi
    done
    if ! command -v apt-get >/dev/null; then
        echo "promtool was not found. Install it (it comes with Prometheus) and try again." >&2
        return 1
    fi
    echo "Taking promtool out of the package prometheus into $dir"
    rm -rf "$dir" && mkdir -p "$dir/package"
    # As root apt-get would warn that its own user can't write there.
    local download=(apt-get download -qq -o APT::Sandbox::User=root prometheus)
    (cd "$dir/package" && { "${download[@]}" 2>/dev/null || { apt-get update -qq && "${download[@]}"; }; } && dpkg -x ./*.deb .) ||
        return
    mv "$dir/package/usr/bin/promtool" "$dir"
    rm -rf "$dir/package"
    PROMTOOL=$dir/promtool
}

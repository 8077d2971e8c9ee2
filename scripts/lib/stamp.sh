# shellcheck shell=bash
# What results were had with. Source this, then:
#
#   commit   the commit; what measuring writes itself does not make the tree another one
#   stamp    date, commit and machine

commit() {
    local name
    name=$(git rev-parse --short HEAD)
    git diff --quiet HEAD -- . ':!BENCHMARKS.md' ':!docs/proof.md' ':!tests/fuzz/corpus' || name+=-dirty
    printf '%s\n' "$name"
}

stamp() {
    printf '%s, %s, %s × %s\n' "$(date -u +%F)" "$(commit)" "$(nproc)" "$(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n 1)"
}

# Java for the tests: two generators of clients run on it, and one client is built with it. Source this, then:
#
#   java_find   sees to it that there are a JDK and Maven

# shellcheck source=scripts/lib/install.sh
. "${BASH_SOURCE[0]%/*}/install.sh"

java_find() {
    if ! command -v javac >/dev/null || ! command -v mvn >/dev/null; then
        install_package "A JDK (17 or newer) with Maven" default-jdk-headless maven || return
    fi
    javac -version
}

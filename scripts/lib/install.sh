# install_package PROGRAM PACKAGE...   as root on Debian or Ubuntu installs the packages; elsewhere says what is missing
install_package() {
    local program=$1
    shift
    if ((EUID)) || ! command -v apt-get >/dev/null; then
        echo "$program was not found. Install it (on Debian: apt-get install $*) and try again." >&2
        return 1
    fi
    echo "Installing $*"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

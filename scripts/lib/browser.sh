# The browser of the tests. Source this, then:
#
#   browser_find   sees to it that there is one that takes orders (WebDriver)

# shellcheck source=scripts/lib/install.sh
. "${BASH_SOURCE[0]%/*}/install.sh"

browser_find() {
    command -v chromedriver >/dev/null || install_package "Chromium with chromedriver" chromium chromium-driver || return
    chromedriver --version | cut -d' ' -f1,2
}

# The Python tools of the tests, in an environment of their own. Source this, then:
#
#   python_environment   sets PYTHON to its interpreter; installs only when the requirements have changed

# shellcheck source=scripts/lib/install.sh
. "${BASH_SOURCE[0]%/*}/install.sh"

python_environment() {
    local dir="${CARGO_TARGET_DIR:-$PWD/target}/python"
    PYTHON=$dir/bin/python
    if cat tests/requirements.txt tests/constraints.txt | cmp -s - "$dir/installed" && "$PYTHON" -c '' 2>/dev/null; then
        echo "Python tools in $dir"
        return
    fi

    python3 -c 'import sys, ensurepip; assert sys.version_info >= (3, 10)' 2>/dev/null ||
        install_package "Python 3.10 or newer with its venv module" python3 python3-venv || return
    echo "Installing the Python tools into $dir"
    python3 -m venv --clear "$dir"
    "$PYTHON" -m pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt
    cat tests/requirements.txt tests/constraints.txt >"$dir/installed"
}

# shellcheck shell=bash
# uv, and the virtual environments of the orchestrator and the tests. scripts/bootstrap sets LOG and ROOT.

PYTHON_MINIMUM=3.11
CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt

# Run uv, because a version manager's shim on PATH may not work.
uv_works() { uv --version >/dev/null 2>&1; }

ensure_uv() {
    uv_works && return
    local home=/usr/local/lib/glm-tts bin=/usr/local/bin
    is_root || { home=$HOME/.local/share/glm-tts && bin=$HOME/.local/bin; }
    if ! [ -x "$bin/uv" ]; then
        ensure_python
        say "installing uv into $home/uv"
        {
            python3 -m venv --clear "$home/uv" &&
                "$home/uv/bin/python" -m pip install --quiet --no-cache-dir --require-hashes --no-deps -r "$ROOT/locks/uv.txt"
        } >"$LOG" 2>&1 || fail "uv could not be installed" "$(tail -n 5 "$LOG")" "check that pip reaches its package index (pip config list), or install uv yourself"
        mkdir -p "$bin"
        ln -sf "$home/uv/bin/uv" "$bin/uv"
    fi
    uv_works || {
        PATH=$bin:$PATH
        say "uv is in $bin; add this folder to your PATH"
    }
}

# Ensure a Python that can make a venv, to install uv with pip.
ensure_python() {
    python3 -c 'import ensurepip, venv, ssl' 2>/dev/null && [ -r "$CA_BUNDLE" ] && return
    need_root "installing Python"
    have apt-get || fail "python3 with venv is missing" "bootstrap installs it with apt only" "install Python $PYTHON_MINIMUM or newer, then run this again"
    apt_update
    apt_install python3 python3-venv ca-certificates
}

ensure_venv() { sync_venv .venv dev weights; }

# Also torch with its CUDA libraries (7 GB), for the tests of the engine that uses it.
ensure_torch_venv() { sync_venv .venv-torch dev weights torch; }

# sync_venv NAME LOCK...: make the venv contain exactly the packages of its locks. A copy of the locks in the venv shows
# whether it is up to date.
sync_venv() {
    local name=$1 venv=$ROOT/$1 locks=()
    shift
    locks=("${@/#/$ROOT/locks/}") && locks=("${locks[@]/%/.txt}")
    cat "${locks[@]}" | cmp --silent - "$venv/synced-from.txt" && [ -x "$venv/bin/python" ] && return
    use_machine_settings
    say "syncing $name from ${locks[*]#"$ROOT/"}"
    { [ -x "$venv/bin/python" ] || uv venv --quiet --no-config --python ">=$PYTHON_MINIMUM" --clear "$venv"; } 2>"$LOG" ||
        fail "$name could not be created" "$(tail -n 3 "$LOG")" "install Python $PYTHON_MINIMUM or newer, then run this again"
    uv pip sync --no-config --quiet --require-hashes --python "$venv" "${locks[@]}" 2>"$LOG" ||
        fail "$name could not be synced" "$(tail -n 8 "$LOG")" "check that the package index is reachable, then run this again"
    cat "${locks[@]}" >"$venv/synced-from.txt"
}

# uv reads neither pip's settings nor the system's certificates, so pass it the machine's index and CA bundle.
use_machine_settings() {
    local index
    index=${PIP_INDEX_URL:-$(sed -n 's/^[[:space:]]*index-url[[:space:]]*=[[:space:]]*//p' \
        "$HOME/.config/pip/pip.conf" "$HOME/.pip/pip.conf" /etc/pip.conf 2>/dev/null | head -n 1 || true)}
    [ -z "$index" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"
    [ ! -r "$CA_BUNDLE" ] || export SSL_CERT_FILE="${SSL_CERT_FILE:-$CA_BUNDLE}"
}

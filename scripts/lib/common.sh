# shellcheck shell=bash
# Functions shared by all parts of bootstrap: messages, errors, and apt.

say() { printf 'bootstrap: %s\n' "$*" >&2; }

# fail WHAT WHY REMEDY
fail() {
    printf 'bootstrap: error: %s\n  why:    %s\n  remedy: %s\n' "$1" "$2" "$3" >&2
    exit 1
}

is_root() { [ "$(id -u)" -eq 0 ]; }

have() { command -v "$1" >/dev/null 2>&1; }

runs_systemd() { [ "$(cat /proc/1/comm)" = systemd ]; }

# need_root WHAT: fail for a user other than root, with the command to run instead.
need_root() {
    is_root || fail "$1 needs root" "you are $(id -un)" "sudo $ROOT/scripts/bootstrap"
}

# Install apt packages without removing any. Without systemd, RUNLEVEL=1 makes invoke-rc.d start no services, because
# start_engine starts the engine and checks the result.
apt_install() {
    say "installing $*"
    local quiet_services=()
    runs_systemd || quiet_services=(RUNLEVEL=1)
    env DEBIAN_FRONTEND=noninteractive "${quiet_services[@]}" apt-get -o DPkg::Lock::Timeout=300 install \
        -qq --yes --no-install-recommends --no-remove "$@" >"$LOG" 2>&1 </dev/null ||
        fail "apt-get could not install: $*" "$(tail -n 5 "$LOG")" "run apt-get update and apt-get -f install, then run this again"
}

# Refresh apt's lists once in a run, and again after apt_sources_changed.
APT_IS_FRESH=
apt_sources_changed() { APT_IS_FRESH=; }
apt_update() {
    [ -z "$APT_IS_FRESH" ] || return 0
    say "refreshing apt's lists"
    apt-get -o DPkg::Lock::Timeout=300 update -qq >"$LOG" 2>&1 ||
        fail "apt-get update failed" "$(tail -n 5 "$LOG")" "correct the sources in /etc/apt, then run this again"
    APT_IS_FRESH=yes
}

# Print "URI SUITE" of each Debian archive in this machine's apt configuration, in either format of source files.
debian_archives() {
    # shellcheck disable=SC2016  # the $() are apt's own fields
    apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
        awk '$1 == "Debian" { print $2, $3 }' | sort -u
}

# Print the URI of the machine's main Debian mirror, the source of its own release, whichever suites are enabled.
debian_mirror() {
    local mirror
    mirror=$(debian_archives | awk '$2 ~ /^[a-z]+$/ { print $1; exit }')
    [ -n "$mirror" ] || {
        apt_update
        mirror=$(debian_archives | awk '$2 ~ /^[a-z]+$/ { print $1; exit }')
    }
    [ -n "$mirror" ] || fail "no Debian mirror is configured" "bootstrap needs one, and apt lists no archive of origin Debian" \
        "add a mirror that this machine can reach to /etc/apt/sources.list, then run this again"
    printf '%s\n' "$mirror"
}

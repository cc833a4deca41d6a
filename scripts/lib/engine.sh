# shellcheck shell=bash
# Docker Engine, Compose and buildx: use the installed ones unchanged, install missing ones.

ENGINE_MINIMUM=26
ENGINE_LOG=/var/log/dockerd.log
ENGINE_WAIT_S=60

# Whether the engine answers; sets ENGINE_VERSION, which stays empty if it does not.
engine_answers() { ENGINE_VERSION=$(docker info --format '{{.ServerVersion}}' 2>/dev/null) && [ -n "$ENGINE_VERSION" ]; }

ensure_engine() {
    engine_answers || refuse_foreign_engine
    install_missing
    [ -n "$ENGINE_VERSION" ] || start_engine
    [ "${ENGINE_VERSION%%.*}" -ge "$ENGINE_MINIMUM" ] ||
        fail "Docker Engine $ENGINE_VERSION is too old" "this project needs $ENGINE_MINIMUM or newer; bootstrap never replaces an installed engine" \
            "upgrade the engine, then run this again"
}

install_missing() {
    local missing=() plugin
    [ -n "$ENGINE_VERSION" ] || { have dockerd && have docker; } || missing+=(docker.io docker-cli containerd iptables)
    for plugin in compose buildx; do
        docker "$plugin" version >/dev/null 2>&1 || missing+=("docker-$plugin")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    need_root "installing ${missing[*]}"
    install_packages "${missing[@]}"
    for plugin in compose buildx; do
        docker "$plugin" version >"$LOG" 2>&1 ||
            fail "docker $plugin does not work after its installation" "$(tail -n 3 "$LOG")" "remove an older docker-$plugin from ~/.docker/cli-plugins, then run this again"
    done
}

# Fail instead of installing a second engine if Docker points to another host or this user may not open the socket.
refuse_foreign_engine() {
    have docker || return 0
    local host why
    host=${DOCKER_HOST:-$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null || true)}
    why=$(docker info --format '{{.ServerVersion}}' 2>&1 | tail -n 1 || true)
    case $host in
        '' | unix:///var/run/docker.sock | unix:///run/docker.sock) ;;
        *) fail "the engine at $host does not answer" "$why" "start it, or use this machine's engine: unset DOCKER_HOST DOCKER_CONTEXT" ;;
    esac
    if ! is_root && [ -S /var/run/docker.sock ] && ! [ -w /var/run/docker.sock ]; then
        fail "$(id -un) has no access to Docker" "/var/run/docker.sock is not writable" \
            "sudo usermod -aG docker $(id -un) && newgrp docker"
    fi
}

# Install packages. On Debian 12, take them from Debian 13, because Debian 12's engine (20.10) is too old.
install_packages() {
    local id version
    # shellcheck source=/dev/null
    read -r id version < <(. /etc/os-release && echo "$ID ${VERSION_ID:-}")
    case $id:$version in
        debian:12) add_trixie ;;
        debian:*) apt_update ;;
        *) fail "Docker Engine $ENGINE_MINIMUM, Compose v2 or buildx is missing" "bootstrap installs them on Debian only; this is $id $version" \
            "install them as the documentation of your distribution says, then run this again" ;;
    esac
    apt_install "$@"
}

# Add Debian 13's archive with a priority below all installed packages, except for the engine's packages. apt takes only
# these packages and their missing dependencies from it (runc stays at Debian 12's version).
add_trixie() {
    local sources=/etc/apt/sources.list.d/glm-tts-docker.sources mirror
    if ! [ -f "$sources" ]; then
        mirror=$(debian_mirror) || exit 1
        say "adding Debian 13's archive at the configured mirror, for the engine's packages only"
        cat >/etc/apt/preferences.d/glm-tts-docker.pref <<'PREF'
Explanation: written by scripts/bootstrap; remove it together with sources.list.d/glm-tts-docker.sources
Package: *
Pin: release n=trixie
Pin-Priority: 50

Package: docker.io docker-cli docker-compose docker-buildx containerd
Pin: release n=trixie
Pin-Priority: 600
PREF
        cat >"$sources" <<SOURCES
# Written by scripts/bootstrap: Docker Engine, Compose and buildx; preferences.d/glm-tts-docker.pref holds it to them.
Types: deb
URIs: $mirror
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
        apt_sources_changed
    fi
    apt_update
}

start_engine() {
    local pid=
    need_root "starting Docker Engine"
    if runs_systemd; then
        say "starting the engine (systemctl start docker)"
        systemctl start docker >"$LOG" 2>&1 || fail "the engine did not start" "$(tail -n 5 "$LOG")" "journalctl -u docker"
    elif engine_runs; then
        say "the engine is already starting"
    else
        say "starting the engine in the background (log: $ENGINE_LOG)"
        drop_stale_pids
        setsid nohup dockerd >>"$ENGINE_LOG" 2>&1 </dev/null 9<&- &
        pid=$!
    fi
    wait_for_engine "$pid"
}

# Whether dockerd runs, by its pid file. A second dockerd in this network namespace would take over the first's bridge.
engine_runs() { pid_file_holds /var/run/docker.pid dockerd; }

# pid_file_holds FILE NAME: whether the process in the file is alive (a zombie is not) and has that name.
pid_file_holds() {
    local pid='' name='' state=''
    { read -r pid <"$1" || [ -n "$pid" ]; } 2>/dev/null || return 1
    { read -r _ name state _ <"/proc/$pid/stat"; } 2>/dev/null || return 1
    [ "$name" = "($2)" ] && [ "$state" != Z ]
}

# Remove the pid files of a killed engine. If another process has the same pid now, dockerd would refuse to start.
drop_stale_pids() {
    pid_file_holds /var/run/docker.pid dockerd || rm -f /var/run/docker.pid
    pid_file_holds /var/run/docker/containerd/containerd.pid containerd || rm -f /var/run/docker/containerd/containerd.pid
}

# wait_for_engine [PID]: wait until the engine answers; fail if it exits or ENGINE_WAIT_S seconds have passed.
wait_for_engine() {
    local until=$((SECONDS + ENGINE_WAIT_S))
    until engine_answers; do
        if [ -n "$1" ] && ! kill -0 "$1" 2>/dev/null; then
            fail "the engine exited while it started" "$(tail -n 8 "$ENGINE_LOG")" "less $ENGINE_LOG"
        fi
        [ "$SECONDS" -lt "$until" ] ||
            fail "the engine does not answer after $ENGINE_WAIT_S s" "$(tail -n 8 "$ENGINE_LOG" 2>&1)" "less $ENGINE_LOG, or journalctl -u docker"
        sleep 0.2
    done
    say "the engine answers: $ENGINE_VERSION"
}

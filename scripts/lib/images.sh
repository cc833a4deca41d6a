# shellcheck shell=bash
# The images that Dockerfile.base builds on: the genuine ones if they can be pulled, otherwise stand-ins.
# A stand-in has the label ai.glm-tts.standin, and a production push rejects an image that is built on it.

OS_IMAGE=debian:bookworm-slim
OS_STANDIN=standin/debian:bookworm-slim
CUDA_IMAGE=nvidia/cuda:11.8.0-base-ubuntu22.04
CUDA_STANDIN=standin/nvidia-cuda:11.8.0-base
GUIDE=docs/guides/first-production-deployment.md
PLATFORM=linux/amd64 # the platform of the locks
PULL_LIMIT_S=120 # the larger of the two images is about 90 MB

# These variables would redirect a pull, an import or a build to another platform or builder.
unset DOCKER_DEFAULT_PLATFORM BUILDX_BUILDER

has_image() { docker image inspect "$1" >/dev/null 2>&1; }

# pull IMAGE: whether the pull succeeded within the limit; print the reason if not.
pull() {
    say "pulling $1"
    timeout "$PULL_LIMIT_S" docker pull --quiet --platform "$PLATFORM" "$1" >"$LOG" 2>&1 && return
    say "$1 cannot be pulled: $(tail -n 1 "$LOG")"
    return 1
}

# has_standin GENUINE STANDIN: whether the stand-in exists from an earlier run. It is not replaced automatically: each attempt
# costs PULL_LIMIT_S if Docker Hub is unreachable, and another OS image changes the base for all users of this engine.
has_standin() {
    has_image "$2" && say "using $2 instead of $1; if Docker Hub is reachable: docker pull $1 ($GUIDE)"
}

ensure_os_image() {
    has_image "$OS_IMAGE" || has_standin "$OS_IMAGE" "$OS_STANDIN" || pull "$OS_IMAGE" || build_os_standin
}

ensure_cuda_image() {
    has_image "$CUDA_IMAGE" || has_standin "$CUDA_IMAGE" "$CUDA_STANDIN" || pull "$CUDA_IMAGE" || build_cuda_standin
}

refresh_os_image() { refresh_image "$OS_IMAGE" "$OS_STANDIN" build_os_standin; }

refresh_cuda_image() { refresh_image "$CUDA_IMAGE" "$CUDA_STANDIN" build_cuda_standin; }

# refresh_image IMAGE STANDIN BUILD: pull the image again. If that fails and the genuine image is not on the engine,
# BUILD rebuilds the stand-in. Every failure leaves the existing image under its name.
refresh_image() {
    ! pull "$1" || return 0
    ! has_image "$1" || fail "$1 was not refreshed" "$(tail -n 1 "$LOG")" "check that its registry is reachable: docker pull $1; the old image is unchanged"
    "$3"
}

# Build Debian 12 from the machine's own mirror, without files that a container never reads, like the real slim image.
build_os_standin() {
    need_root "building the stand-in $OS_STANDIN"
    have apt-get || fail "no stand-in can be built for $OS_IMAGE" "it is made from a Debian mirror, and this machine has no apt" \
        "load the genuine image on this machine: docker load --input FILE"
    have mmdebstrap || { apt_update && apt_install mmdebstrap; }
    local sources options=() option
    sources=$(bookworm_sources)
    while read -r option; do options+=("--aptopt=$option"); done < <(clock_options)
    for option in man info locale groff lintian linda 'doc/*'; do options+=("--dpkgopt=path-exclude=/usr/share/$option/*"); done
    # apt would install usrmerge with 50 MB of perl for a dependency that usr-is-merged also satisfies. usr-is-merged
    # checks that /usr is merged, so mmdebstrap's hooks merge it before the first package.
    # shellcheck disable=SC2016  # mmdebstrap sets $1 to the new system's root
    options+=('--setup-hook=printf "Package: usrmerge\nPin: release *\nPin-Priority: -1\n" >"$1/etc/apt/preferences.d/usrmerge"'
        '--customize-hook=rm "$1/etc/apt/preferences.d/usrmerge"' '--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr')
    say "building the stand-in $OS_STANDIN from $(awk '{ print $2; exit }' <<<"$sources")"
    # A fixed date for every file, for mmdebstrap's reproducible output: the day Debian 12 was released.
    # The output goes through a file, so that a failed build leaves no image.
    SOURCE_DATE_EPOCH=1686355200 mmdebstrap --variant=minbase --format=tar --aptopt='Acquire::Languages "none"' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' "${options[@]}" bookworm "$SCRATCH/os.tar" - <<<"$sources" >"$LOG" 2>&1 ||
        fail "the stand-in $OS_STANDIN could not be built" "$(grep '^E:' "$LOG" | cut -c 1-200)" "check that the Debian mirror is reachable: apt-get update"
    import_os_standin "$SCRATCH/os.tar"
    say "using $OS_STANDIN instead of $OS_IMAGE; a production push rejects an image built on it ($GUIDE)"
}

# import_os_standin TAR: import the image under the stand-in's name. If the existing stand-in has the same files, keep
# it, so that images built on it stay valid.
import_os_standin() {
    local new=$OS_STANDIN-new
    docker import --change 'LABEL ai.glm-tts.standin=os' --change 'CMD ["bash"]' \
        --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' "$1" "$new" >/dev/null
    if has_image "$OS_STANDIN" && [ "$(layers "$OS_STANDIN")" = "$(layers "$new")" ]; then
        say "$OS_STANDIN is up to date with the mirror"
    else
        docker tag "$new" "$OS_STANDIN"
    fi
    docker image rm "$new" >/dev/null
}

layers() { docker image inspect --format '{{json .RootFS.Layers}}' "$1"; }

# Print one-line apt sources of bookworm, its updates and its security fixes, at the archives that this machine uses.
bookworm_sources() {
    local mirror
    mirror=$(debian_mirror) || exit 1
    printf 'deb %s bookworm main\ndeb %s bookworm-updates main\n' "$mirror" "$mirror"
    debian_archives | awk '$2 ~ /-security$/ { print "deb", $1, "bookworm-security", "main"; exit }'
}

# Print this machine's apt options about the mirror's dates (a frozen mirror is out of date on purpose); builds need
# them too.
clock_options() { apt-config dump | grep -E '^Acquire::Check-(Valid-Until|Date) ' || true; }

build_cuda_standin() {
    local os=$OS_IMAGE
    has_image "$os" || os=$OS_STANDIN
    say "building the stand-in $CUDA_STANDIN (Debian's CUDA 11.8 runtime)"
    # The context is one small folder, because this target copies nothing and the clone may hold gigabytes.
    # Use the engine's own builder: another builder would not put the image into the engine's store.
    docker buildx build --quiet --no-cache --builder "$(docker context show)" --platform "$PLATFORM" \
        --file "$ROOT/Dockerfile.standin" --target cuda --build-arg "OS_IMAGE=$os" --tag "$CUDA_STANDIN" "$ROOT/locks" >"$LOG" 2>&1 ||
        fail "the stand-in $CUDA_STANDIN could not be built" "$(tail -n 8 "$LOG")" \
            "docker buildx build --file Dockerfile.standin --target cuda --build-arg OS_IMAGE=$os locks"
    say "using $CUDA_STANDIN instead of $CUDA_IMAGE; a production push rejects an image built on it ($GUIDE)"
}

#!/bin/sh
# Upgrade every package of an OS image from a mirror at /srv/newer, which keeps only the packages that builds install later.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
# shellcheck source=/dev/null
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")-security
mirror=/srv/newer
index=$mirror/dists/$suite/main/binary-amd64
# Packages of later builds: libncursesw6 depends on an exact version of libtinfo6, and Python depends on libncursesw6.
later='tini libncursesw6'

apt-get update -q
mkdir -p /tmp/newer "$mirror/pool" "$index"
cd /tmp/newer
# shellcheck disable=SC2046,SC2086  # words
apt-get download -q $(dpkg-query --show --showformat '${Package} ') $later

# Packages of one source depend on each other's exact versions.
for old in *.deb; do
    dpkg-deb --raw-extract "$old" tree
    sed -i -e 's/^Version: .*/&+newer/' -e '/^\(Pre-\)\{0,1\}Depends: /s/(= \([^)]*\))/(= \1+newer)/g' tree/DEBIAN/control
    name=$(sed -n 's/^Package: //p' tree/DEBIAN/control)
    new=pool/$name.deb
    dpkg-deb --root-owner-group -Zgzip -z1 --build tree "$mirror/$new" >/dev/null
    {
        dpkg-deb --field "$mirror/$new"
        echo "Filename: $new"
        echo "Size: $(stat -c %s "$mirror/$new")"
        echo "SHA256: $(sha256sum "$mirror/$new" | cut -d ' ' -f 1)"
        echo
    } >>"$index/Packages"
    rm -r tree "$old"
done
cat >"$mirror/dists/$suite/Release" <<RELEASE
Origin: Test
Suite: $suite
Codename: $suite
Components: main
Architectures: amd64
Date: $(date -u '+%a, %d %b %Y %H:%M:%S UTC')
SHA256:
 $(sha256sum "$index/Packages" | cut -d ' ' -f 1) $(stat -c %s "$index/Packages") main/binary-amd64/Packages
RELEASE
echo "deb [trusted=yes] file:$mirror $suite main" >/etc/apt/sources.list.d/newer.list
apt-get update -q
apt-get dist-upgrade -y -q
if dpkg-query --show --showformat '${Package} ${Version}\n' | grep -v '+newer$'; then exit 1; fi
for package in $later; do mv "$mirror/pool/$package.deb" /tmp/newer; done
rm "$mirror"/pool/*.deb
mv ./*.deb "$mirror/pool"
cd / && rm -rf /tmp/newer /var/lib/apt/lists/* /var/cache/apt/* /var/log/*

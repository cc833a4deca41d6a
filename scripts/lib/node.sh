# shellcheck shell=bash
# Node with npm, for the tests that run OpenAI's client for Node.

ensure_node() {
    have node && have npm && return
    need_root "installing Node"
    have apt-get || fail "node or npm is missing" "bootstrap installs them with apt only" "install Node 18 or newer with npm, then run this again"
    apt_update
    apt_install nodejs npm
}

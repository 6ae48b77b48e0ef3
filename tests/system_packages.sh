#!/bin/sh
# nginx and Chromium for the tests of the real stack, from Debian, where they may be installed. Tests that lack
# one skip and say why.
missing=""
for pair in nginx:nginx-light chromium:chromium openssl:openssl; do
    PATH="$PATH:/usr/sbin" command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null 2>&1 || { echo "not installed here, tests that need them skip:$missing"; exit 0; }
root=""
if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || { echo "no right to install, tests that need them skip:$missing"; exit 0; }
    root="sudo -n"
fi
# RUNLEVEL=1: nginx must not be started by being installed, the tests start their own.
quiet="env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1"
$root apt-get update -qq >/dev/null 2>&1
# shellcheck disable=SC2086
$root $quiet apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 ||
    echo "could not be installed, tests that need them skip:$missing"
exit 0

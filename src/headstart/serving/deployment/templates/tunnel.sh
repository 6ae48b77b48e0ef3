#!/bin/sh
# On your own machine: https://localhost:{{ port }} becomes the Jupyter of {{ host }}. Ctrl-C ends it.
set -eu
user="${1:-$(id -un)}"
key="${2:-}"
echo "open https://localhost:{{ port }}; the browser warns once, for the certificate is signed by nobody else"
exec ssh -N -o ExitOnForwardFailure=yes -o ServerAliveInterval=30 -o ServerAliveCountMax=3 \
    ${key:+-i "$key"} -L "127.0.0.1:{{ port }}:127.0.0.1:{{ port }}" "$user@{{ host }}"

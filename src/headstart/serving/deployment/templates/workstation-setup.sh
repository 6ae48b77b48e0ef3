#!/bin/sh
# On the training machine, as its user: Python packages, Jupyter's password, a service that starts it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv="$HOME/headstart-venv"
[ "$here" = "$HOME/workstation" ] || { echo "expected this folder at $HOME/workstation, received $here, to fix: mv it there"; exit 2; }
[ -d "$venv" ] || python3 -m venv "$venv"
if command -v nvidia-smi >/dev/null 2>&1; then
    "$venv/bin/pip" install --upgrade torch                     # with CUDA
else
    "$venv/bin/pip" install --upgrade torch --index-url https://download.pytorch.org/whl/cpu
fi
"$venv/bin/pip" install "headstart[train]=={{ version }}" jupyterlab
chmod 600 "$here/tls/key.pem"
export JUPYTER_CONFIG_DIR="$here"                               # settings and digest lie beside each other
"$venv/bin/jupyter" server password                             # asks twice, keeps an argon2 digest
chmod 600 "$here/jupyter_server_config.json"
if systemctl --user show-environment >/dev/null 2>&1; then
    mkdir -p "$HOME/.config/systemd/user"
    cp "$here/jupyter.service" "$HOME/.config/systemd/user/jupyter.service"
    systemctl --user daemon-reload
    systemctl --user enable --now jupyter.service
    loginctl enable-linger "$(id -un)" 2>/dev/null || echo "ask root: loginctl enable-linger $(id -un), so that it runs while nobody is logged in"
else
    echo "no systemd here; start it with: JUPYTER_CONFIG_DIR=$here $venv/bin/jupyter lab"
fi
"$here/check-gpu.sh" || true
echo "from your own machine: ./tunnel.sh USER, then open https://localhost:{{ port }}"

#!/bin/sh
# Copies models, keys, people and feedback into one file, while the server runs; keeps the last 14.
# Bring it back: stop the server, unpack the newest over /, start the server.
set -eu
umask 077
state={{ state }}
models={{ to }}/models
folder="${1:-$state/backups}"
mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
mkdir -p "$work$state" "$work$models"
for file in "$state"/*.sqlite; do
    [ -e "$file" ] || continue
    # SQLite's own copy: whole, even while somebody writes.
    "{{ venv }}/bin/python" - "$file" "$work$file" <<'PYTHON'
import contextlib, sqlite3, sys
with contextlib.closing(sqlite3.connect(sys.argv[1])) as source, contextlib.closing(sqlite3.connect(sys.argv[2])) as copy:
    source.backup(copy)
PYTHON
done
for file in "$state"/*.json "$state"/secret; do
    [ ! -f "$file" ] || cp -p "$file" "$work$file"
done
cp -Rp "$models/." "$work$models"
name="$folder/headstart-$(date +%Y%m%d-%H%M%S).tar.gz"
tar -C "$work" -czf "$name.part" .
mv "$name.part" "$name"
ls -1t "$folder"/headstart-*.tar.gz | tail -n +15 | while IFS= read -r old; do rm -f "$old"; done
echo "wrote $name"

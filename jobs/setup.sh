#!/usr/bin/env bash
# Makes a virtual environment with the pinned packages for a machine without a GPU.
#   jobs/setup.sh VENV [REQUIREMENTS...]        PYTHON names the interpreter (3.11)
set -euo pipefail
venv=${1:?the folder of the virtual environment}
shift
python=${PYTHON:-python3.11}

command -v "$python" >/dev/null || python=python3
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
    { echo "setup: $("$python" --version) found, the CPU build of torch 2.13.0 is used with Python 3.11; set PYTHON." >&2; exit 2; }
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"

quiet() { "$@" 2> >(grep -v 'is ignored: it is neither a file nor a directory' >&2); }

if ! "$venv/bin/python" -c 'import importlib.metadata as m, sys; sys.exit(m.version("torch") != "2.13.0+cpu")' 2>/dev/null; then
    if ! "$venv/bin/pip" download --quiet --no-deps --dest "$venv/.torch" 'torch==2.13.0+cpu' 2>"$venv/.torch-error"; then
        echo "setup: pip's sources have no CPU build of torch (2.13.0+cpu); add PyTorch's CPU wheel index to pip, for example with 'pip config set global.extra-index-url URL', and run this again (pip's own words: $venv/.torch-error)." >&2
        exit 2
    fi
    echo "setup: installing about 240 packages (1 GB to download, 3 GB on disk) into $venv; this takes a few minutes"
    quiet "$venv/bin/pip" install --quiet --no-deps "$venv"/.torch/*.whl
    rm -rf "$venv/.torch" "$venv/.torch-error"
fi
for pins in requirements/cpu.txt "$@"; do
    quiet "$venv/bin/pip" install --quiet --no-deps --requirement "$pins"
done
quiet "$venv/bin/pip" install --quiet --no-deps --editable .

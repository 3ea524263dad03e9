# Sets PYTHON to a Python >= 3.11. Sourced by the scripts beside it.
for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
    if command -v "$candidate" >/dev/null 2>&1 &&
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        PYTHON=$candidate
        break
    fi
done
if [ -z "${PYTHON:-}" ]; then
    echo "Wattkeeper needs Python 3.11 or newer; none was found on the PATH." >&2
    exit 1
fi

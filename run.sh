#!/usr/bin/env bash
# Sets ddgate up in .venv and runs it. Nothing is done twice.
#   ./run.sh                 start everything (on the sandbox, unless ./ddgate.yaml exists)
#   ./run.sh test [--long]   run the tests; further arguments go to pytest
#   ./run.sh ARGS...         any other `ddgate` command, for example: ./run.sh audit tail
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv="$root/.venv"

# A candidate counts only if it runs and is new enough: a version manager may leave a `python3.12`
# on the PATH that exists and fails.
works() { "$1" -c 'import sys, venv, ensurepip; raise SystemExit(sys.version_info < (3, 12))' >/dev/null 2>&1; }

find_python() {
  local candidate
  for candidate in ${DDGATE_PYTHON:-} python3 python3.12 python3.13 python3.14 python \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[2-9]*/bin/python3; do
    if works "$candidate"; then printf '%s\n' "$candidate"; return; fi
  done
  if command -v uv >/dev/null 2>&1; then
    candidate=$(uv python find '>=3.12' 2>/dev/null || true)
    if [ -n "$candidate" ] && works "$candidate"; then printf '%s\n' "$candidate"; return; fi
  fi
  echo "ddgate needs Python 3.12 or newer, and none was found on the PATH, in pyenv or through uv." >&2
  echo "Install one, or name it: DDGATE_PYTHON=/path/to/python3.12 ./run.sh" >&2
  return 1
}

# install NAME: puts NAME.lock into .venv unless exactly that was done before.
install() {
  local lock="$root/$1.lock" stamp="$venv/.$1.stamp" want
  want="$root $(cksum < "$lock")"
  if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && works "$venv/bin/python"; then return; fi
  if ! [ -x "$venv/bin/python" ] || ! works "$venv/bin/python"; then
    local python
    python=$(find_python)
    echo "ddgate: setting up .venv with $("$python" --version)" >&2
    rm -rf "$venv"
    "$python" -m venv "$venv"
  fi
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock" >&2
  # The project itself: importable as `addons`, and one command.
  "$venv/bin/python" - "$root" <<'PY'
import pathlib, sys, sysconfig
root, bin_dir = pathlib.Path(sys.argv[1]), pathlib.Path(sys.executable).parent
pathlib.Path(sysconfig.get_path("purelib"), "ddgate.pth").write_text(f"{root}\n")
command = bin_dir / "ddgate"
command.write_text(f"#!{sys.executable}\nfrom addons.cli.main import main\n\nmain()\n")
command.chmod(0o755)
PY
  printf '%s\n' "$want" > "$stamp"
}

case "${1:-}" in
  test)
    shift
    install requirements-dev
    marks=(-m "not long")
    if [ "${1:-}" = --long ]; then shift; marks=(-m "long or not long"); fi
    cd "$root"
    # The tests start Python some thousand times: what is compiled once is kept, whatever the machine is set to.
    unset PYTHONDONTWRITEBYTECODE
    exec "$venv/bin/python" -m pytest "${marks[@]}" "$@"
    ;;
  demo) install requirements-dev ;;
  *) install requirements ;;
esac
exec "$venv/bin/ddgate" "$@"

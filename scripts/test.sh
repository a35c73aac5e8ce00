#!/usr/bin/env bash
# Every test of the workspace, from a bare machine: Debian with rustup's cargo is enough.
#
#   bash scripts/test.sh             all of it
#   bash scripts/test.sh TEXT        only tests whose name contains TEXT
#
# Prints each runner's closing lines, goes on after a failure, and ends with 1 if anything failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=()

have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif have sudo; then sudo -n "$@"; else return 1; fi
}

# The bundled SQLite and the linker need a C compiler.
if ! have cargo && [ -f "${CARGO_HOME:-$HOME/.cargo}/env" ]; then . "${CARGO_HOME:-$HOME/.cargo}/env"; fi
have cargo || { echo "cargo is missing; install Rust with rustup first" >&2; exit 1; }
if ! have cc; then
  echo "setup: no C compiler; installing gcc"
  { as_root apt-get -qq update && as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends gcc libc6-dev; } \
    >"$log" 2>&1 || { tail -n 5 "$log" >&2; echo "gcc could not be installed; run: apt-get install gcc libc6-dev" >&2; exit 1; }
fi

if [ -d ../shared/data ]; then echo "data: ../shared/data"; else echo "data: the sample in the repository"; fi

# What a step prints is kept back unless it fails: closing lines, verdicts and tables are shown.
step() {
  local name=$1 started=$SECONDS status
  shift
  "$@" </dev/null >"$log" 2>&1
  status=$?
  echo "== $name: $([ $status = 0 ] && echo ok || echo FAILED) ($((SECONDS - started)) s)"
  if [ $status != 0 ]; then
    failed+=("$name")
    grep -nE '^error|FAILED|panicked at|^failures:|^---- ' "$log" | head -n 60
    echo "-- the end of its output:"
    tail -n 80 "$log"
  fi
  grep -E '^(test result:|\[(table|data|seed|verdict)\])' "$log" || true
}

# One closing line for each runner's group, so that a long list stays readable.
summary() {
  awk '/^test result:/ { for (i = 1; i <= NF; i++) { if ($i == "passed;") p += $(i-1); if ($i == "failed;") f += $(i-1); if ($i == "ignored;") g += $(i-1) } n++ }
       END { printf "%d runners: %d passed; %d failed; %d ignored\n", n, p, f, g }'
}

all=$(mktemp)
trap 'rm -f "$log" "$all"' EXIT
{
  step "build" cargo build --workspace --all-targets --quiet
  step "tests" cargo test --workspace --all-targets --no-fail-fast --quiet -- ${1+"$1"}
  step "doctests" cargo test --workspace --doc --no-fail-fast --quiet -- ${1+"$1"}
} > >(tee "$all")
wait
summary <"$all"
if [ ${#failed[@]} -gt 0 ]; then
  echo "FAILED: ${failed[*]}"
  exit 1
fi
echo "all tests passed"

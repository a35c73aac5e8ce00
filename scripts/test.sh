#!/usr/bin/env bash
# Every test of the workspace, from a bare machine: Debian with rustup's cargo is enough.
#
#   bash scripts/test.sh             all of it
#   bash scripts/test.sh TEXT        only tests whose name contains TEXT
#
# Takes some 20 minutes on two cores, the first build included. Shows each runner's closing lines and tables, not the tests that
# passed. Goes on after a failure, and ends with 1 if there was one.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

# What incremental builds store for some fifty programs takes more room than the programs, and a first build gains nothing by it.
export CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-0}

log=$(mktemp)
closing=$(mktemp)
failures=$(mktemp)
trap 'rm -f "$log" "$closing" "$failures"' EXIT
failed=()
# The examples that need a database driver, a server or an exporter, which whoever runs the others does not build.
features=(--features examples/axum,examples/opentelemetry,examples/sea-orm)

have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif have sudo; then sudo -n "$@"; else return 1; fi
}

apt_updated=
apt_install() {
  if [ -z "$apt_updated" ]; then
    as_root apt-get -qq update || return 1
    apt_updated=1
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@"
}

# PostgreSQL's server, which Debian keeps out of PATH.
have_postgres() { ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || have initdb; }

# A package's programs, and nothing of what it would start or make: the tests start servers of their own. What runs here already goes on.
install_server() {
  local package=$1 policy=/usr/sbin/policy-rc.d made= status
  # Asked by Debian's packages before they start a service; 101 says no.
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null && as_root chmod 755 $policy && made=1
  fi
  # Asked by the server's package before it makes a cluster.
  if [ "$package" = postgresql ] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    as_root mkdir -p /etc/postgresql-common &&
      echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
  fi
  apt_install -o Dpkg::Options::=--force-confold "$package"
  status=$?
  [ -z "$made" ] || as_root rm -f $policy
  return $status
}

# need PROGRAM PACKAGE: the tests of a server that is not there fail, and say so.
need() {
  echo "no $1; installing $2"
  install_server "$2" >"$log" 2>&1 || {
    tail -n 5 "$log" >&2
    echo "$2 could not be installed; as root: apt-get install $2" >&2
    exit 1
  }
}

set_up_servers() {
  have_postgres || need postgres postgresql
  have redis-server || need redis-server redis-server
  have faketime || need faketime faketime
  # For the instruction counts of the inline path, which `.ci/run` looks at after the tests.
  have valgrind || need valgrind valgrind
  if ! have valkey-server; then
    if apt-cache policy valkey-server 2>/dev/null | grep -q 'Candidate: [^(]'; then
      need valkey-server valkey-server
    else
      echo "no valkey-server: this system's packages have none; the suite runs on Redis alone"
    fi
  fi
}

set_up() {
  local cargo_env=${CARGO_HOME:-$HOME/.cargo}/env
  # shellcheck disable=SC1090
  if ! have cargo && [ -f "$cargo_env" ]; then . "$cargo_env"; fi
  have cargo || { echo "cargo is missing; install Rust with rustup first" >&2; exit 1; }
  # The bundled SQLite and the linker need a C compiler.
  if ! have cc; then
    echo "no C compiler; installing gcc"
    apt_install gcc libc6-dev >"$log" 2>&1 || {
      tail -n 5 "$log" >&2
      echo "gcc could not be installed; as root: apt-get install gcc libc6-dev" >&2
      exit 1
    }
  fi
}

# Everything but what says that all is well.
interesting() {
  sed -E 's/\x1b\[[0-9;]*m//g' "$1" |
    grep -vE '^test .* (\.\.\. ok$|has been running for over )|^running [0-9]+ tests?$|^ *$|^ *(Compiling|Downloading|Downloaded|Updating|Locking|Adding|Blocking|Finished|Fresh|Checking|Executable) ' |
    sed -E 's/^ *Running unittests [^ ]+ \(.*\/([^\/]+)-[0-9a-f]+\)$/-- unit tests of \1/; s/^ *Doc-tests /-- doctests of /' |
    sed -E 's/^ *(Running) ([^ ]+ ?[^ (]*).*$/-- \2/'
}

# What each failed test said, and its name in one line: the tables of the others are longer than what is shown of a log.
failures_of() {
  interesting "$1" | awk '
    /^-- / { runner = substr($0, 4); sub(/ +$/, "", runner) }
    /^---- .* ----$/ { left = 24 }
    /^(failures:|test result:)/ { left = 0 }
    left > 0 { print; left-- }
    /^test .* FAILED$/ { sub(/^test /, ""); sub(/ +\.\.\. FAILED$/, ""); print "failed: " $0 " (" runner ")" }'
}

step() {
  local name=$1 started=$SECONDS status
  shift
  echo "== $name …"
  "$@" </dev/null >"$log" 2>&1
  status=$?
  grep '^test result:' "$log" >>"$closing"
  if [ $status = 0 ]; then
    interesting "$log" | grep -v '^warning' | tail -n 400
  else
    failed+=("$name")
    interesting "$log" | tail -n 400
    failures_of "$log" >>"$failures"
  fi
  echo "== $name: $([ $status = 0 ] && echo ok || echo FAILED) ($((SECONDS - started)) s)"
}

set_up
set_up_servers
step build cargo test --workspace "${features[@]}" --no-run
if [ ${#failed[@]} = 0 ]; then
  step tests cargo test --workspace "${features[@]}" --no-fail-fast -- ${1+"$1"}
fi

cat "$failures"
awk '{ runners++; for (i = 2; i <= NF; i++) { if ($i == "passed;") passed += $(i - 1)
         if ($i == "failed;") failed += $(i - 1); if ($i == "ignored;") ignored += $(i - 1) } }
     END { printf "%d runners: %d passed; %d failed; %d ignored\n", runners, passed, failed, ignored }' "$closing"
if [ ${#failed[@]} -gt 0 ]; then
  echo "FAILED: ${failed[*]}"
  exit 1
fi
echo "all tests passed"

# shellcheck shell=bash
# Shared by the scripts beside it: messages, packages, ports, processes. Sourced, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
script=$root/scripts/${0##*/}
# shellcheck disable=SC2034 # Used by those who source this.
cache=$root/.cache

# A checkout that belongs to somebody else, as in a container, has no history that Go could read.
export GOFLAGS="${GOFLAGS:+$GOFLAGS }-buildvcs=false"

say() { printf '%s\n' "$*" >&2; }

die() {
  say "${0##*/}: $*"
  exit 1
}

# usage prints the comment at the head of the running script.
usage() { awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$script"; }

# apt_install installs Debian packages, or says which are missing where it may not.
apt_install() {
  command -v apt-get >/dev/null || die "install what Debian calls $*, then run this again"
  [[ $(id -u) == 0 ]] || die "run 'apt-get install $*' as root, then run this again"
  say "installing $*"
  local options=(-qq -o DPkg::Lock::Timeout=300)
  local updated=$cache/apt-updated # Once for all scripts of a run.
  if [[ -z $(find "$updated" -mmin -60 2>/dev/null) ]]; then
    apt-get "${options[@]}" update >&2
    mkdir -p "$cache"
    touch "$updated"
  fi
  DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" install -y --no-install-recommends "$@" >&2
}

# need installs a package when the command it brings is missing: need COMMAND PACKAGE.
need() { command -v "$1" >/dev/null || apt_install "$2"; }

# service_dir makes a service's folder. The default lies in the system's temporary folder because an unprivileged user
# must reach it, whose home is not that of the one who calls.
service_dir() {
  local dir=$1 name=$2
  if [[ -z $dir ]]; then
    local parent
    parent=${TMPDIR:-/tmp}/daybook-$(id -u)
    mkdir -p "$parent"
    [[ -O $parent ]] || die "$parent belongs to somebody else: choose another folder with --dir"
    chmod 711 "$parent" # Servers run as other users go through it.
    dir=$parent/$name
  fi
  mkdir -p "$dir"
  (cd "$dir" && pwd)
}

# free_ports prints so many ports that nobody listens on. They lie below those the system hands out by itself.
free_ports() {
  local count=$1 port
  local -A chosen=()
  while ((${#chosen[@]} < count)); do
    port=$((20000 + RANDOM % 12000))
    if [[ -z ${chosen[$port]:-} ]] && ! listens "$port"; then
      chosen[$port]=1
      echo "$port"
    fi
  done
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# alive tells whether a process runs that names the text in its command line, so that a reused id is not mistaken.
alive() { [[ -n $1 ]] && tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -qF -- "$2"; }

# end asks a process to stop, and makes it after so many seconds: end PID TEXT SECONDS.
end() {
  local pid=$1 text=$2 tries=$(($3 * 10))
  alive "$pid" "$text" || return 0
  kill -TERM "$pid" 2>/dev/null || true
  while alive "$pid" "$text"; do
    if ((tries-- == 0)); then
      kill -KILL "$pid" 2>/dev/null || true
    fi
    sleep 0.1
  done
}

# shellcheck shell=bash disable=SC2034,SC2154 # variables go between the parts
# Names, messages and the machine's folders: what every command of hack/lab needs.

umask 022
lab_parts=$checkout/hack/lab.d
berth_cache=${BERTH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/berth}
case $berth_cache in /*) ;; *) berth_cache=$PWD/$berth_cache ;; esac
lab_cache=$berth_cache/lab
lab_machines=$lab_cache/machines

say() { printf 'hack/lab: %s\n' "$*" >&2; }

fail() {
  say "$@"
  exit 1
}

usage_error() {
  say "$1"
  printf 'Try: hack/lab help\n' >&2
  exit 2
}

need_value() { # OPTION COUNT_OF_ARGUMENTS
  (($2 >= 2)) || usage_error "$1 wants a value"
}

need_number() { # OPTION VALUE LOWEST HIGHEST
  if ! [[ $2 =~ ^[0-9]{1,9}$ ]] || ((10#$2 < $3 || 10#$2 > $4)); then
    usage_error "$1 wants a number from $3 to $4, not '$2'"
  fi
}

need_name() { # a machine's name, which becomes a folder's
  [[ $1 =~ ^[a-z0-9][a-z0-9._-]{0,39}$ ]] || usage_error "--name wants small letters, digits, '.', '_' and '-', not '$1'"
}

# A machine runs if and only if its keeper holds the lock. What files say is not asked.
machine_runs() { # NAME
  local lock=$lab_machines/$1/lock
  [[ -e $lock ]] && ! flock --shared --nonblock "$lock" true
}

# Removes what machines that are gone have left: those of "run" always, named ones on request.
# The caller holds the lock of the machines' folder, so none is in the middle of being made.
sweep_machines() { # [NAME]
  local dir name
  for dir in "$lab_machines"/*/; do
    [[ -d $dir ]] || continue
    name=$(basename "$dir")
    if [[ $name == run-* || $name == "${1-}" ]] && ! machine_runs "$name"; then
      rm -rf -- "$dir"
    fi
  done
}

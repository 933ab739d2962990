# shellcheck shell=bash disable=SC2034,SC2154 # variables go between the parts
# hack/lab setup: downloads, unpacks and builds what the machine needs, into the cache.
#
#   qemu-1/        QEMU with its libraries and busybox, unpacked from packages (not installed)
#   kernel-1/      a distribution kernel as an uncompressed ELF image, and its modules
#   built-HASH/    the lab's own programs and the initramfs, for these sources and that kernel
#   apt/           package lists of the lab's own, and downloads under way
#
# Each is made under a temporary name and renamed when it is complete, under one lock; so killing
# this at any point costs at most the work of one step. Nothing outside the cache is changed: the
# system's package sources, lists and installed packages stay as they are.

layout=1
qemu_dir=$lab_cache/qemu-$layout
kernel_dir=$lab_cache/kernel-$layout
apt_dir=$lab_cache/apt

# In the order of need; what they depend on is found in modules.dep.
modules_first=(virtio_pci virtio_console 9p 9pnet_virtio overlay)
modules_then=(igb igbvf macvlan ipvlan macvtap ipvtap dummy veth 8021q bridge bonding vrf vxlan tun
  vfio_iommu_type1 vfio-pci)
# Loading these makes a device unless told otherwise.
declare -A module_parameters=([bonding]='max_bonds=0' [dummy]='numdummies=0')
# Of the kernel package's modules, what a network lab has no use for (four fifths of the bytes).
modules_left_out=(sound drivers/gpu drivers/media drivers/staging drivers/iio drivers/hid drivers/input
  drivers/usb drivers/mtd drivers/scsi drivers/ata drivers/net/wireless drivers/leds drivers/hwmon
  drivers/platform drivers/isdn drivers/comedi drivers/firewire drivers/bluetooth net/bluetooth
  net/mac80211 net/wireless drivers/md drivers/mmc drivers/nvme drivers/edac drivers/power)

built_dir() {
  local hash
  hash=$(cat "$lab_parts"/src/*.[ch] "$lab_parts/setup.bash" "$kernel_dir/release" | sha256sum)
  printf '%s/built-%s' "$lab_cache" "${hash:0:12}"
}

# Sets what the other parts use; false when something is missing.
find_built() {
  [[ -e $kernel_dir/release ]] || return 1
  lab_built=$(built_dir)
  [[ -e $lab_built/initramfs.cpio && -x $qemu_dir/usr/bin/busybox ]] || return 1
  [[ -n ${BERTH_LAB_ACCEL-} || -e $(accelerator_file) ]] || return 1
  find_qemu
}

# QEMU: $BERTH_LAB_QEMU, else the cache's, else the system's if it has the NIC (8.0 or newer).
find_qemu() {
  lab_qemu_env=()
  if [[ -n ${BERTH_LAB_QEMU-} ]]; then
    lab_qemu=$BERTH_LAB_QEMU
    [[ -x $lab_qemu ]] || fail "BERTH_LAB_QEMU is $lab_qemu, which is not a program"
  elif [[ -x $qemu_dir/usr/bin/qemu-system-x86_64 ]]; then
    lab_qemu=$qemu_dir/usr/bin/qemu-system-x86_64
    lab_qemu_env=(
      "LD_LIBRARY_PATH=$qemu_dir/usr/lib/x86_64-linux-gnu:$qemu_dir/lib/x86_64-linux-gnu"
      "QEMU_MODULE_DIR=$qemu_dir/usr/lib/x86_64-linux-gnu/qemu"
    )
  elif [[ -e $qemu_dir/system-qemu ]]; then
    lab_qemu=$(<"$qemu_dir/system-qemu")
    [[ -x $lab_qemu ]]
  else
    return 1
  fi
}

has_igb() { # PROGRAM
  "$1" -device help 2>/dev/null | grep -q '^name "igb"'
}

# apt with sources, lists and archives of the lab's own. Only what is installed is the system's.
lab_apt() {
  local program=$1
  shift
  "$program" -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$apt_dir/sources" \
    -o Dir::State::Lists="$apt_dir/lists" -o Dir::Cache="$apt_dir/cache" \
    -o Dir::Cache::Archives="$apt_dir/archives" -o Debug::NoLocking=true -o APT::Sandbox::User=root \
    -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
    -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@"
}

run_logged() { # what it is for, then the command: its output is shown only when it fails
  local what=$1 log=$lab_cache/setup.log
  shift
  if ! "$@" >"$log" 2>&1; then
    say "$what failed:"
    tail -n 20 "$log" | sed 's/^/  | /' >&2
    exit 1
  fi
}

# The address of the archive that the system's own apt uses, and the release's name.
find_archive() {
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && [[ " $ID ${ID_LIKE-} " == *' debian '* ]] && printf '%s' "${VERSION_CODENAME-}") || true
  if [[ -z $codename ]] || ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    fail 'setup takes its packages from Debian 12 or newer, and this is another system'
  fi
  archive=$(apt-get indextargets --format "\$(CODENAME) \$(REPO_URI)" 'Identifier: Packages' 2>/dev/null |
    awk -v c="$codename" '$1 == c { print $2; exit }')
  [[ -n $archive ]] || archive=$(apt-get update --print-uris 2>/dev/null |
    sed -n "s,^'\(.*/\)dists/$codename/InRelease'.*,\1,p" | head -n 1)
  [[ -n $archive ]] || fail "apt has no source for Debian $codename: look at /etc/apt/sources.list.d, then try again"
}

prepare_apt() {
  find_archive
  rm -rf "$apt_dir/sources"
  mkdir -p "$apt_dir"/{sources,lists/partial,archives/partial,download,cache}
  local file
  for file in /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    [[ -r $file ]] && cp "$file" "$apt_dir/sources/"
  done
  [[ -r /etc/apt/sources.list ]] && cp /etc/apt/sources.list "$apt_dir/sources/system.list"
  # The system's lists save downloading them again; apt checks whether they are the newest.
  for file in /var/lib/apt/lists/*_*; do
    [[ -f $file && -r $file && ! -e $apt_dir/lists/${file##*/} ]] && cp "$file" "$apt_dir/lists/"
  done
  if ! apt-get indextargets --format "\$(CODENAME)" 2>/dev/null | grep -qx "$codename-backports"; then
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg signed_by=''
    [[ -r $keyring ]] && signed_by="Signed-By: $keyring"
    printf 'Types: deb\nURIs: %s\nSuites: %s-backports\nComponents: main\n%s\n' \
      "$archive" "$codename" "$signed_by" >"$apt_dir/sources/lab-backports.sources"
  fi
  say "reading package lists ($codename and $codename-backports)"
  run_logged 'reading package lists' lab_apt apt-get -q update
}

# Says the sum of what apt is about to fetch: lines of 'address' file size checksum.
announce_downloads() { # WHAT, lines on stdin
  awk -v what="$1" '/^'\''/ { n++; bytes += $3 }
    END { printf "hack/lab: downloading %s: %d package%s, %.1f MB\n", what, n, n == 1 ? "" : "s", bytes / 1e6 }' >&2
}

setup_qemu() {
  [[ -x $qemu_dir/usr/bin/busybox ]] && find_qemu && return
  local temporary=$qemu_dir.new system deb
  rm -rf "$temporary"
  mkdir -p "$temporary/usr/bin"
  prepare_apt_once
  system=$(command -v qemu-system-x86_64 || true)
  if [[ -n $system ]] && has_igb "$system"; then
    say "using the system's $system, which has the igb device"
    printf '%s\n' "$system" >"$temporary/system-qemu"
  else
    local wanted=(install --yes --no-install-recommends -t "$codename-backports" qemu-system-x86)
    lab_apt apt-get -qq --print-uris "${wanted[@]}" | announce_downloads 'QEMU and the libraries of it that are not installed'
    run_logged 'downloading QEMU' lab_apt apt-get -q --download-only "${wanted[@]}"
    for deb in "$apt_dir"/archives/*.deb; do
      dpkg-deb -x "$deb" "$temporary"
    done
  fi
  lab_apt apt-get -qq --print-uris download busybox-static | announce_downloads busybox
  (cd "$apt_dir/download" && run_logged 'downloading busybox' lab_apt apt-get -q download busybox-static)
  dpkg-deb -x "$apt_dir"/download/busybox-static_*.deb "$temporary/busybox"
  find "$temporary/busybox" -type f -name busybox -exec mv {} "$temporary/usr/bin/busybox" \;
  rm -rf "$temporary/busybox" "$temporary/usr/share/doc"
  rm -rf "$qemu_dir"
  mv "$temporary" "$qemu_dir"
  find_qemu
  local version
  version=$(env "${lab_qemu_env[@]}" "$lab_qemu" --version) || fail "$lab_qemu does not start: see the message above"
  env "${lab_qemu_env[@]}" "$lab_qemu" -device help 2>/dev/null | grep -q '^name "igb"' ||
    fail "${version%%$'\n'*} has no igb device; it came with 8.0: set BERTH_LAB_QEMU to a newer one"
  say "unpacked $(du -sh "$qemu_dir" | cut -f 1) of QEMU and busybox (${version%%$'\n'*})"
}

# The kernel image within a bzImage, whose header says where it lies (Documentation/x86/boot.rst).
extract_kernel() { # VMLINUZ
  local file=$1 sectors offset length
  sectors=$(od -An -tu1 -j $((0x1f1)) -N 1 "$file")
  offset=$(od -An -tu4 -j $((0x248)) -N 4 "$file")
  length=$(od -An -tu4 -j $((0x24c)) -N 4 "$file")
  # Its last four bytes are the unpacked size, not part of the archive.
  dd if="$file" bs=1M iflag=skip_bytes,count_bytes status=none \
    skip=$(((sectors + 1) * 512 + offset)) count=$((length - 4)) | decompress
}

# By the first bytes: xz, zstd or gzip.
decompress() {
  local packed
  packed=$(mktemp -p "$lab_cache")
  cat >"$packed"
  case $(od -An -tx1 -N 4 "$packed" | tr -d ' ') in
    fd377a58) xz -dc "$packed" ;;
    28b52ffd) zstd -dcq "$packed" ;;
    1f8b*) gzip -dc "$packed" ;;
    *) cat "$packed" ;;
  esac
  rm -f "$packed"
}

setup_kernel() {
  [[ -e $kernel_dir/release ]] && return
  local temporary=$kernel_dir.new package deb release part
  rm -rf "$temporary"
  mkdir -p "$temporary"
  prepare_apt_once
  package=$(lab_apt apt-cache depends linux-image-amd64 | awk '$1 == "Depends:" && $2 ~ /^linux-image-/ { print $2; exit }')
  [[ -n $package ]] || fail 'apt knows no linux-image-amd64'
  lab_apt apt-get -qq --print-uris download "$package" | announce_downloads "the kernel $package"
  (cd "$apt_dir/download" && run_logged "downloading $package" lab_apt apt-get -q download "$package")
  deb=$(echo "$apt_dir/download/$package"_*.deb)
  say "unpacking the kernel"
  dpkg-deb -x "$deb" "$temporary"
  [[ -d $temporary/lib/modules ]] || mv "$temporary/usr/lib" "$temporary/lib"
  release=$(basename "$temporary"/lib/modules/*)
  extract_kernel "$temporary/boot/vmlinuz-$release" >"$temporary/vmlinux"
  [[ $(od -An -tx1 -N 4 "$temporary/vmlinux" | tr -d ' ') == 7f454c46 ]] || fail "the kernel in $package is packed in a way that is not known here"
  for part in "${modules_left_out[@]}"; do
    rm -rf "$temporary/lib/modules/$release/kernel/$part"
  done
  "$qemu_dir/usr/bin/busybox" depmod -b "$temporary" "$release"
  mv "$temporary/boot/config-$release" "$temporary/config"
  rm -rf "${temporary:?}"/{boot,usr} "$deb"
  printf '%s\n' "$release" >"$temporary/release"
  rm -rf "$kernel_dir"
  mv "$temporary" "$kernel_dir"
  say "unpacked $(du -sh "$kernel_dir" | cut -f 1) of kernel and modules ($release)"
}

# The files of these modules and of all they need, each after what it needs.
module_order() { # MODULE...
  awk -v wanted="$*" '
    function base(path) { sub(/.*\//, "", path); sub(/\.ko.*/, "", path); gsub("-", "_", path); return path }
    { sub(":", "", $1); file[base($1)] = $1; for (i = 2; i <= NF; i++) needs[$1] = needs[$1] " " $i }
    function visit(path,   list, n, i) {
      if (path in done) return
      done[path] = 1
      n = split(needs[path], list, " ")
      for (i = n; i >= 1; i--) visit(list[i])
      print path
    }
    END {
      n = split(wanted, list, " ")
      for (i = 1; i <= n; i++) { gsub("-", "_", list[i]); if (list[i] in file) visit(file[list[i]]) }
    }' "$kernel_dir/lib/modules/$(<"$kernel_dir/release")/modules.dep"
}

build_initramfs() { # FOLDER
  local root=$1/initramfs list path name modules
  modules=$kernel_dir/lib/modules/$(<"$kernel_dir/release")
  mkdir -p "$root/modules"
  cp "$1/init" "$root/init"
  cp "$qemu_dir/usr/bin/busybox" "$root/busybox"
  for list in first "then"; do
    local -n modules_of_list=modules_$list
    while read -r path; do
      name=${path##*/}
      name=${name%%.ko*}
      [[ ! -e $root/modules/$name.ko ]] || continue
      decompress <"$modules/$path" >"$root/modules/$name.ko"
      ! command -v strip >/dev/null || strip --strip-debug "$root/modules/$name.ko"
      printf '%s.ko%s\n' "$name" "${module_parameters[$name]+ ${module_parameters[$name]}}" >>"$root/modules/$list"
    done < <(module_order "${modules_of_list[@]}")
  done
  (cd "$root" && find . | "$qemu_dir/usr/bin/busybox" cpio -o -H newc 2>/dev/null) >"$1/initramfs.new"
  rm -rf "$root"
  mv "$1/initramfs.new" "$1/initramfs.cpio"
}

setup_built() {
  lab_built=$(built_dir)
  [[ -e $lab_built/initramfs.cpio ]] && return
  local temporary=$lab_built.new program
  rm -rf "$temporary"
  mkdir -p "$temporary"
  command -v gcc >/dev/null || fail 'a C compiler is missing: apt-get install gcc libc6-dev'
  say 'building the programs of the lab and the initramfs'
  local flags=(-std=gnu11 -O2 -static -s -Wall -Wextra -Wno-unused-result)
  for program in client keeper kvm-probe; do
    run_logged "building $program" gcc "${flags[@]}" -o "$temporary/$program" "$lab_parts/src/$program.c"
  done
  run_logged 'building init' gcc "${flags[@]}" -o "$temporary/init" "$lab_parts/src/init.c" "$lab_parts/src/agent.c"
  build_initramfs "$temporary"
  rm -rf "$lab_built"
  mv "$temporary" "$lab_built"
  # Other checkouts may use the same cache, so other builds are kept for a month.
  find "$lab_cache" -maxdepth 1 -name 'built-*' -mtime +30 -exec rm -rf {} +
}

# What runs the machine on this kernel of the host: "kvm" or "tcg" (software emulation).
accelerator_file() {
  printf '%s/accelerator-%s' "$lab_cache" "$(uname -r)"
}

# Where /dev/kvm exists it may still fail, above all in a nested machine: an instruction that it
# cannot execute shows only in a boot. So one is tried, once for each kernel of the host.
setup_accelerator() {
  local file found=tcg reason
  file=$(accelerator_file)
  [[ ! -e $file ]] || return 0
  if ! reason=$("$lab_built/kvm-probe"); then
    say "no hardware virtualisation here ($reason): the machine is emulated, some 20 times slower"
  elif BERTH_LAB_ACCEL=kvm BERTH_LAB_BOOT_TIMEOUT=20 "$checkout/hack/lab" run -- true >"$lab_cache/setup.log" 2>&1; then
    found=kvm
    say 'hardware virtualisation works here'
  else
    reason=$(sed -n 's/^  | //p' "$lab_cache/setup.log" | head -n 1)
    say "KVM is here, but does not boot the machine (${reason:-no reason given}): it is emulated instead"
  fi
  printf '%s\n' "$found" >"$file.new"
  mv "$file.new" "$file"
}

prepare_apt_once() {
  [[ -n ${apt_prepared-} ]] && return
  prepare_apt
  apt_prepared=1
}

setup() { # [--fresh]
  [[ $(uname -m) == x86_64 ]] || fail "the machine runs the host's own files, and is an x86-64: it cannot run on $(uname -m)"
  if [[ ${1-} != --fresh ]] && find_built; then
    return
  fi
  mkdir -p "$lab_cache"
  exec {setup_lock}>>"$lab_cache/setup.lock"
  if ! flock --nonblock "$setup_lock"; then
    say "another setup is at work; waiting for it"
    flock "$setup_lock"
  fi
  if [[ ${1-} == --fresh ]]; then
    say 'removing what is in the cache'
    rm -rf "$qemu_dir" "$kernel_dir" "$apt_dir" "$lab_cache"/{built,accelerator}-*
  fi
  rm -f "$lab_cache"/tmp.*
  if ! find_built; then
    say "preparing the machine in $lab_cache"
    setup_qemu
    setup_kernel
    setup_built
    rm -rf "$apt_dir"
    setup_accelerator
    say "ready: $(du -sh "$lab_cache" | cut -f 1) in $lab_cache"
  fi
  exec {setup_lock}>&-
}

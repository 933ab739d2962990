/*
 * kvm-probe: exits 0 when hardware virtualisation really works here, else 1 with the reason.
 *
 * That /dev/kvm can be opened says little: in a nested machine the calls behind it may fail. So
 * this makes a machine with one processor and lets it execute one instruction (HLT).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int no(const char *what)
{
  printf("%s: %s\n", what, strerror(errno));
  return 1;
}

int main(void)
{
  int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (kvm < 0)
    return no("/dev/kvm");
  int vm = ioctl(kvm, KVM_CREATE_VM, 0);
  if (vm < 0)
    return no("KVM_CREATE_VM");
  unsigned char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return no("mmap");
  memory[0] = 0xf4; /* HLT */
  struct kvm_userspace_memory_region region = { .guest_phys_addr = 0x1000, .memory_size = 4096,
    .userspace_addr = (unsigned long)memory };
  if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
    return no("KVM_SET_USER_MEMORY_REGION");
  int cpu = ioctl(vm, KVM_CREATE_VCPU, 0);
  if (cpu < 0)
    return no("KVM_CREATE_VCPU");
  long size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  struct kvm_run *run = size < (long)sizeof *run ? MAP_FAILED
    : mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);
  if (run == MAP_FAILED)
    return no("KVM_GET_VCPU_MMAP_SIZE");
  struct kvm_sregs sregs;
  if (ioctl(cpu, KVM_GET_SREGS, &sregs) < 0)
    return no("KVM_GET_SREGS");
  sregs.cs.base = 0;
  sregs.cs.selector = 0;
  struct kvm_regs regs = { .rip = 0x1000, .rflags = 2 };
  if (ioctl(cpu, KVM_SET_SREGS, &sregs) < 0 || ioctl(cpu, KVM_SET_REGS, &regs) < 0)
    return no("KVM_SET_REGS");
  alarm(2);
  if (ioctl(cpu, KVM_RUN, 0) < 0)
    return no("KVM_RUN");
  if (run->exit_reason != KVM_EXIT_HLT) {
    printf("KVM_RUN: unexpected exit %u\n", run->exit_reason);
    return 1;
  }
  return 0;
}

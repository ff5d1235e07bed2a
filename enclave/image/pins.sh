# shellcheck shell=sh disable=SC2034
# What is fetched from Debian, exactly. Read by shell scripts, with `.`; a change of the kernel or
# of its config changes PCR0 and PCR1 of every image.
kernel_package=linux-source-6.12
kernel_version=6.12.95-1~bpo12+1
kernel_suite=bookworm-backports
kernel_sha256=a7fe4673af74236c99dad9766eca714a198e50a07e5d659e63ec312ae6afccfe

# QEMU is a tool of the tests: nothing of it is in an image.
qemu_version=1:10.0.13+ds-0+deb13u1
qemu_suite=trixie

# The Debian package (scripts/package): what is installed below /usr, and a guest image in
# /var/lib/cppvm, where the shim looks for one. Not below /usr: the rules that libvirt's AppArmor
# helper is built with (virt-aa-helper) let no machine boot from there.

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME cppvm)
set(CPACK_PACKAGE_CONTACT "The cppvm maintainers <maintainers@cppvm.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "containerd runtime that gives each pod a virtual machine")
set(CPACK_PACKAGE_DESCRIPTION
    "containerd-shim-cppvm-v1 serves containerd's runtime io.containerd.cppvm.v1: it boots a small guest
through libvirt on KVM for each pod, or each stand-alone container. The guest's kernel and
initramfs are part of this package.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE zstd)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# Debian 12 has no virtiofsd that would do: scripts/package adds one, with the libraries it needs.
string(CONCAT CPACK_DEBIAN_PACKAGE_DEPENDS
    "libvirt-daemon-system, libvirt-daemon-driver-qemu, qemu-system-x86, "
    "virtiofsd | libcap-ng0")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "containerd | containerd.io, passt")

include(CPack)

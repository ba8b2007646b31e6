"""A Kubernetes of one node: its programs as plain processes, in a mount and a network namespace of their
own, with a libvirtd of its own, and containerd's CRI with the runtime class `cppvm`."""

import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path

from . import config, images, mounts, processes, releases, runc
from .certificates import Authority
from .containerd import Containerd
from .shell import run
from .waiting import wait_until

NODE = "node"
INSTALLED = Path("/usr/local/bin/containerd-shim-cppvm-v1")
# Of both families, the first one first.
ADDRESS, ADDRESS_6 = "10.97.0.1", "fd00:97::1"
_GATEWAY, _GATEWAY_6 = "10.97.0.2", "fd00:97::2"  # nobody has them
_SERVICES = "10.96.0.0/16,fd00:96::/112"
_PODS = ("10.88.0.0/16", "fd00:88::/64")
_SCRIPTS = Path(__file__).parents[2]

# The kubelet and kube-proxy set them, and no namespace keeps them apart.
_SYSCTLS = (
    *("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"),
    *("kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes"),
)

# A node has a /run, an /etc, a /var/lib/kubelet, and places for programs of its own; what it mounts there
# ends with its namespace.
_ENTER = """
set -e
mount --make-rshared /
mkdir -p /var/lib/kubelet "$0/kubelet" "$0/etcd"
mount --bind "$0/kubelet" /var/lib/kubelet
mount -t tmpfs -o mode=755 none /run
for place in /opt /usr/local/bin; do
    mkdir -p "$0$place"
    mount --bind "$0$place" "$place"
done
mount -t overlay -o "lowerdir=/etc,upperdir=$0/etc/up,workdir=$0/etc/work" none /etc
mount -t tmpfs -o mode=700 none "$0/etcd"
chmod 666 /dev/kvm 2>/dev/null || :
ip link set lo up
ip link add node0 type veth peer name node1
ip link set node1 up
ip link set node0 up
ip address add {address}/24 dev node0
ip route add default via {gateway} dev node0
ip address add {address_6}/64 dev node0 nodad
ip route add default via {gateway_6} dev node0
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
touch "$0/entered"
exec sleep infinity
"""


def programs():
    """Their directory. Raises releases.Unavailable unless they have been built."""
    done = run(_SCRIPTS / "fetch-kubernetes", "--cached")
    if done.code != 0:
        raise releases.Unavailable("Kubernetes was not built: scripts/fetch-kubernetes")
    return Path(done.text.strip())


class Node:
    """From start() to close(). `sandboxer`: containerd's, "podsandbox" or "shim", which releases before
    2.0 do not have."""

    def __init__(self, base, stage, release, sandboxer="podsandbox", changes=None):
        self.base, self.stage = Path(base), Path(stage)
        self._programs = programs()
        self._release, self._sandboxer, self._changes = release, sandboxer, changes
        self._daemons, self._commands = {}, {}
        self._sysctls = {}
        self._holder = None
        self.containerd = None
        self._authority = Authority(self.base / "pki")

    # Life

    def start(self):
        for directory in ("log", "cni", "images", "etc/up/cppvm", "etc/work"):
            (self.base / directory).mkdir(parents=True)
        config.write(self.base / "etc/up/cppvm/config.toml", self.stage, self._changes)
        self._sysctls = {name: _sysctl(name).read_text() for name in _SYSCTLS}
        self._write_certificates()
        self._enter()
        self._start_libvirt()
        self._start_containerd()
        self._start_control_plane()
        self._start_node()

    def close(self):
        """Ends and removes everything."""
        if self.containerd:
            with contextlib.suppress(Exception):
                self.kubectl("delete", "pods", "--all", "--grace-period=0", "--force", timeout=60)
            self.containerd.remove()
        for name in reversed(self._daemons):
            self.end_daemon(name)
        if self._holder:
            self._holder.kill()
            self._holder.wait()
        for name, value in self._sysctls.items():
            _sysctl(name).write_text(value)
        self._remove_cgroups()
        mounts.unmount_below(self.base)
        shutil.rmtree(self.base)

    def prefix(self):
        return ("nsenter", f"--target={self._holder.pid}", "--mount", "--net")

    def daemon(self, name):
        """One of its daemons, or containerd, as a process."""
        if name == "containerd":
            return self.containerd.process()
        started = self._daemons[name].pid
        return next(p for p in processes.everything() if p.comm == name and started in (p.pid, p.parent))

    def log_directory(self):
        """Of pods' logs."""
        return self.base / "log/pods"

    def log(self, name):
        return (self.base / "log" / f"{name}.log").read_text(errors="replace")

    # Its daemons: virtlogd, libvirtd, etcd, kube-*, kubelet

    def start_daemon(self, name):
        with open(self.base / "log" / f"{name}.log", "ab") as log:
            self._daemons[name] = subprocess.Popen(
                [*self.prefix(), *self._commands[name]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def end_daemon(self, name):
        self._daemons[name].terminate()
        self._daemons[name].wait(20)

    def restart_daemons(self, *names):
        """Ends them, and starts them again; they answer when this returns."""
        for name in names:
            self.end_daemon(name)
            self.start_daemon(name)
        self._wait_libvirt()
        wait_until(self._is_ready, "the node to be ready", 90)

    def set_proxy_mode(self, mode):
        """kube-proxy's: "iptables", with which a node begins, or "nftables"."""
        self.end_daemon("kube-proxy")
        self._write_proxy_configuration(mode)
        self.start_daemon("kube-proxy")

    # Talking to it

    def kubectl(self, *args, stdin=b"", timeout=60):
        """Its result; raises when it fails."""
        return run(*self.kubectl_command(*args), stdin=stdin, timeout=timeout).check()

    def popen_kubectl(self, *args, **kwargs):
        return subprocess.Popen(self.kubectl_command(*args), **kwargs)

    def kubectl_command(self, *args):
        kubectl = (self._programs / "kubectl", "--kubeconfig", self._kubeconfig("admin"))
        return [*self.prefix(), *kubectl, *args]

    def apply(self, *objects):
        document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        return self.kubectl("apply", "-f", "-", stdin=json.dumps(document).encode())

    def run(self, *command, **kwargs):
        """A command in its namespaces."""
        return run(*self.prefix(), *command, **kwargs)

    # Parts

    def _enter(self):
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c",
             _ENTER.format(
                 address=ADDRESS, gateway=_GATEWAY, address_6=ADDRESS_6, gateway_6=_GATEWAY_6
             ), self.base],
            start_new_session=True,
        )  # fmt: skip
        wait_until((self.base / "entered").exists, "the node's namespaces", 20)

    def _daemon(self, name, *command):
        self._commands[name] = command
        self.start_daemon(name)

    def _start_libvirt(self):
        # As in libvirt.py: QEMU wants a parent that reaps it at once.
        for name in ("virtlogd", "libvirtd"):
            self._daemon(name, "tini", "-s", "--", name)
        self._wait_libvirt()

    def _wait_libvirt(self):
        answers = ("virsh", "-c", "qemu:///system", "-q", "version")
        wait_until(lambda: self.run(*answers, timeout=60).code == 0, "libvirtd to answer", 90)

    def _start_containerd(self):
        (self.base / "cni/10-bridge.conflist").write_text(json.dumps(cni(self.base / "cni-data")))
        self.containerd = Containerd(
            self._release,
            self.base / "containerd",
            [self.stage / "bin", self.stage / "libexec/cppvm"],
            prefix=self.prefix(),
            cri=self._cri(),
        )
        self.containerd.start()
        for archive in (images.small(), images.pause()):
            self.containerd.ctr("k8s.io").import_image(archive)

    def _cri(self):
        """By the names of 1.6, which later releases take, too."""
        cri = "[plugins.'io.containerd.grpc.v1.cri'"
        # Handlers of ours have no `options`, with which containerd starts no container in a user namespace.
        ours = "runtime_type = 'io.containerd.cppvm.v1'\nprivileged_without_host_devices = true\n"
        if self._sandboxer != "podsandbox":
            ours += f"sandboxer = '{self._sandboxer}'\n"
        return (
            f"{cri}]\nrestrict_oom_score_adj = true\nsandbox_image = {json.dumps(images.PAUSE)}\n"
            f"{cri}.containerd]\ndefault_runtime_name = 'runc'\n"
            f"{cri}.containerd.runtimes.cppvm]\n{ours}"
            # What was installed by a pod, not what is staged.
            f"{cri}.containerd.runtimes.installed]\n{ours}runtime_path = {json.dumps(str(INSTALLED))}\n"
            f"{cri}.containerd.runtimes.runc]\nruntime_type = 'io.containerd.runc.v2'\n"
            f"{cri}.containerd.runtimes.runc.options]\nBinaryName = {json.dumps(runc.program())}\n"
            f"{cri}.cni]\nbin_dir = '/usr/lib/cni'\n"
            f"conf_dir = {json.dumps(str(self.base / 'cni'))}\n"
        )

    def _start_control_plane(self):
        pki = self._authority.path
        etcd = "http://127.0.0.1:2379"
        self._daemon(
            "etcd", self._programs / "etcd", f"--data-dir={self.base}/etcd/data",
            f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}",
            "--listen-peer-urls=http://127.0.0.1:2380",
        )  # fmt: skip
        self._daemon(
            "kube-apiserver", self._programs / "kube-apiserver",
            f"--etcd-servers={etcd}", f"--advertise-address={ADDRESS}",
            f"--service-cluster-ip-range={_SERVICES}",
            f"--tls-cert-file={pki}/apiserver.crt", f"--tls-private-key-file={pki}/apiserver.key",
            f"--client-ca-file={pki}/ca.crt",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki}/sa.pub",
            f"--service-account-signing-key-file={pki}/sa.key",
            "--authorization-mode=Node,RBAC", "--allow-privileged=true",
            f"--kubelet-client-certificate={pki}/admin.crt",
            f"--kubelet-client-key={pki}/admin.key",
            f"--kubelet-certificate-authority={pki}/ca.crt",
            "--kubelet-preferred-address-types=InternalIP",
        )  # fmt: skip
        wait_until(lambda: self._answers("get", "--raw", "/readyz"), "the API server", 60)
        manager = self._kubeconfig("controller-manager")
        self._daemon(
            "kube-controller-manager", self._programs / "kube-controller-manager",
            f"--kubeconfig={manager}", "--use-service-account-credentials",
            f"--service-account-private-key-file={pki}/sa.key", f"--root-ca-file={pki}/ca.crt",
            "--leader-elect=false", "--pvclaimbinder-sync-period=1s",
        )  # fmt: skip
        self._daemon(
            "kube-scheduler", self._programs / "kube-scheduler",
            f"--kubeconfig={self._kubeconfig('scheduler')}", "--leader-elect=false",
        )  # fmt: skip

    def _start_node(self):
        pki = self._authority.path
        (self.base / "resolv.conf").write_text(f"nameserver {ADDRESS}\n")
        document = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "x509": {"clientCAFile": f"{pki}/ca.crt"},
            },
            "tlsCertFile": f"{pki}/kubelet.crt",
            "tlsPrivateKeyFile": f"{pki}/kubelet.key",
            "containerRuntimeEndpoint": f"unix://{self.containerd.address}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.base.name}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "resolvConf": str(self.base / "resolv.conf"),
            "podLogsDir": str(self.log_directory()),
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "containerLogMaxSize": "1Mi",
            "containerLogMaxFiles": 3,
            "containerLogMonitorInterval": "3s",
        }
        (self.base / "kubelet.json").write_text(json.dumps(document))
        self._make_cgroups()
        self._daemon(
            "kubelet", self._programs / "kubelet", f"--config={self.base}/kubelet.json",
            f"--kubeconfig={self._kubeconfig('kubelet')}", f"--hostname-override={NODE}",
            f"--node-ip={ADDRESS},{ADDRESS_6}",
        )  # fmt: skip
        self._write_proxy_configuration("iptables")
        self._daemon(
            "kube-proxy", self._programs / "kube-proxy", f"--config={self.base}/proxy.json",
            f"--hostname-override={NODE}",
        )  # fmt: skip
        wait_until(self._is_ready, "the node to be ready", 90)
        wait_until(lambda: self._answers("get", "serviceaccount", "default"), "its account", 60)

    def _write_proxy_configuration(self, mode):
        document = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(self._kubeconfig("proxy"))},
            "clusterCIDR": ",".join(_PODS),
            "oomScoreAdj": 0,
            "conntrack": {"maxPerCore": 0, "min": 0},
            "mode": mode,
        }
        (self.base / "proxy.json").write_text(json.dumps(document))

    # The cgroups are this node's own: a kubelet ends the pods of another one that it finds below its root.

    def _cgroups(self):
        root = Path("/sys/fs/cgroup")
        hierarchies = [root] if (root / "cgroup.procs").exists() else root.iterdir()
        return [hierarchy / self.base.name for hierarchy in hierarchies]

    def _make_cgroups(self):
        for cgroup in self._cgroups():
            cgroup.mkdir()

    def _remove_cgroups(self):
        for cgroup in self._cgroups():
            for directory, _, _ in os.walk(cgroup, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(directory)

    # Bits

    def _answers(self, *args):
        with contextlib.suppress(Exception):
            self.kubectl(*args, timeout=10)
            return True
        return False

    def _is_ready(self):
        path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        with contextlib.suppress(Exception):
            return "True" in self.kubectl("get", "node", NODE, "-o", path, timeout=10).text
        return False

    def _kubeconfig(self, user):
        return self._authority.path / f"{user}.json"

    def _write_certificates(self):
        authority = self._authority
        authority.make()
        names = (
            *("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"),
            *("127.0.0.1", ADDRESS, "10.96.0.1"),
        )
        authority.certify("apiserver", "/CN=kube-apiserver", names)
        authority.certify("admin", "/O=system:masters/CN=admin")
        authority.certify("scheduler", "/CN=system:kube-scheduler")
        authority.certify("controller-manager", "/CN=system:kube-controller-manager")
        authority.certify("proxy", "/CN=system:kube-proxy")
        authority.certify("kubelet", f"/O=system:nodes/CN=system:node:{NODE}", (ADDRESS, NODE))
        for user in ("admin", "scheduler", "controller-manager", "proxy", "kubelet"):
            self._kubeconfig(user).write_text(json.dumps(self._client(user)))

    def _client(self, user):
        pki = self._authority.path
        cluster = {"server": "https://127.0.0.1:6443", "certificate-authority": f"{pki}/ca.crt"}
        keys = {"client-certificate": f"{pki}/{user}.crt", "client-key": f"{pki}/{user}.key"}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": NODE, "cluster": cluster}],
            "users": [{"name": user, "user": keys}],
            "contexts": [{"name": NODE, "context": {"cluster": NODE, "user": user}}],
            "current-context": NODE,
        }


def _sysctl(name):
    return Path("/proc/sys") / name


def cni(data):
    """A configuration of CNI, with a bridge and ports of the host; `data`: a directory for its leases."""
    return {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "ipMasq": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(data),
                    "ranges": [[{"subnet": subnet}] for subnet in _PODS],
                    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }

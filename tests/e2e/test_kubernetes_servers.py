"""Debian's servers in pods of a real Kubernetes, and their clients in other pods, through Services."""

import json

import pytest

from cppvmdev import images
from cppvmdev.ctr import unique_id
from cppvmdev.waiting import wait_until
from harness.cluster import FOREVER, local_volume, pod, service, settings_of, shell

pytestmark = pytest.mark.vm

_OPERATOR = 7000  # of the image


@pytest.fixture(name="image", scope="module", autouse=True)
def image_fixture(kubernetes_node):
    kubernetes_node.containerd.ctr("k8s.io").import_image(images.servers())


def _debian(script, **fields):
    return shell(script, **{**fields, "image": images.SERVERS})


def _ready_by(*command):
    return {"readinessProbe": {"exec": {"command": command}, "periodSeconds": 1, "timeoutSeconds": 10}}


@pytest.fixture(name="client")
def client_fixture(cluster):
    """A pod that has the servers' clients, and what is small, in another container."""
    name = cluster.ready(pod(_debian(FOREVER, name="debian"), shell(name="small")))
    yield name
    cluster.delete(name)


_NGINX = """
daemon off; error_log stderr; pid /tmp/nginx.pid; events {}
http { access_log off; sendfile on; server { listen 80 default_server; listen [::]:80; root /www; } }
"""


@pytest.mark.any_sandboxer
def test_nginx(cluster, client):
    """A large file, and a hundred small ones."""
    settings = settings_of("ConfigMap", "nginx", **{"nginx.conf": _NGINX})
    fill = "mkdir /www; head -c 8000000 /dev/urandom > /www/large; echo small > /www/small"
    mounts = [{"name": "settings", "mountPath": "/settings"}]
    probe = {"readinessProbe": {"httpGet": {"path": "/small", "port": 80}, "periodSeconds": 1}}
    server = pod(
        _debian(f"{fill}; exec nginx -c /settings/nginx.conf", volumeMounts=mounts, **probe),
        labels={"app": "nginx"},
        volumes=[{"name": "settings", "configMap": {"name": "nginx"}}],
    )
    made = [settings, service("nginx", 8000, 80)]
    cluster.apply(*made)
    name = cluster.ready(server)
    url = f"http://{cluster.get('service', 'nginx')['spec']['clusterIP']}:8000"
    asks = f"wget -qO- {url}/small"
    wait_until(lambda: cluster.sh(client, f"{asks} || :", "-c", "small") == "small\n", "the Service", 60)
    digest = cluster.sh(name, "sha256sum < /www/large")
    assert cluster.sh(client, f"wget -qO- {url}/large | sha256sum", "-c", "small") == digest
    hundred = f"for i in $(seq 100); do {asks} & done; wait"
    assert cluster.sh(client, hundred, "-c", "small") == "small\n" * 100
    cluster.delete(name)
    cluster.remove(*made)


@pytest.mark.any_sandboxer
def test_redis(cluster, client):
    """With its file in a volume, read again after the container's restart."""
    mounts = [{"name": "data", "mountPath": "/data"}]
    script = "exec redis-server --protected-mode no --bind '* -::*' --dir /data --save 3600 1 --daemonize no"
    server = pod(
        _debian(script, volumeMounts=mounts, **_ready_by("redis-cli", "ping")),
        labels={"app": "redis"},
        restartPolicy="Always",
        volumes=[{"name": "data", "emptyDir": {}}],
    )
    made = service("redis", 6379, 6379)
    cluster.apply(made)
    name = cluster.ready(server)
    ask = f"redis-cli -h {cluster.get('service', 'redis')['spec']['clusterIP']}"

    def say(words):
        return cluster.sh(client, f"{ask} {words} || :", "-c", "debian")

    wait_until(lambda: say("set word kept") == "OK\n", "the Service", 60)
    lines = "seq 5000 | sed 's/.*/set key& value&/'"
    assert "errors: 0, replies: 5000" in cluster.sh(client, f"{lines} | {ask} --pipe", "-c", "debian")
    say("shutdown save")
    wait_until(lambda: cluster.restarts(name) == 1 and say("get word") == "kept\n", "the data again", 60)
    assert (say("dbsize"), say("get key5000")) == ("5001\n", "value5000\n")
    cluster.delete(name)
    cluster.remove(made)


_POSTGRESQL = """
set -e
PATH=$PATH:/usr/lib/postgresql/15/bin
if [ ! -d /data/db ]; then
    initdb -D /data/db -A trust --no-locale -E UTF8
    echo 'host all all all trust' >> /data/db/pg_hba.conf
fi
exec postgres -D /data/db -h '*' -k /tmp -c shared_buffers=16MB
"""


@pytest.mark.any_sandboxer
def test_postgresql(cluster, client):
    """As nobody's root, on a volume of its group's; the next pod goes on with it."""
    path = cluster.node.base / "volumes" / unique_id("v")
    path.mkdir(parents=True)
    volume = local_volume("database", path)
    made = [*volume, service("database", 5432, 5432)]
    cluster.apply(*made)

    def server():
        mounts = [{"name": "data", "mountPath": "/data"}]
        ready = _ready_by("/usr/lib/postgresql/15/bin/pg_isready", "-h", "127.0.0.1")
        return pod(
            _debian(_POSTGRESQL, volumeMounts=mounts, **ready),
            labels={"app": "database"},
            securityContext={
                **{"runAsUser": _OPERATOR, "runAsGroup": _OPERATOR, "fsGroup": 7001},
                # Else the group may write all that is there, and PostgreSQL wants its directory for itself.
                "fsGroupChangePolicy": "OnRootMismatch",
            },
            volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "database"}}],
            terminationGracePeriodSeconds=20,
        )

    first = cluster.ready(server(), timeout=240)
    at = f"-h {cluster.get('service', 'database')['spec']['clusterIP']} -U operator"

    def run(command):
        script = f"PATH=$PATH:/usr/lib/postgresql/15/bin; {command} 2>&1 || :"
        return cluster.sh(client, script, "-c", "debian")

    def query(text):
        return run(f'psql {at} -d postgres -Atc "{text}"')

    wait_until(lambda: query("select 1") == "1\n", "the Service", 60)
    assert "done in" in run(f"pgbench {at} -i -q -s 1 postgres")
    assert "number of failed transactions: 0" in run(f"pgbench {at} -c 4 -t 25 postgres")
    counts = "select count(*) from pgbench_accounts union all select count(*) from pgbench_history"
    assert query(counts) == "100000\n100\n"
    cluster.delete(first)
    second = cluster.ready(server())
    wait_until(lambda: query("select 1") == "1\n", "the Service again", 60)
    assert query(counts) == "100000\n100\n"
    assert "database system was shut down" in cluster.logs(second)
    cluster.delete(second)
    cluster.remove(*reversed(made))


@pytest.mark.any_sandboxer
def test_iperf3(cluster, client):
    """TCP both ways, and datagrams."""
    server = pod(_debian("exec iperf3 -s", readinessProbe={"tcpSocket": {"port": 5201}, "periodSeconds": 1}))
    name = cluster.ready(server)
    address = cluster.address(name)
    for options in ("", "--reverse", "--udp --bitrate 20M"):
        said = cluster.sh(client, f"iperf3 -c {address} -t 2 -J {options}", "-c", "debian")
        end = json.loads(said)["end"]
        total = end.get("sum_received") or end["sum"]
        print(f"iperf3 {options}: {total['bits_per_second'] / 8 / (1 << 20):.0f} MiB/s")
        assert total["bytes"] > 1 << 20
    cluster.delete(name)

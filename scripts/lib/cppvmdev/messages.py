"""The messages of proto/ as Python classes.

protoc compiles them when this is imported, into memory: they are never out of date, and nothing is
written into the tree.
"""

from pathlib import Path

from google.protobuf import descriptor_pb2, message_factory

from .shell import run

_ROOT = Path(__file__).parents[3]


def _compile():
    sources = [_ROOT / "proto/ttrpc.proto", *sorted(_ROOT.glob("proto/containerd/*.proto"))]
    done = run(
        "protoc", f"--proto_path={_ROOT}", "--include_imports",
        "--descriptor_set_out=/dev/stdout", *sources,
    ).check()  # fmt: skip
    files = descriptor_pb2.FileDescriptorSet.FromString(done.out).file
    return message_factory.GetMessages(files)


_classes = _compile()


def named(name):
    """The class of a message, as "containerd.events.TaskExit"."""
    return _classes[name]


Any = named("google.protobuf.Any")
DeleteResponse = named("containerd.task.v3.DeleteResponse")
ForwardRequest = named("containerd.services.events.ttrpc.v1.ForwardRequest")
Options = named("runtimeoptions.v1.Options")
Request = named("cppvm.ttrpc.wire.Request")
Response = named("cppvm.ttrpc.wire.Response")
RuntimeInfo = named("containerd.types.RuntimeInfo")
TASK_API = DeleteResponse.DESCRIPTOR.file

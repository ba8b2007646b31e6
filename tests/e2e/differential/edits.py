"""Changes of a spec, as functions that take it and return nothing."""

import copy


def together(*edits):
    def edit(spec):
        for one in edits:
            one(spec)

    return edit


def process(**fields):
    """Members of process; those of user are merged."""

    def edit(spec):
        for name, value in copy.deepcopy(fields).items():
            if name == "user":
                spec["process"]["user"] = {"uid": 0, "gid": 0, **value}
            else:
                spec["process"][name] = value

    return edit


def linux(**fields):
    def edit(spec):
        spec["linux"].update(copy.deepcopy(fields))

    return edit


def top(**fields):
    def edit(spec):
        for name, value in copy.deepcopy(fields).items():
            merge = isinstance(value, dict) and isinstance(spec.get(name), dict)
            spec[name] = {**spec[name], **value} if merge else value

    return edit


def without(*path):
    """Takes a member away, such as ("process", "capabilities")."""

    def edit(spec):
        place = spec
        for name in path[:-1]:
            place = place[name]
        place.pop(path[-1], None)

    return edit


def mount(destination, kind, source, *options):
    """One mount more."""

    def edit(spec):
        spec["mounts"].append(
            {"destination": destination, "type": kind, "source": str(source), "options": list(options)}
        )

    return edit


def remount(destination, *options, **fields):
    """Other options of a mount that is in the spec already."""

    def edit(spec):
        entry = next(m for m in spec["mounts"] if m["destination"] == destination)
        entry["options"] = list(options)
        entry.update(fields)

    return edit


def without_mount(destination):
    def edit(spec):
        spec["mounts"] = [m for m in spec["mounts"] if m["destination"] != destination]

    return edit


def without_namespace(kind):
    def edit(spec):
        kept = [n for n in spec["linux"]["namespaces"] if n["type"] != kind]
        spec["linux"]["namespaces"] = kept

    return edit


def with_namespace(kind, **fields):
    def edit(spec):
        spec["linux"]["namespaces"].append({"type": kind, **fields})

    return edit


def resources(**fields):
    def edit(spec):
        spec["linux"]["resources"].update(copy.deepcopy(fields))

    return edit


def capabilities(*sets, **by_name):
    """All five sets: the same names in `sets`, or those of `by_name`."""
    names = ("bounding", "effective", "permitted", "inheritable", "ambient")
    return process(capabilities={name: list(by_name.get(name, sets)) for name in names})


def seccomp(*rules, default="SCMP_ACT_ALLOW", **fields):
    return linux(
        seccomp={
            "defaultAction": default,
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            "syscalls": list(rules),
            **fields,
        }
    )


def rule(action, *names, **fields):
    return {"names": list(names), "action": action, **fields}

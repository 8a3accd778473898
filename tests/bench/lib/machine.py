"""Facts about the machine and the versions, as they belong beside every figure."""
import os
import pathlib
import platform
import re
import shutil
import subprocess


def read(path):
    try:
        return pathlib.Path(path).read_text().strip()
    except OSError:
        return ""


def cpu_model():
    found = re.search(r"^model name\s*:\s*(.+)$", read("/proc/cpuinfo"), re.M)
    return found.group(1) if found else platform.machine()


def steal_and_total():
    """CPU time in ticks since boot: what the hypervisor took, and all."""
    ticks = [int(n) for n in read("/proc/stat").splitlines()[0].split()[1:9]]
    return ticks[7], sum(ticks)


def output_of(*command):
    if not shutil.which(command[0]):
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def congestion():
    """What the programs use: CUBIC where it may be chosen, else the machine's default."""
    allowed = read("/proc/sys/net/ipv4/tcp_available_congestion_control" if os.geteuid() == 0 else
                   "/proc/sys/net/ipv4/tcp_allowed_congestion_control").split()
    default = read("/proc/sys/net/ipv4/tcp_congestion_control")
    return "cubic" if "cubic" in allowed else f"{default} (cubic may not be chosen here)"


def facts():
    memory = re.search(r"^MemTotal:\s+(\d+)", read("/proc/meminfo"), re.M)
    return {
        "cpu": cpu_model(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_mib": int(memory.group(1)) // 1024 if memory else None,
        "kernel": platform.release(),
        "virtual": output_of("systemd-detect-virt") or "not known",
        "tcp_congestion": congestion(),
        "load_average": list(os.getloadavg()),
    }


def tern_version(root):
    found = re.search(r'VERSION_STRING "([^"]+)"', read(root / "rpc/include/tern/version.h"))
    return found.group(1) if found else None


def versions(root):
    pkg = {name: output_of("pkg-config", "--modversion", name)
           for name in ("grpc++", "protobuf", "libnghttp2", "libprotobuf-c")}
    return {"tern": tern_version(root), **pkg,
            "compiler": output_of(os.environ.get("CC", "gcc"), "--version").split("\n")[0]}

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from aipc.devices.system.memory import Memory, read_memory, within_limits

Tree = Callable[[Mapping[str, str]], Path]
WHOLE = Memory(total=16_000_000 * 1024, available=12_000_000 * 1024)
GB = 10**9


def test_without_control_groups_it_is_the_machines(tree: Tree) -> None:
    assert within_limits(WHOLE, tree({})) == WHOLE


def test_version_2_limits_are_taken_with_cached_files_as_free(tree: Tree) -> None:
    group = "sys/fs/cgroup/user.slice/app"
    root = tree(
        {
            "proc/self/cgroup": "0::/user.slice/app\n",
            f"{group}/memory.max": f"{4 * GB}\n",
            f"{group}/memory.current": f"{3 * GB}\n",
            f"{group}/memory.stat": f"anon {2 * GB}\ninactive_file {GB}\n",
        }
    )
    assert within_limits(WHOLE, root) == Memory(total=4 * GB, available=2 * GB)


def test_a_parents_tighter_limit_counts(tree: Tree) -> None:
    root = tree(
        {
            "proc/self/cgroup": "0::/outer/inner\n",
            "sys/fs/cgroup/outer/memory.max": str(2 * GB),
            "sys/fs/cgroup/outer/memory.current": str(3 * GB),
            "sys/fs/cgroup/outer/inner/memory.max": "max\n",
        }
    )
    assert within_limits(WHOLE, root) == Memory(total=2 * GB, available=0)


def test_version_1_with_the_path_of_another_namespace(tree: Tree) -> None:
    root = tree(
        {
            "proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/docker/4f7a\n0::/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": str(8 * GB),
            "sys/fs/cgroup/memory/memory.usage_in_bytes": str(5 * GB),
            "sys/fs/cgroup/memory/memory.stat": f"cache 7\ntotal_inactive_file {GB}\n",
        }
    )
    assert within_limits(WHOLE, root) == Memory(total=8 * GB, available=4 * GB)


def test_no_limit_in_version_1_is_a_huge_number(tree: Tree) -> None:
    root = tree(
        {
            "proc/self/cgroup": "4:memory:/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "1\n",
        }
    )
    assert within_limits(WHOLE, root) == WHOLE


def test_this_machine_has_some() -> None:
    memory = read_memory()
    assert 100_000_000 < memory.available <= memory.total

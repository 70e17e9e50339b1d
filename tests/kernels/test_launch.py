"""Doors and the parallel loop: the same bits for any chunks, the cache notices every change, errors come first."""

import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from numba import config, njit

from minidl.kernels import launch as launching
from minidl.kernels.door import make_door
from minidl.kernels.fingerprint import fingerprint
from minidl.kernels.inner import inner
from minidl.kernels.launch import chunks_of, kernel, launch


@kernel
def scale(x, y, factor: float, offset: int, low, high):
    x, y = x[low:high], y[low:high]
    factor, offset = x.dtype.type(factor), x.dtype.type(offset)
    for i in range(len(x)):
        y[i] = x[i] * factor + offset


def make(k):
    @kernel
    def times(x, y, low, high):
        for i in range(low, high):
            y[i] = x[i] * k

    return times


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 7, 40_000])
def test_a_kernel_runs_over_its_range(dtype, size):
    x = np.random.default_rng(0).standard_normal(size).astype(dtype)
    y = np.full(size + 2, 7, dtype)
    launch(scale, size, x, y[1:-1], 0.5, 3)
    np.testing.assert_array_equal(y[1:-1], x * dtype(0.5) + dtype(3))
    assert y[0] == y[-1] == 7


def test_nothing_is_written_for_an_empty_range():
    y = np.full(3, 7.0)
    launch(scale, 0, np.zeros(3), y, 1, 1)
    assert (y == 7).all()


def test_scalars_of_any_type_are_one_specialisation():
    x, y = np.ones(4, np.float32), np.empty(4, np.float32)
    for factor in (2, 2.0, np.float32(2), np.int64(2), True):
        launch(scale, 4, x, y, factor, np.int32(0))
        assert y[0] == float(factor)
    if not config.DISABLE_JIT:
        assert len([s for s in scale.door.signatures if s[4].dtype.name == "float32"]) == 1


def test_chunks_depend_on_the_work_alone():
    assert chunks_of(10, 100) == 1
    assert chunks_of(10**6, 10**6) == 64
    assert chunks_of(3, 10**6) == 3
    assert chunks_of(10**6, launching.SHARE_FROM) == 4


@pytest.mark.parametrize("share_from", [0, 1 << 15, 1 << 60])
def test_every_item_is_run_once(share_from, monkeypatch):
    monkeypatch.setattr(launching, "SHARE_FROM", share_from)

    @kernel
    def count(y, low, high):
        for i in range(low, high):
            y[i] += 1

    for n in (1, 2, 63, 64, 65, 1000):
        y = np.zeros(n)
        launch(count, n, y, work=10**7)
        assert (y == 1).all()


def test_python_threads_may_launch_at_once():
    """Of the same size, so that an argument taken from another thread's launch shows as a wrong number."""
    size, wrong = 40_000, []

    def run(place):
        x, y = np.full(size, place, np.float32), np.empty(size, np.float32)
        few = np.empty(3, np.float32)
        for repeat in range(100):
            launch(scale, size, x, y, 2.0, repeat)  # shared by the threads of the loop
            launch(scale, 3, x, few, 3.0, repeat)
            if not ((y == 2 * place + repeat).all() and (few == 3 * place + repeat).all()):
                wrong.append((place, repeat))

    assert chunks_of(size, size) > 1
    if config.DISABLE_JIT:  # slow, and without any block of arguments to share
        size = 100
    threads = [threading.Thread(target=run, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_two_kernels_of_one_name_keep_apart():
    x, y = np.ones(3), np.empty(3)
    two, three = make(2.0), make(3.0)
    assert fingerprint(two.function) != fingerprint(three.function)
    for k, expected in ((two, 2), (three, 3), (two, 2)):
        launch(k, 3, x, y)
        assert (y == expected).all()


def test_the_fingerprint_sees_helpers_constants_and_globals():
    def body(helper, constant):
        space = {"helper": njit(helper), "constant": constant}
        exec("def f(x, low, high):\n    x[low] = helper(x[low]) + constant", space)
        return fingerprint(space["f"])

    def half(v):
        return v * 0.5

    def third(v):
        return v * 0.3

    same = body(half, 1.0)
    assert body(half, 1.0) == same
    assert body(third, 1.0) != same
    assert body(half, 2.0) != same


def test_the_fingerprint_sees_the_bases_of_a_class():
    def body(half):
        class Base:
            def build(self):
                return half

        class Code(Base):
            pass

        def f(x, low, high):
            x[low] = Code().build()

        return fingerprint(f)

    assert body(0.5) == body(0.5)
    assert body(0.5) != body(0.25)


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="without the JIT it is a function as any other")
def test_an_inner_function_is_called_by_kernels_alone():
    @inner
    def half(v):
        return v * 0.5

    @kernel
    def halve(x, low, high):
        for i in range(low, high):
            x[i] = half(x[i])

    x = np.arange(4.0)
    launch(halve, 4, x)
    assert (x == [0, 0.5, 1, 1.5]).all()
    with pytest.raises(TypeError, match="not callable"):
        half(1.0)


def test_what_a_kernel_cannot_take_is_refused():
    x, y = np.ones(6), np.empty(6)
    if config.DISABLE_JIT:
        return  # plain Python takes any array; the op's own checks stand before it
    with pytest.raises(TypeError, match=r"kernel scale: expected a C-ordered array as 'x', got shape \(3,\)"):
        launch(scale, 3, x[::2], y, 1, 1)
    with pytest.raises(TypeError, match="kernel scale: expected an array or a number as 'y', got NoneType"):
        launch(scale, 3, x, None, 1, 1)


def test_read_only_inputs_are_taken():
    x, y = np.ones(6), np.empty(6)
    x.flags.writeable = False
    launch(scale, 6, x, y, 2, 0)
    assert (y == 2).all()


PROGRAM = """
    import numpy as np
    from minidl.kernels.launch import kernel, launch

    @kernel
    def triple(x, y, low, high):
        x, y = x[low:high], y[low:high]
        for i in range(len(x)):
            y[i] = x[i] * FACTOR

    x, y = np.ones(100_000), np.empty(100_000)
    launch(triple, x.size, x, y)
    print(y[0], sum(triple.door.stats.cache_hits.values()))
"""


def run(path, **environment):
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, env=os.environ | environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="without the JIT nothing is compiled or cached")
def test_processes_that_compile_at_once_do_not_read_each_others_code(monkeypatch, tmp_path):
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    launching._start()
    doors = [make_door(scale.function) for _ in range(3)]  # one in each of three processes, so to speak

    def scaled(door, dtype):
        x, y = np.arange(4, dtype=dtype), np.empty(4, dtype)
        door(launching._loop, launching._block, 4, 1, x, y, 0.5, 3)
        return y.tolist()

    files = doors[0]._cache._cache_file
    files._load_index, files._save_index = dict, lambda index: None  # read before, and written over by the second
    assert scaled(doors[1], np.float64) == scaled(doors[0], np.float32) == [3, 3.5, 4, 4.5]
    assert scaled(doors[2], np.float64) == [3, 3.5, 4, 4.5]
    assert sum(doors[2].stats.cache_hits.values()) == 1


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="without the JIT nothing is compiled or cached")
def test_kernels_are_cached_on_disk_and_a_change_is_noticed(tmp_path):
    script, cache = tmp_path / "script.py", {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    script.write_text(textwrap.dedent(PROGRAM).replace("FACTOR", "3.0"))
    before = script.stat()
    assert run(script, **cache) == ["3.0", "0"]
    assert run(script, **cache) == ["3.0", "1"]
    # same size, same time of change: Numba's own check would answer with the old code
    script.write_text(textwrap.dedent(PROGRAM).replace("FACTOR", "4.0"))
    os.utime(script, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert run(script, **cache) == ["4.0", "0"]


MADE = """
    import os
    import numpy as np
    from minidl.kernels import elementwise

    for name in os.environ["NAMES"].split():
        print(elementwise.map_two(getattr(elementwise, name), np.ones(3), np.full(3, 2.0), np.full(3, 8.0))[0])
"""


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="without the JIT nothing is compiled or cached")
def test_cached_kernels_are_not_taken_for_others_that_one_function_makes(tmp_path):
    script, cache = tmp_path / "script.py", {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    script.write_text(textwrap.dedent(MADE))
    expected = {"to_larger": "0.0", "to_other": "8.0", "divide_backward": "-2.0"}
    # Each compiles its first kernel in the place in which the one before it did.
    for names in ("to_larger", "to_other to_larger", "divide_backward to_larger to_other"):
        assert run(script, NAMES=names, **cache) == [expected[name] for name in names.split()]


FORK = """
    import os, sys
    import numpy as np
    from minidl import ops
    x = np.random.default_rng(0).standard_normal(300_000)
    before = ops.tanh(x).numpy()
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(ops.tanh(x).numpy(), before) else 1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_computes_the_same(tmp_path):
    script = tmp_path / "forks.py"
    script.write_text(textwrap.dedent(FORK))
    assert run(script) == ["0"]


def test_importing_compiles_nothing_and_leaves_matplotlib_alone():
    program = (
        "import sys; from numba.core import event\n"
        "seen = []\n"
        "class Listener(event.Listener):\n"
        "    def on_start(self, e): seen.append(e)\n"
        "    def on_end(self, e): pass\n"
        "event.register('numba:compile', Listener())\n"
        "import minidl\n"
        "print(len(seen), 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "False"]

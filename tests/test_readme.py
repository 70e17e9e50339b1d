"""The README's programs run as they stand, and its recipes are as short as it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
LOOP, TRAINER, CAPTURE, ACTIVATION, NORM = PROGRAMS


def run(program, folder):
    script = folder / "program.py"
    script.write_text(program, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )


@pytest.mark.parametrize("program", [ACTIVATION, NORM], ids=["activation", "norm"])
def test_recipes(program, tmp_path):
    done = run(program, tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_recipes_catch_a_wrong_gradient(tmp_path):
    done = run(ACTIVATION.replace("dy * slope", "dy * slope * 1.001"), tmp_path)
    assert done.returncode == 1 and "wrong gradient of input 0" in done.stderr
    done = run(NORM.replace("square = (x * x).mean(dim=0)", "square = (x * x).detach().mean(dim=0)"), tmp_path)
    assert done.returncode == 1 and "wrong gradient of input 0" in done.stderr


def test_the_recipes_are_short():
    def lines(program):
        return len([line for line in program.splitlines() if line.strip()])

    assert lines(ACTIVATION) < 30
    assert lines(NORM) < 60


def test_the_loop_by_hand(tmp_path):
    done = run(LOOP, tmp_path)
    assert done.returncode == 0, done.stderr
    assert float(re.search(r"test accuracy ([\d.]+)%", done.stdout)[1]) > 75


def test_the_trainer(tmp_path):
    done = run(TRAINER, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "loss.png").stat().st_size > 10_000


def test_the_first_block_has_two_commands():
    first = re.search(r"```sh\n(.*?)```", README, re.DOTALL)[1]
    commands = first.strip().splitlines()
    assert len(commands) == 2
    assert "-m experiments loss_curves" in commands[0] and "-m pytest" in commands[1]


def test_the_captured_step(tmp_path):
    done = run(CAPTURE, tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = re.search(r"mean loss ([\d.]+), then ([\d.]+)", done.stdout).groups()
    assert 0 < float(second) < float(first) < 0.5
    assert "<captured train: " in done.stdout and " kernels, " in done.stdout
    assert re.search(r"^multiply +\d+ +[\d.]+ +\d+% +[\d.]+ +[\d.]+$", done.stdout, re.MULTILINE)


CAPTURED_NORM = """
import minidl
from minidl import optim, tensor

def trained(wrap):
    model = nn.Sequential(nn.Linear(5, 4), BatchRMSNorm(4))
    for parameter in model.parameters():
        parameter.data[...] = np.linspace(-1, 1, parameter.size).reshape(parameter.shape)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    def step(x, y):
        optimizer.zero_grad()
        loss = nn.MSELoss()(model(x), y)
        loss.backward()
        optimizer.step()
        return loss
    step = wrap(step)
    rng = np.random.default_rng(0)
    batches = [[tensor(rng.standard_normal((7, n)).astype("float32")) for n in (5, 4)] for _ in range(9)]
    losses = [step(*batch).item() for batch in batches]
    return losses, model[1].running_square.tolist(), str(step)

(losses, square, _), (same, too, shown) = trained(lambda step: step), trained(minidl.capture)
print(losses == same, square == too, len(set(losses)), shown)
"""


def test_the_norm_is_captured_with_its_running_average(tmp_path):
    done = run(NORM + CAPTURED_NORM, tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.match(r"True True 9 <captured .*step: \d+ kernels", done.stdout), done.stdout

"""The Trainer: it is the loop by hand, it measures rightly, it leaves things as they were."""

import math

import numpy as np
import pytest

from minidl import nn, no_grad, optim, tensor
from minidl.train import History, Trainer

from .problem import loader, network, points, sgd


def make(model=None, **options):
    model = model or network()
    return Trainer(
        model, nn.CrossEntropyLoss(), options.pop("optimizer", None) or sgd(model), progress=False, **options
    )


def test_fit_equals_the_loop_by_hand_bit_for_bit():
    trainer = make()
    history = trainer.fit(loader(), epochs=4)

    model, batches, loss_of, losses = network(), loader(), nn.CrossEntropyLoss(), []
    optimizer = sgd(model)
    for _ in range(4):
        for inputs, targets in batches:
            optimizer.zero_grad()
            loss = loss_of(model(inputs), targets)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    assert history.loss == losses and len(losses) == 4 * 7
    ours, theirs = trainer.model.state_dict(), model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_the_loss_falls_and_the_accuracy_rises():
    trainer = make()
    before = trainer.evaluate(loader())
    history = trainer.fit(loader(), epochs=30)
    after = trainer.evaluate(loader())
    assert np.mean(history.loss[-7:]) < 0.5 * np.mean(history.loss[:7])
    assert after["loss"] < 0.5 * before["loss"] and after["accuracy"] > 0.9 > before["accuracy"]


def test_evaluate_is_the_mean_over_examples_with_a_ragged_last_batch():
    dataset = points(50)
    trainer = make()
    trainer.fit(loader(dataset), epochs=2)
    found = trainer.evaluate(loader(dataset, batch_size=49))
    with no_grad():
        scores = trainer.model.eval()(dataset.inputs)
        losses = nn.CrossEntropyLoss(reduction="none")(scores, dataset.targets).data.astype(np.float64)
    right = np.asarray(scores).argmax(1) == dataset.targets
    assert found["accuracy"] == right.sum() / 50
    assert found["loss"] == pytest.approx(losses.mean(), rel=1e-6)
    unweighted = (losses[:49].mean() + losses[49]) / 2
    assert abs(unweighted - losses.mean()) > 1e-3 * losses.mean(), "this test could not tell the two apart"


def test_the_history_has_a_row_for_each_epoch():
    trainer = make()
    history = trainer.fit(loader(), epochs=3, validation=loader(points(20, seed=1), shuffle=False))
    assert [row["step"] for row in history.epochs] == [7, 14, 21]
    assert history.epochs[-1].keys() == {"loss", "validation_loss", "validation_accuracy", "step", "seconds"}
    weights = np.array([8] * 6 + [2])
    assert history.epochs[1]["loss"] == pytest.approx(np.dot(weights, history.loss[7:14]) / 50, rel=1e-12)
    found = trainer.evaluate(loader(points(20, seed=1), shuffle=False))
    assert {name: history.epochs[-1][f"validation_{name}"] for name in found} == found
    assert 0 < sum(row["seconds"] for row in history.epochs) <= history.seconds
    assert history.rate == []


def test_a_second_fit_goes_on():
    once, twice = make(), make()
    once.fit(loader(), epochs=3)
    batches = loader()
    first = twice.fit(batches, epochs=1)
    seconds = first.seconds
    second = twice.fit(batches, epochs=2)
    assert first is second and second.loss == once.history.loss and second.seconds > seconds
    assert [row["step"] for row in second.epochs] == [7, 14, 21]


def test_modes_are_switched_and_each_module_gets_its_own_back():
    seen = []

    class Spy(nn.Module):
        def forward(self, x):
            seen.append(self.training)
            return x

    model = nn.Sequential(nn.Linear(2, 3, rng=0), Spy(), nn.Dropout(0.5, rng=0))
    model.eval()
    model[2].train()
    trainer = make(model)
    trainer.fit(loader(points(8)), epochs=1, validation=loader(points(8)))
    assert seen == [True, False]
    trainer.predict(points(8).inputs)
    trainer.evaluate(loader(points(8)))
    assert seen == [True, False, False, False]
    assert [module.training for module in model.modules()] == [False, False, False, True]


def test_modes_are_put_back_after_an_error():
    trainer = make()
    with pytest.raises(ValueError):
        trainer.fit([(np.zeros((4, 5), np.float32), np.zeros(4, np.int64))], epochs=1)
    trainer.model.eval()
    with pytest.raises(ValueError):
        trainer.fit([(np.zeros((4, 5), np.float32), np.zeros(4, np.int64))], epochs=1)
    assert not any(module.training for module in trainer.model.modules())


def test_predict_keeps_the_order_and_ignores_the_batches():
    dataset = points(50)
    trainer = make()
    trainer.fit(loader(dataset), epochs=2)
    with no_grad():
        expected = np.asarray(trainer.model.eval()(dataset.inputs))
    trainer.model.train()
    assert np.allclose(trainer.predict(dataset.inputs, batch_size=7), expected, rtol=1e-5, atol=1e-6)
    assert np.allclose(trainer.predict(tensor(dataset.inputs)), expected, rtol=1e-5, atol=1e-6)
    assert np.allclose(trainer.predict(loader(dataset, shuffle=False)), expected, rtol=1e-5, atol=1e-6)
    assert all(module.training for module in trainer.model.modules())


def test_a_loss_that_is_not_finite_stops_the_run_before_it_reaches_the_weights():
    dataset = points(24)
    dataset.inputs[17] = np.nan
    trainer = make()
    with pytest.raises(FloatingPointError, match=r"loss is nan at step 2 \(epoch 0, batch 2\), at learning rate 0.1"):
        trainer.fit(loader(dataset, shuffle=False), epochs=2)
    assert len(trainer.history.loss) == 3 and math.isnan(trainer.history.loss[2])
    assert all(np.isfinite(parameter.data).all() for parameter in trainer.model.parameters())
    assert trainer.history.seconds > 0


def test_a_loss_that_is_not_finite_is_trained_on_when_asked_to():
    dataset = points(24)
    dataset.inputs[17] = np.nan
    history = make(stop_on_non_finite=False).fit(loader(dataset, shuffle=False), epochs=2)
    assert len(history.loss) == 6 and np.isnan(history.loss[2:]).all() and np.isfinite(history.loss[:2]).all()


def test_callbacks_are_told_the_epoch_and_the_batch():
    calls = []

    def note(trainer, epoch, t, loss):
        calls.append((epoch, t, loss, len(trainer.history.loss)))

    trainer = make(callbacks=[note])
    trainer.fit(loader(), epochs=1)
    trainer.fit(loader(), epochs=1)
    assert [call[:2] for call in calls] == [(epoch, t) for epoch in range(2) for t in range(7)]
    assert [call[2] for call in calls] == trainer.history.loss
    assert [call[3] for call in calls] == list(range(1, 15))


@pytest.mark.parametrize(("every", "rates"), [("epoch", [0.1] * 7 + [0.05] * 7), ("step", [0.1, 0.05, 0.025, 0.0125])])
def test_a_schedule_steps_after_each_epoch_or_each_step(every, rates):
    model = network()
    optimizer = sgd(model)
    schedule = optim.StepLR(optimizer, step_size=1, gamma=0.5)
    trainer = make(model, optimizer=optimizer, schedule=schedule, schedule_every=every)
    history = trainer.fit(loader(), epochs=2)
    assert len(history.rate) == 14
    assert history.rate[: len(rates)] == rates


def test_an_interrupt_goes_through_and_loses_nothing():
    def interrupt(trainer, epoch, t, loss):
        if (epoch, t) == (1, 2):
            raise KeyboardInterrupt

    trainer = make(callbacks=[interrupt])
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(loader(), epochs=5)
    assert len(trainer.history.loss) == 10 and len(trainer.history.epochs) == 1 and trainer.history.seconds > 0
    trainer.callbacks = ()
    trainer.fit(loader(), epochs=1)
    assert len(trainer.history.loss) == 17


def test_metrics_are_means_over_examples():
    def distance(outputs, targets):
        return np.abs(outputs - targets)[:, 0]

    inputs = np.arange(10, dtype=np.float32)[:, None]
    model = nn.Sequential(nn.Linear(1, 1, rng=0))
    model[0].weight.data[...], model[0].bias.data[...] = 1, 0
    trainer = Trainer(model, nn.MSELoss(), sgd(model), metrics={"distance": distance}, progress=False)
    batches = [(inputs[:9], np.zeros((9, 1), np.float32)), (inputs[9:], np.zeros((1, 1), np.float32))]
    assert trainer.evaluate(batches) == {"loss": pytest.approx(28.5), "distance": 4.5}
    trainer.metrics = None
    assert trainer.evaluate(batches) == {"loss": pytest.approx(28.5)}, "accuracy is for labels"


def test_progress_is_shown_on_standard_error_only_if_asked_for(capsys):
    make().fit(loader(), epochs=1)
    assert capsys.readouterr() == ("", "")
    trainer = make()
    trainer.progress = True
    trainer.fit(loader(), epochs=2, validation=loader())
    captured = capsys.readouterr()
    assert captured.out == "" and "14/14" in captured.err
    assert "epoch 2, loss " in captured.err and "validation accuracy" in captured.err


def test_a_history_survives_being_saved(tmp_path):
    history = History([0.1, math.nan, math.inf, -math.inf, 1 / 3], [0.1] * 5, [{"loss": 2 / 3, "step": 5}], 1.5)
    history.save(tmp_path / "new" / "history.json")
    loaded = History.load(tmp_path / "new" / "history.json")
    assert np.array_equal(loaded.loss, history.loss, equal_nan=True)
    assert (loaded.rate, loaded.epochs, loaded.seconds) == (history.rate, history.epochs, history.seconds)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["history.json"]

"""Wrong input to the Trainer, the History and the plots."""

import tempfile
from pathlib import Path

from minidl import nn, optim, plot
from minidl.data import DataLoader
from minidl.train import History, Trainer

from .problem import loader, network, points, sgd


def trainer(**changes):
    model = network()
    parts = {"model": model, "loss": nn.CrossEntropyLoss(), "optimizer": sgd(model), "progress": False}
    return Trainer(**(parts | changes))


def fit(given, epochs=1, **options):
    return trainer().fit(given, epochs, **options)


def load(text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.json"
        path.write_text(text)
        return History.load(path)


x, y = points(6).inputs, points(6).targets

ERRORS = [
    ("model", lambda: trainer(model=len), TypeError, ["Trainer", "nn.Module", "builtin_function"]),
    ("loss class", lambda: trainer(loss=nn.CrossEntropyLoss), TypeError, ["Trainer", "CrossEntropyLoss()"]),
    ("loss text", lambda: trainer(loss="mse"), TypeError, ["Trainer", "function of (outputs, targets)", "str"]),
    ("optimizer", lambda: trainer(optimizer=0.1), TypeError, ["Trainer", "zero_grad", "optimizer", "float"]),
    ("optimizer class", lambda: trainer(optimizer=optim.SGD), TypeError, ["optimizer", "the class SGD"]),
    ("other optimizer", lambda: trainer(optimizer=sgd(network(1))), ValueError, ["model.parameters()", "6 others"]),
    ("schedule", lambda: trainer(schedule=0.1), TypeError, ["Trainer", "step", "schedule", "float"]),
    ("schedule_every", lambda: trainer(schedule_every="batch"), ValueError, ["'epoch' or 'step'", "'batch'"]),
    ("metrics", lambda: trainer(metrics=["accuracy"]), TypeError, ["Trainer", "dict", "['accuracy']"]),
    ("callbacks", lambda: trainer(callbacks=print), TypeError, ["Trainer", "(trainer, epoch, t, loss)", "print"]),
    ("epochs", lambda: fit(loader(), 0), ValueError, ["Trainer.fit", "epochs of at least 1", "0"]),
    ("epochs float", lambda: fit(loader(), 1.5), TypeError, ["Trainer.fit", "whole number", "1.5"]),
    ("loader", lambda: fit(None), TypeError, ["Trainer.fit", "batches (inputs, targets)", "NoneType"]),
    ("loader array", lambda: fit(x), TypeError, ["Trainer.fit", "(6, 2)", "DataLoader"]),
    ("loader dataset", lambda: fit(points()), TypeError, ["Trainer.fit", "ArrayDataset", "DataLoader"]),
    ("loader spent", lambda: fit(iter(loader())), TypeError, ["Trainer.fit", "starts anew", "DataLoader"]),
    ("loader empty", lambda: fit([]), ValueError, ["Trainer.fit", "at least one batch", "list"]),
    ("loader of triples", lambda: fit([(x, y, y)]), TypeError, ["Trainer.fit", "(inputs, targets)", "tuple of 3"]),
    ("validation", lambda: fit(loader(), validation=3), TypeError, ["Trainer.fit", "validation", "int"]),
    ("loss of many numbers", lambda: trainer(loss=nn.CrossEntropyLoss(reduction="none")).fit(loader(), 1), TypeError,
     ["Trainer", "one number", "(8,)", "reduction='mean'"]),
    ("evaluate nothing", lambda: trainer().evaluate([]), ValueError, ["Trainer.evaluate", "at least one batch"]),
    ("evaluate array", lambda: trainer().evaluate(x), TypeError, ["Trainer.evaluate", "(inputs, targets)", "(6, 2)"]),
    ("metric of one number", lambda: trainer(metrics={"rmse": lambda o, t: 1.0}).evaluate([(x, y)]), ValueError,
     ["Trainer", "'rmse'", "one value for each of 6", "()"]),
    ("predict nothing", lambda: trainer().predict(x[:0]), ValueError, ["Trainer.predict", "(0, 2)"]),
    ("predict batch_size", lambda: trainer().predict(x, batch_size=0), ValueError, ["Trainer.predict", "0"]),
    ("predict shuffled", lambda: trainer().predict(loader()), ValueError, ["Trainer.predict", "shuffle=True"]),
    ("predict drop_last", lambda: trainer().predict(DataLoader(points(), 8, drop_last=True)), ValueError,
     ["Trainer.predict", "drop_last=True"]),
    ("history text", lambda: load("no"), ValueError, ["History.load", "history.json"]),
    ("history other", lambda: load('{"loss": [1]}'), ValueError, ["History.load", "'rate'"]),
    ("curves list", lambda: plot.loss_curves([[1.0, 2.0]], "x.png"), TypeError, ["loss_curves", "History", "list"]),
    ("curves without ending", lambda: plot.loss_curves(History([1.0]), "x"), ValueError, ["plot", ".png, ", "'x'"]),
    ("curves ending", lambda: plot.loss_curves(History([1.0]), "x.exe"), ValueError, ["plot", ".svg", "'x.exe'"]),
    ("curves nothing", lambda: plot.loss_curves({}, "x.png"), ValueError, ["loss_curves", "at least one"]),
    ("curves empty", lambda: plot.loss_curves(History(), "x.png"), ValueError, ["loss_curves", "one step"]),
]  # fmt: skip

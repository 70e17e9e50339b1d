"""Which code counts: what ran in the step, and what that reads."""

from .problem import Problem, batches, same

SCALE = 2.0
LIST = [1.0]


def test_code_that_does_not_run_does_not_count():
    class Experiment:
        def __init__(self):
            self.problem, self.history = Problem(), []

        def train(self, step):  # which the model's train() is not
            for x, y in batches(9):
                self.history.append(step(x, y))
            return self.history

        def step(self, x, y):
            outputs = self.problem.model.eval()(x)
            self.problem.model.train()
            return self.problem.step(x, y), outputs

    def scenario(wrap):
        experiment = Experiment()
        return experiment.train(wrap(experiment.step)), experiment.problem.model

    same(scenario, replays=6)


def test_functions_that_take_turns_by_what_they_find():
    def scenario(wrap):
        problem, chosen = Problem(), []
        ways = (lambda x: x * SCALE, lambda x: x * len(LIST))
        step = wrap(lambda x, y: problem.loss_of(ways[len(chosen) % 2](problem.model(x)), y))
        for each in range(4):
            chosen.append(each)
            problem.train(step, 4, seed=each)
            LIST.append(1.0)
            problem.train(step, 4, seed=each)
        del LIST[1:]
        return problem.all()

    same(scenario, replays=8)


def test_a_learning_rate_that_the_step_itself_reads():
    def scenario(wrap):
        problem = Problem()

        def step(x, y):
            return problem.step(x, y) * problem.optimizer.param_groups[0]["lr"]

        step = wrap(step)
        for seed, rate in enumerate((0.1, 0.2, 0.3)):
            problem.optimizer.param_groups[0]["lr"] = rate
            problem.train(step, 5, seed=seed)
        return problem.all()

    same(scenario, replays=6)

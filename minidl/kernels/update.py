"""The optimizer's update of a parameter, in one pass over its memory.

The hyperparameters come in an array `settings`, so that a step can be repeated while they change: rate, decay,
momentum, the share of the gradient in the velocity (1 - dampening), and whether to look ahead as Nesterov does.
"""

from .launch import InOut, kernel


@kernel
def sgd(weight: InOut, gradient, settings, low, high):
    """weight -= rate * (gradient + decay * weight)."""
    weight, gradient = weight[low:high], gradient[low:high]
    rate, decay = weight.dtype.type(settings[0]), weight.dtype.type(settings[1])
    for i in range(len(weight)):
        weight[i] -= rate * (gradient[i] + decay * weight[i])


@kernel
def sgd_momentum(weight: InOut, gradient, velocity: InOut, settings, low, high):
    """velocity = momentum * velocity + share * g with g = gradient + decay * weight; weight -= rate * velocity, or with
    Nesterov's look ahead rate * (g + momentum * velocity)."""
    weight, gradient, velocity = weight[low:high], gradient[low:high], velocity[low:high]
    number = weight.dtype.type
    rate, decay, momentum, share = number(settings[0]), number(settings[1]), number(settings[2]), number(settings[3])
    if settings[4] != 0:
        for i in range(len(weight)):
            g = gradient[i] + decay * weight[i]
            v = momentum * velocity[i] + share * g
            velocity[i] = v
            weight[i] -= rate * (g + momentum * v)
    else:
        for i in range(len(weight)):
            v = momentum * velocity[i] + share * (gradient[i] + decay * weight[i])
            velocity[i] = v
            weight[i] -= rate * v
